#include "base/periodic.h"

#include <utility>

#include "base/clock.h"

namespace atoll::base {

Periodic::Periodic(absl::Duration interval, absl::AnyInvocable<void()> function)
    : interval_(interval), function_(std::move(function)) {
  MutexLock lock(mu_);
  thread_ = std::thread([this] { Run(); });
}

Periodic::~Periodic() { Stop(); }

void Periodic::Wake() {
  MutexLock lock(mu_);
  woken_ = true;
  changed_.Signal();
}

void Periodic::Stop() {
  std::thread thread;
  {
    MutexLock lock(mu_);
    stopping_ = true;
    changed_.Signal();
    thread.swap(thread_);
  }
  if (thread.joinable()) {
    thread.join();
  }
}

void Periodic::Run() {
  while (true) {
    {
      MutexLock lock(mu_);
      const absl::Duration until = Clock::Real().BootTime() + interval_;
      while (!woken_ && !stopping_) {
        const absl::Duration left = until - Clock::Real().BootTime();
        if (left <= absl::ZeroDuration()) {
          break;
        }
        changed_.WaitFor(mu_, left);
      }
      if (stopping_) {
        return;
      }
      woken_ = false;
    }
    function_();
  }
}

}  // namespace atoll::base
