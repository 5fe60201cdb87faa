// CPU time that processes take between two moments.
//
// Thread safety: none.
#pragma once

#include <sys/types.h>

#include <vector>

#include "absl/time/time.h"

namespace atoll::bench {

// User and system time of all threads of a process so far; zero if it is gone. 0: this process.
absl::Duration CpuTimeOf(pid_t pid);

class CpuMeter {
 public:
  explicit CpuMeter(std::vector<pid_t> pids) : pids_(std::move(pids)) {}
  void Begin();
  void End();
  // Of each process, in their order.
  const std::vector<absl::Duration>& taken() const { return taken_; }

 private:
  const std::vector<pid_t> pids_;
  std::vector<absl::Duration> begin_;
  std::vector<absl::Duration> taken_;
};

}  // namespace atoll::bench
