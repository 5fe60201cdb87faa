#include "rpc/patient_threads.h"

#include "rpc/completion_queue.h"

namespace atoll::rpc {

void PatientThreads::Push(const Event& event) {
  base::MutexLock lock(mu_);
  events_.push_back(event);
  waiting_.store(events_.size(), std::memory_order_relaxed);
  came_.Signal();
}

EventThreads::Taken PatientThreads::TakeWithin(absl::Duration patience, Event& event) {
  base::MutexLock lock(mu_);
  while (events_.empty()) {
    if (stopped_) return Taken::kEnd;
    if (patience == absl::InfiniteDuration()) {
      came_.Wait(mu_);
    } else if (came_.WaitFor(mu_, patience) && events_.empty()) {
      return stopped_ ? Taken::kEnd : Taken::kNothing;
    }
  }
  event = events_.front();
  events_.pop_front();
  waiting_.store(events_.size(), std::memory_order_relaxed);
  return Taken::kEvent;
}

void PatientThreads::Stop() {
  {
    base::MutexLock lock(mu_);
    stopped_ = true;
    came_.SignalAll();
  }
  WakeToEnd();
  if (Join()) return;
  // Never started.
  for (Event event; Take(event) == Taken::kEvent;) Finish(event.tag, event.ok);
}

}  // namespace atoll::rpc
