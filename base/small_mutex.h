// A mutex of 4 B, so that it shares a line with what it guards; one of the standard library takes
// 40. Whoever finds it taken sleeps in the kernel; free, it costs an atomic operation each way, in
// line, and a third of the instructions of the other.
//
// Thread safety: what it is for. It has no condition variable.
#pragma once

#include <atomic>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#ifdef ATOLL_OBSERVE_LOCKS
#include "base/lock_observer.h"
#endif

namespace atoll::base {

class ABSL_LOCKABLE SmallMutex {
 public:
  SmallMutex() = default;
  SmallMutex(const SmallMutex&) = delete;
  SmallMutex& operator=(const SmallMutex&) = delete;

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
    if (state_.exchange(kFree, std::memory_order_release) == kAwaited) state_.notify_one();
#ifdef ATOLL_OBSERVE_LOCKS
    LockObserver::Unlocked(locked_at);
#endif
  }

 private:
  static constexpr uint32_t kFree = 0;
  static constexpr uint32_t kTaken = 1;
  static constexpr uint32_t kAwaited = 2;  // taken, and somebody may sleep

  bool Take() {
    uint32_t expected = kFree;
    return state_.compare_exchange_strong(expected, kTaken, std::memory_order_acquire,
                                          std::memory_order_relaxed);
  }
  // Who was woken leaves it awaited: there may be others. At worst one wake-up is for nobody.
  void Wait() {
    while (state_.exchange(kAwaited, std::memory_order_acquire) != kFree) {
      state_.wait(kAwaited, std::memory_order_relaxed);
    }
  }
#ifdef ATOLL_OBSERVE_LOCKS
  void Note() { locked_at_ = LockObserver::Locked(); }
  uint64_t locked_at_ = 0;
#else
  void Note() {}
#endif

  std::atomic<uint32_t> state_{kFree};
};

class ABSL_SCOPED_LOCKABLE SmallMutexLock {
 public:
  explicit SmallMutexLock(SmallMutex& mu) ABSL_EXCLUSIVE_LOCK_FUNCTION(mu) : mu_(mu) { mu_.Lock(); }
  ~SmallMutexLock() ABSL_UNLOCK_FUNCTION() { mu_.Unlock(); }
  SmallMutexLock(const SmallMutexLock&) = delete;
  SmallMutexLock& operator=(const SmallMutexLock&) = delete;

 private:
  SmallMutex& mu_;
};

}  // namespace atoll::base
