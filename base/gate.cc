#include "base/gate.h"

#include <algorithm>

#include "base/clock.h"

namespace atoll::base {

bool Gate::Enter() {
  // Looked at first, so that callers who are refused in a loop do not keep the count from zero.
  if (closed()) {
    return false;
  }
  if ((state_.fetch_add(1, std::memory_order_acq_rel) & kClosed) == 0) {
    return true;
  }
  Leave();
  return false;
}

void Gate::Leave() {
  // While the gate is closed, the step to zero is made under the mutex: Drain may return, and the
  // gate be destroyed, as soon as the count is seen to be zero.
  int64_t state = state_.load(std::memory_order_relaxed);
  while ((state & kClosed) == 0) {
    if (state_.compare_exchange_weak(state, state - 1, std::memory_order_acq_rel)) {
      return;
    }
  }
  MutexLock lock(mu_);
  if (state_.fetch_sub(1, std::memory_order_acq_rel) == kClosed + 1) {
    empty_ = true;
    emptied_.SignalAll();
  }
}

void Gate::Close() {
  MutexLock lock(mu_);
  if ((state_.fetch_or(kClosed, std::memory_order_acq_rel) & ~kClosed) == 0) {
    empty_ = true;
    emptied_.SignalAll();
  }
}

bool Gate::Drain(absl::Duration timeout) {
  const absl::Duration until = Clock::Real().BootTime() + timeout;
  MutexLock lock(mu_);
  while (!empty_) {
    const absl::Duration left = until - Clock::Real().BootTime();
    if (left <= absl::ZeroDuration()) {
      return false;
    }
    // In pieces: the standard library adds the time-out to its clock, which an infinite one
    // overflows.
    emptied_.WaitFor(mu_, std::min(left, absl::Hours(1)));
  }
  return true;
}

}  // namespace atoll::base
