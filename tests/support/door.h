// A door at which calls are held up. Thread safety: all methods.
#pragma once

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"

namespace atoll::test {

// Blocks whoever passes until it is opened.
class Door {
 public:
  ~Door() { Open(); }
  void Open() {
    base::MutexLock lock(mu_);
    open_ = true;
    changed_.SignalAll();
  }
  void Pass() {
    base::MutexLock lock(mu_);
    ++arrived_;
    changed_.SignalAll();
    while (!open_) changed_.Wait(mu_);
  }
  void WaitForArrivals(int count) {
    base::MutexLock lock(mu_);
    while (arrived_ < count) changed_.Wait(mu_);
  }

 private:
  base::Mutex mu_;
  base::CondVar changed_;
  bool open_ ABSL_GUARDED_BY(mu_) = false;
  int arrived_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace atoll::test
