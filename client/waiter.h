// Where a blocking caller sleeps until its answer is there: one word, one wake-up.
//
// The word lies on the caller's stack and may be gone as soon as it says so; the wake-up that
// follows then meets nobody, or a sleeper who looks again. Nobody may sleep on a word otherwise.
//
// Thread safety: Wait by one thread, Wake once by any.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdint>

namespace atoll::client {

class Waiter {
 public:
  // What happened before Wake is seen after it.
  void Wait() {
    uint32_t state = kAwake;
    if (!state_.compare_exchange_strong(state, kAsleep, std::memory_order_acquire)) return;
    while (state_.load(std::memory_order_acquire) != kDone) {
      syscall(SYS_futex, &state_, FUTEX_WAIT_PRIVATE, kAsleep, nullptr, nullptr, 0);
    }
  }
  // The last thing that is done to the waiter's call.
  void Wake() {
    if (state_.exchange(kDone, std::memory_order_acq_rel) != kAsleep) return;
    syscall(SYS_futex, &state_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }

 private:
  static constexpr uint32_t kAwake = 0;
  static constexpr uint32_t kAsleep = 1;
  static constexpr uint32_t kDone = 2;

  std::atomic<uint32_t> state_{kAwake};
};

}  // namespace atoll::client
