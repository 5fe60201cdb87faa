// A lock of 1 B for what takes microseconds at most: it shares a line with what it guards. It is
// let go of by a plain store, so that it costs one atomic operation where a mutex costs two, to
// learn whether somebody sleeps on it. Nobody does: whoever finds it taken looks again, lets others
// run if it stays so, as its holder may have lost its processor, and then sleeps by the clock.
//
// Thread safety: what it is for. Not fair, and without a condition variable. Nothing that waits for
// the network, the disk or another thread is done under it, but for taking a lock held as briefly.
#pragma once

#include <sched.h>
#include <time.h>

#include <atomic>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#ifdef ATOLL_OBSERVE_LOCKS
#include "base/lock_observer.h"
#endif

namespace atoll::base {

class ABSL_LOCKABLE BriefLock {
 public:
  BriefLock() = default;
  BriefLock(const BriefLock&) = delete;
  BriefLock& operator=(const BriefLock&) = delete;

  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() {
    if (!Take()) Wait();
    Note();
  }
  bool TryLock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) {
    if (!Take()) return false;
    Note();
    return true;
  }
  void Unlock() ABSL_UNLOCK_FUNCTION() {
#ifdef ATOLL_OBSERVE_LOCKS
    const uint64_t locked_at = locked_at_;
#endif
    taken_.store(false, std::memory_order_release);
#ifdef ATOLL_OBSERVE_LOCKS
    LockObserver::Unlocked(locked_at);
#endif
  }

 private:
  static constexpr int kLooks = 50;
  static constexpr int kYields = 100;
  static constexpr int64_t kSleepNanos = 50'000;

  bool Take() { return !taken_.exchange(true, std::memory_order_acquire); }

  void Wait() {
    for (int tries = 0; taken_.load(std::memory_order_relaxed) || !Take(); ++tries) {
      if (tries < kLooks) {
        Pause();
      } else if (tries < kLooks + kYields) {
        sched_yield();
      } else {
        // To a holder of lower priority nobody gives way by yielding.
        const timespec moment{.tv_sec = 0, .tv_nsec = kSleepNanos};
        nanosleep(&moment, nullptr);
      }
    }
  }
  // The other thread of the core gets its share, and the holder's store is not held up by looks.
  static void Pause() {
#ifdef __SSE2__
    __builtin_ia32_pause();
#endif
  }
#ifdef ATOLL_OBSERVE_LOCKS
  void Note() { locked_at_ = LockObserver::Locked(); }
  uint64_t locked_at_ = 0;
#else
  void Note() {}
#endif

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

}  // namespace atoll::base
