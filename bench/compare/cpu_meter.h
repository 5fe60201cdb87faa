// CPU time that processes, or some of their threads, take between two moments.
//
// Thread safety: none.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace atoll::bench {

// User and system time of all threads of a process so far; zero if it is gone. 0: this process.
absl::Duration CpuTimeOf(pid_t pid);

// The same of the threads whose names begin with `prefix`: of those alive now, to a tick of the
// scheduler.
absl::Duration CpuTimeOfThreads(pid_t pid, std::string_view prefix);

class CpuMeter {
 public:
  explicit CpuMeter(const std::vector<pid_t>& pids);
  // `clocks` tell the time taken so far.
  explicit CpuMeter(std::vector<std::function<absl::Duration()>> clocks)
      : clocks_(std::move(clocks)) {}
  void Begin();
  void End();
  // Of each process, or by each clock, in their order.
  const std::vector<absl::Duration>& taken() const { return taken_; }

 private:
  std::vector<std::function<absl::Duration()>> clocks_;
  std::vector<absl::Duration> begin_;
  std::vector<absl::Duration> taken_;
};

}  // namespace atoll::bench
