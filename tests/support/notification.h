// Something that happens once and is waited for. As absl::Notification, which ThreadSanitizer takes
// for a race: the distribution's Abseil is not instrumented.
//
// Thread safety: all methods. May be destroyed when a Wait has returned.
#pragma once

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"

namespace atoll::test {

class Notification {
 public:
  void Notify() ABSL_LOCKS_EXCLUDED(mu_) {
    base::MutexLock lock(mu_);
    happened_ = true;
    changed_.SignalAll();
  }
  void Wait() ABSL_LOCKS_EXCLUDED(mu_) {
    base::MutexLock lock(mu_);
    while (!happened_) changed_.Wait(mu_);
  }

 private:
  base::Mutex mu_;
  base::CondVar changed_;
  bool happened_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace atoll::test
