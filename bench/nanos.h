// Time as a load measures it: an integer, because a clock is read for each operation.
#pragma once

#include <time.h>

#include <chrono>
#include <cstdint>

#include "absl/time/time.h"

namespace atoll::bench {

// Nanoseconds since some moment.
inline int64_t NowNanos() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// CPU time of the calling thread.
inline int64_t ThreadNanos() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// When the measured part of a run begins and ends.
struct Window {
  int64_t begin = 0;
  int64_t end = 0;

  static Window After(int64_t now, absl::Duration warmup, absl::Duration duration) {
    const int64_t begin = now + absl::ToInt64Nanoseconds(warmup);
    return {.begin = begin, .end = begin + absl::ToInt64Nanoseconds(duration)};
  }
};

}  // namespace atoll::bench
