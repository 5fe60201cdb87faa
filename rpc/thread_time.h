// What the calling thread has had of the processor.
//
// Thread safety: none; all calls by the thread that made it.
#pragma once

#include "absl/time/time.h"

namespace atoll::rpc {

class ThreadTime {
 public:
  ThreadTime();
  ~ThreadTime();
  ThreadTime(const ThreadTime&) = delete;
  ThreadTime& operator=(const ThreadTime&) = delete;

  static absl::Duration Cpu();
  // For how long it could have run, and others did. 0 where the kernel does not count it.
  absl::Duration Waited() const;

 private:
  int schedstat_ = -1;
};

}  // namespace atoll::rpc
