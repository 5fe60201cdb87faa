// A lock for a few instructions at a time, taken by few threads at once: it costs one atomic
// operation, where one that its waiters sleep on costs two. Whoever finds it taken looks again, and
// lets others run if it stays so: its holder may have lost its processor.
//
// Thread safety: what it is for. Nothing that may sleep is done under it.
#pragma once

#include <sched.h>
#include <time.h>

#include <atomic>

#include "absl/base/thread_annotations.h"

namespace atoll::client {

class ABSL_LOCKABLE BriefLock {
 public:
  BriefLock() = default;
  BriefLock(const BriefLock&) = delete;
  BriefLock& operator=(const BriefLock&) = delete;

  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() {
    if (taken_.exchange(true, std::memory_order_acquire)) Wait();
  }
  void Unlock() ABSL_UNLOCK_FUNCTION() { taken_.store(false, std::memory_order_release); }

 private:
  static constexpr int kLooks = 50;
  static constexpr int kYields = 100;

  void Wait() {
    for (int tries = 0;
         taken_.load(std::memory_order_relaxed) || taken_.exchange(true, std::memory_order_acquire);
         ++tries) {
      if (tries < kLooks) continue;
      if (tries < kLooks + kYields) {
        sched_yield();
      } else {
        // To a holder of lower priority nobody gives way by yielding.
        const timespec moment{.tv_sec = 0, .tv_nsec = 50'000};
        nanosleep(&moment, nullptr);
      }
    }
  }

  std::atomic<bool> taken_{false};
};

class ABSL_SCOPED_LOCKABLE BriefLockHold {
 public:
  explicit BriefLockHold(BriefLock& lock) ABSL_EXCLUSIVE_LOCK_FUNCTION(lock) : lock_(lock) {
    lock_.Lock();
  }
  ~BriefLockHold() ABSL_UNLOCK_FUNCTION() { lock_.Unlock(); }
  BriefLockHold(const BriefLockHold&) = delete;
  BriefLockHold& operator=(const BriefLockHold&) = delete;

 private:
  BriefLock& lock_;
};

}  // namespace atoll::client
