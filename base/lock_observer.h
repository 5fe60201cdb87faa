// How long locks are held: for programs that are built with ATOLL_OBSERVE_LOCKS, all sources of
// theirs alike. Elsewhere nothing of this is compiled.
//
// Thread safety: one thread observes, its own locks.
#pragma once

#include <chrono>
#include <cstdint>

namespace atoll::base {

class LockObserver {
 public:
  // Told of every lock that is let go of. It may take none.
  static void Set(void (*observe)(uint64_t nanos)) { observe_ = observe; }
  // 0 without an observer.
  static uint64_t Locked() { return observe_ == nullptr ? 0 : Now(); }
  static void Unlocked(uint64_t locked_at) {
    if (observe_ != nullptr && locked_at != 0) observe_(Now() - locked_at);
  }

 private:
  static uint64_t Now() {
    return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }
  static inline void (*observe_)(uint64_t nanos) = nullptr;
};

}  // namespace atoll::base
