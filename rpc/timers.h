// Things to be done later, on a completion queue's thread.
//
// Thread safety: all methods. Tasks run on the queue's poller, one at a time, with no lock held;
// they must not block. Ownership: the queue outlives this object; Stop comes before the queue's.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "base/mutex.h"

namespace grpc {
class CompletionQueue;
}

namespace atoll::rpc {

class Timers {
 public:
  using Task = absl::AnyInvocable<void()>;

  explicit Timers(grpc::CompletionQueue* queue);
  ~Timers();
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;

  // Runs `task` at `when` on base::Clock::Real().BootTime(), or soon if that is past. After Stop
  // the task is dropped, and the answer is 0. The number is for Cancel.
  uint64_t At(absl::Duration when, Task task) ABSL_LOCKS_EXCLUDED(mu_);
  uint64_t After(absl::Duration delay, Task task) ABSL_LOCKS_EXCLUDED(mu_);
  // False if the task runs, has run or will be run all the same.
  bool Cancel(uint64_t id) ABSL_LOCKS_EXCLUDED(mu_);
  // Drops what waits and returns when no task runs any more. Not from a task; safe to repeat.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  class AlarmTag;

  void Fire() ABSL_LOCKS_EXCLUDED(mu_);
  void ArmLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  std::unique_ptr<AlarmTag> alarm_;
  base::Mutex mu_;
  base::CondVar idle_;
  // By time, then number.
  std::map<std::pair<absl::Duration, uint64_t>, Task> tasks_ ABSL_GUARDED_BY(mu_);
  std::map<uint64_t, absl::Duration> times_ ABSL_GUARDED_BY(mu_);
  uint64_t next_id_ ABSL_GUARDED_BY(mu_) = 1;
  // The alarm is with the queue. It must come back before it may be set anew.
  bool armed_ ABSL_GUARDED_BY(mu_) = false;
  absl::Duration armed_for_ ABSL_GUARDED_BY(mu_);
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace atoll::rpc
