#include "rpc/event_threads.h"

#include <pthread.h>
#include <time.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "rpc/completion_queue.h"

namespace atoll::rpc {
namespace {

// Of what is taken, between two looks at the clock.
constexpr uint64_t kTakenPerLook = 16;

absl::Duration CpuOf(std::thread& thread) {
  clockid_t clock{};
  timespec taken{};
  if (pthread_getcpuclockid(thread.native_handle(), &clock) != 0) return absl::ZeroDuration();
  clock_gettime(clock, &taken);
  return absl::DurationFromTimespec(taken);
}

}  // namespace

EventThreads::EventThreads(Options options)
    : options_(std::move(options)),
      demand_(options_.always, options_.threads),
      wanted_(options_.always) {}

void EventThreads::Start() {
  helpers_.reserve(static_cast<size_t>(options_.threads));
  for (int i = 1; i < options_.threads; ++i) {
    helpers_.emplace_back([this, i] {
      NameThread(absl::StrCat(options_.name, i));
      RunHelper(i);
    });
  }
  first_ = std::thread([this] {
    NameThread(absl::StrCat(options_.name, 0));
    RunFirst();
  });
}

void EventThreads::WakeToEnd() {
  base::MutexLock lock(mu_);
  ending_ = true;
  changed_.SignalAll();
}

bool EventThreads::Join() {
  if (!first_.joinable()) return false;
  // It looks after the others until it ends.
  first_.join();
  for (std::thread& helper : helpers_) helper.join();
  helpers_.clear();
  return true;
}

void EventThreads::RunFirst() {
  time_.emplace();
  Event event;
  uint64_t events = 0;
  uint64_t taken = 0;
  for (Taken what = Taken::kNothing; (what = Take(event)) != Taken::kEnd;) {
    if (what == Taken::kEvent) {
      begun_.store(++events, std::memory_order_relaxed);
      Finish(event.tag, event.ok);
      done_.store(events, std::memory_order_relaxed);
    }
    if (++taken % kTakenPerLook == 0 && !helpers_.empty()) Observe();
  }
  time_.reset();
}

absl::Duration EventThreads::Worked() const {
  // Who looks for work has time left. By the clock: a thread that had to yield has some, too.
  return ThreadTime::Cpu() - Idled();
}

absl::Duration EventThreads::Waited() const {
  return time_.has_value() ? time_->Waited() : absl::ZeroDuration();
}

void EventThreads::Observe() {
  const absl::Duration now = base::Clock::Real().BootTime();
  if (!demand_.Due(now)) return;
  absl::Duration cpu = Worked();
  for (std::thread& helper : helpers_) cpu += CpuOf(helper);
  const int wanted = demand_.Observe(now, cpu, Waited());
  if (wanted == this->wanted()) return;
  base::MutexLock lock(mu_);
  wanted_.store(wanted, std::memory_order_relaxed);
  changed_.SignalAll();
}

bool EventThreads::SleepUntilWanted(int index, std::optional<uint64_t>* stuck_at) {
  std::optional<uint64_t> seen;
  base::MutexLock lock(mu_);
  while (!ending_) {
    const int wanted = this->wanted();
    if (wanted > index) return true;
    if (wanted < index) {
      changed_.Wait(mu_);
      continue;
    }
    // The next in line looks after the one that would call it.
    if (!changed_.WaitFor(mu_, kStuck)) continue;
    const uint64_t begun = begun_.load(std::memory_order_relaxed);
    const bool busy = begun != done_.load(std::memory_order_relaxed);
    if (busy && begun == seen) {
      *stuck_at = begun;
      return true;
    }
    seen = begun;
  }
  return false;
}

void EventThreads::Retire(int index) {
  base::MutexLock lock(mu_);
  if (wanted() == index + 1 && index >= options_.always) {
    wanted_.store(index, std::memory_order_relaxed);
  }
}

void EventThreads::RunHelper(int index) {
  Event event;
  std::optional<uint64_t> stuck_at;
  while (SleepUntilWanted(index, &stuck_at)) {
    do {
      switch (TakeHelping(event)) {
        case Taken::kEnd:
          return;
        case Taken::kEvent:
          Finish(event.tag, event.ok);
          break;
        case Taken::kElsewhere:
          break;
        case Taken::kNothing:
          Retire(index);
          break;
      }
    } while (wanted() > index || (stuck_at == begun_.load(std::memory_order_relaxed) &&
                                  stuck_at != done_.load(std::memory_order_relaxed)));
    stuck_at.reset();
  }
}

}  // namespace atoll::rpc
