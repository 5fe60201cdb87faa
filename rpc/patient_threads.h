// Carries out what clients ask where the thread that took it from the completion queue has no time
// for it (Tag::Work), so that what goes on among nodes waits for nobody.
//
// Thread safety: Push from any thread. Ownership: Stop when nobody pushes any more; it returns when
// all that was pushed has been carried out. What is pushed is bounded by the calls that are under
// way, of which each has a few events at the most.
#pragma once

#include <atomic>
#include <deque>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "rpc/event_threads.h"

namespace atoll::rpc {

class PatientThreads final : private EventThreads {
 public:
  // `threads`: at the most.
  PatientThreads(std::string name, int threads)
      : EventThreads({.name = std::move(name), .threads = threads}) {}
  ~PatientThreads() override { Stop(); }

  using EventThreads::Event;
  using EventThreads::Start;

  void Push(const Event& event) ABSL_LOCKS_EXCLUDED(mu_);
  // Whether any wait that were pushed. Relaxed: whoever misses a change sees it the next time.
  bool empty() const { return waiting_.load(std::memory_order_relaxed) == 0; }
  // Safe to repeat. Not from a thread of it.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  Taken Take(Event& event) override { return TakeWithin(absl::InfiniteDuration(), event); }
  Taken TakeHelping(Event& event) override { return TakeWithin(kHelp, event); }
  Taken TakeWithin(absl::Duration patience, Event& event) ABSL_LOCKS_EXCLUDED(mu_);

  std::atomic<size_t> waiting_{0};
  base::Mutex mu_;
  base::CondVar came_;
  std::deque<Event> events_ ABSL_GUARDED_BY(mu_);
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace atoll::rpc
