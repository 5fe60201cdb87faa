#include "client/step_aside.h"

#include <grpcpp/completion_queue.h>

#include <chrono>

namespace atoll::client {

void StepAside::Ask() {
  base::MutexLock lock(mu_);
  if (stopped_ || away()) return;
  away_.store(true, std::memory_order_relaxed);
  recalled_ = false;
  alarm_.Set(queue_, std::chrono::system_clock::now(), Arm());
}

void StepAside::Wake() {
  base::MutexLock lock(mu_);
  recalled_ = true;
  changed_.Signal();
}

void StepAside::Stop() {
  base::MutexLock lock(mu_);
  stopped_ = recalled_ = true;
  changed_.Signal();
}

void StepAside::Proceed(bool /*ok*/) {
  base::MutexLock lock(mu_);
  while (!recalled_ && !changed_.WaitFor(mu_, kAway)) {
  }
  away_.store(false, std::memory_order_relaxed);
}

}  // namespace atoll::client
