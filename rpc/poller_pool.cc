#include "rpc/poller_pool.h"

#include <fcntl.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "rpc/completion_queue.h"

namespace atoll::rpc {
namespace {

// Events between two looks at the clock.
constexpr uint64_t kEventsPerLook = 16;

absl::Duration CpuOf(std::thread& thread) {
  clockid_t clock{};
  timespec taken{};
  if (pthread_getcpuclockid(thread.native_handle(), &clock) != 0) return absl::ZeroDuration();
  clock_gettime(clock, &taken);
  return absl::DurationFromTimespec(taken);
}

// The second number of a schedstat, in nanoseconds. A kernel that does not count says 0.
absl::Duration WaitedBy(int schedstat) {
  char text[96];
  const ssize_t size = schedstat < 0 ? 0 : pread(schedstat, text, sizeof text, 0);
  if (size <= 0) return absl::ZeroDuration();
  const char* const end = text + size;
  int64_t cpu = 0;
  int64_t waited = 0;
  const std::from_chars_result first = std::from_chars(text, end, cpu);
  if (first.ptr == end) return absl::ZeroDuration();
  std::from_chars(first.ptr + 1, end, waited);
  return absl::Nanoseconds(waited);
}

}  // namespace

PollerPool::PollerPool(Options options, std::unique_ptr<grpc::ServerCompletionQueue> queue)
    : options_(std::move(options)),
      queue_(std::move(queue)),
      attentive_(queue_.get()),
      demand_(options_.always, options_.threads),
      wanted_(options_.always) {}

PollerPool::~PollerPool() { Stop(); }

void PollerPool::Start() {
  helpers_.reserve(static_cast<size_t>(options_.threads));
  for (int i = 1; i < options_.threads; ++i) {
    helpers_.emplace_back([this, i] {
      NameThread(absl::StrCat(options_.name, i));
      RunHelper(i);
    });
  }
  first_ = std::thread([this] {
    NameThread(absl::StrCat(options_.name, 0));
    if (options_.rare) {
      RunRarely();
    } else {
      RunFirst();
    }
  });
}

void PollerPool::Stop() {
  if (std::exchange(stopped_, true)) return;
  {
    base::MutexLock lock(mu_);
    stopping_ = true;
    changed_.SignalAll();
  }
  queue_->Shutdown();
  for (std::thread& helper : helpers_) helper.join();
  if (first_.joinable()) {
    first_.join();
    return;
  }
  RunFirst();  // Never started: the queue must be drained all the same.
}

void PollerPool::RunFirst() {
  if (!helpers_.empty()) waits_ = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  void* tag = nullptr;
  bool ok = false;
  uint64_t events = 0;
  constexpr auto kForever = AttentiveQueue::Time::max();
  while (attentive_.Next(kForever, &tag, &ok) == grpc::CompletionQueue::GOT_EVENT) {
    begun_.store(++events, std::memory_order_relaxed);
    Finish(tag, ok);
    done_.store(events, std::memory_order_relaxed);
    if (events % kEventsPerLook == 0 && !helpers_.empty()) Observe();
  }
  if (waits_ >= 0) close(waits_);
}

void PollerPool::RunRarely() {
  void* tag = nullptr;
  bool ok = false;
  while (true) {
    switch (queue_->AsyncNext(&tag, &ok, std::chrono::system_clock::now())) {
      case grpc::CompletionQueue::SHUTDOWN:
        return;
      case grpc::CompletionQueue::GOT_EVENT:
        Finish(tag, ok);
        break;
      case grpc::CompletionQueue::TIMEOUT: {
        base::MutexLock lock(mu_);
        if (!stopping_) changed_.WaitFor(mu_, kRare);
        break;
      }
    }
  }
}

void PollerPool::Observe() {
  const absl::Duration now = base::Clock::Real().BootTime();
  if (!demand_.Due(now)) return;
  timespec own{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &own);
  // Who looks for work has time left. By the clock: a thread that had to yield has some, too.
  absl::Duration cpu = absl::DurationFromTimespec(own) - attentive_.looked();
  for (std::thread& helper : helpers_) cpu += CpuOf(helper);
  const int wanted = demand_.Observe(now, cpu, WaitedBy(waits_));
  if (wanted == this->wanted()) return;
  base::MutexLock lock(mu_);
  wanted_.store(wanted, std::memory_order_relaxed);
  changed_.SignalAll();
}

bool PollerPool::SleepUntilWanted(int index, std::optional<uint64_t>* stuck_at) {
  std::optional<uint64_t> seen;
  base::MutexLock lock(mu_);
  while (!stopping_) {
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

void PollerPool::Retire(int index) {
  base::MutexLock lock(mu_);
  if (wanted() == index + 1 && index >= options_.always) {
    wanted_.store(index, std::memory_order_relaxed);
  }
}

void PollerPool::RunHelper(int index) {
  constexpr std::chrono::milliseconds kLook(10);
  void* tag = nullptr;
  bool ok = false;
  std::optional<uint64_t> stuck_at;
  while (SleepUntilWanted(index, &stuck_at)) {
    do {
      switch (queue_->AsyncNext(&tag, &ok, std::chrono::system_clock::now() + kLook)) {
        case grpc::CompletionQueue::SHUTDOWN:
          return;
        case grpc::CompletionQueue::GOT_EVENT:
          Finish(tag, ok);
          break;
        case grpc::CompletionQueue::TIMEOUT:
          Retire(index);
          break;
      }
    } while (wanted() > index || stuck_at == begun_.load(std::memory_order_relaxed));
    stuck_at.reset();
  }
}

}  // namespace atoll::rpc
