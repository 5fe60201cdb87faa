// A thread that calls a function at an interval until it is stopped.
//
// Thread safety: all methods. The function runs on the one thread, never twice at a time, with no
// lock held. Ownership: whoever makes it stops it; the destructor does so too.
#pragma once

#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "base/mutex.h"

namespace atoll::base {

class Periodic {
 public:
  // Calls first after one interval; the interval is counted from the end of a call.
  Periodic(absl::Duration interval, absl::AnyInvocable<void()> function);
  ~Periodic();
  Periodic(const Periodic&) = delete;
  Periodic& operator=(const Periodic&) = delete;

  // Calls at once (after the call under way, if there is one) instead of at the interval's end.
  void Wake() ABSL_LOCKS_EXCLUDED(mu_);
  // Returns when the call under way has ended and none will follow. Not from the function.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mu_);

  const absl::Duration interval_;
  absl::AnyInvocable<void()> function_;  // used by the thread only
  Mutex mu_;
  CondVar changed_;
  bool woken_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  // Taken by the first Stop.
  std::thread thread_ ABSL_GUARDED_BY(mu_);
};

}  // namespace atoll::base
