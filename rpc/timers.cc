#include "rpc/timers.h"

#include <grpc/support/time.h>
#include <grpcpp/alarm.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "base/clock.h"
#include "rpc/completion_queue.h"

namespace atoll::rpc {

class Timers::AlarmTag final : public Tag {
 public:
  AlarmTag(Timers* timers, grpc::CompletionQueue* queue) : timers_(timers), queue_(queue) {}
  void Proceed(bool /*ok*/) override { timers_->Fire(); }
  void Set(absl::Duration delay) {
    // gRPC rounds up to milliseconds: what is due is not to wait for one.
    if (delay <= absl::ZeroDuration()) {
      return alarm_.Set(queue_, gpr_inf_past(GPR_CLOCK_REALTIME), Arm());
    }
    const auto at =
        std::chrono::system_clock::now() +
        std::chrono::ceil<std::chrono::system_clock::duration>(absl::ToChronoNanoseconds(delay));
    alarm_.Set(queue_, at, Arm());
  }
  void Cancel() { alarm_.Cancel(); }

 private:
  Timers* const timers_;
  grpc::CompletionQueue* const queue_;
  grpc::Alarm alarm_;
};

Timers::Timers(grpc::CompletionQueue* queue) : alarm_(std::make_unique<AlarmTag>(this, queue)) {}

Timers::~Timers() { Stop(); }

uint64_t Timers::After(absl::Duration delay, Task task) {
  return At(base::Clock::Real().BootTime() + delay, std::move(task));
}

uint64_t Timers::At(absl::Duration when, Task task) {
  base::MutexLock lock(mu_);
  if (stopped_) return 0;
  const uint64_t id = next_id_++;
  tasks_.emplace(std::make_pair(when, id), std::move(task));
  times_.emplace(id, when);
  if (!armed_) {
    ArmLocked();
  } else if (when < armed_for_) {
    alarm_->Cancel();  // Comes back by Fire, which arms it for the earliest.
  }
  return id;
}

bool Timers::Cancel(uint64_t id) {
  Task dropped;  // Destroyed without the lock: it may own anything.
  base::MutexLock lock(mu_);
  const auto time = times_.find(id);
  if (time == times_.end()) return false;
  const auto task = tasks_.find({time->second, id});
  dropped = std::move(task->second);
  tasks_.erase(task);
  times_.erase(time);
  return true;
}

void Timers::ArmLocked() {
  if (stopped_ || tasks_.empty()) return;
  armed_ = true;
  armed_for_ = tasks_.begin()->first.first;
  alarm_->Set(std::max(absl::ZeroDuration(), armed_for_ - base::Clock::Real().BootTime()));
}

void Timers::Fire() {
  std::vector<Task> due;
  {
    base::MutexLock lock(mu_);
    const absl::Duration now = base::Clock::Real().BootTime();
    while (!stopped_ && !tasks_.empty() && tasks_.begin()->first.first <= now) {
      times_.erase(tasks_.begin()->first.second);
      due.push_back(std::move(tasks_.begin()->second));
      tasks_.erase(tasks_.begin());
    }
  }
  // `armed_` stays set meanwhile, so that Stop waits for the tasks.
  for (Task& task : due) task();
  due.clear();
  base::MutexLock lock(mu_);
  armed_ = false;
  ArmLocked();
  if (!armed_) idle_.SignalAll();
}

void Timers::Stop() {
  std::map<std::pair<absl::Duration, uint64_t>, Task> dropped;
  base::MutexLock lock(mu_);
  stopped_ = true;
  dropped.swap(tasks_);
  times_.clear();
  if (armed_) alarm_->Cancel();
  while (armed_) idle_.Wait(mu_);
}

}  // namespace atoll::rpc
