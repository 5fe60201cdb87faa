#include "rpc/wake_group.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "rpc/batch_stream.h"

namespace atoll::rpc {
namespace {

struct alignas(64) Word {
  // Counted up by each wake-up.
  std::atomic<uint32_t> wakes{0};
  // Waiters that sleep, or are about to.
  std::atomic<uint32_t> asleep{0};
};
constinit Word words[Waiter::kGroups];

thread_local WakeScope* scope = nullptr;

void WakeAll(uint16_t group) {
  Word& word = words[group];
  // Sequentially consistent, as in Wait: either this sees the sleeper, or that sees the count.
  word.wakes.fetch_add(1);
  if (word.asleep.load() == 0) return;
  syscall(SYS_futex, &word.wakes, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace

Waiter::Waiter() {
  static std::atomic<uint16_t> threads{0};
  thread_local const uint16_t mine = threads.fetch_add(1, std::memory_order_relaxed);
  group_ = mine % kGroups;
}

bool Waiter::GiveWay() {
  for (int i = 0; i < kTimesToGiveWay; ++i) {
    sched_yield();
    if (done_.load(std::memory_order_acquire)) return true;
  }
  crowd_->SendHeld();
  return false;
}

void Waiter::Wait() {
  if (done_.load(std::memory_order_acquire)) return;
  // Who does not sleep need not be woken: for most messages the kernel is not called.
  if (crowd_ != nullptr && GiveWay()) return;
  Word& word = words[group_];
  word.asleep.fetch_add(1);
  for (;;) {
    const uint32_t seen = word.wakes.load();
    // After the count: a wake-up behind this look finds another count, and the kernel does not let
    // the thread sleep.
    if (done_.load(std::memory_order_acquire)) break;
    syscall(SYS_futex, &word.wakes, FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
  }
  word.asleep.fetch_sub(1, std::memory_order_relaxed);
}

void Waiter::Wake() {
  const uint16_t group = group_;
  done_.store(true, std::memory_order_release);
  // The waiter may be gone from here on.
  if (scope == nullptr) return WakeAll(group);
  uint16_t* const end = scope->groups_ + scope->count_;
  if (std::find(scope->groups_, end, group) != end) return;
  if (scope->count_ == WakeScope::kMostGroups) return WakeAll(group);
  *end = group;
  ++scope->count_;
}

WakeScope::WakeScope() : outermost_(scope == nullptr) {
  if (outermost_) scope = this;
}

WakeScope::~WakeScope() {
  if (!outermost_) return;
  Flush();
  scope = nullptr;
}

void WakeScope::Flush() {
  if (scope == nullptr) return;
  for (size_t i = 0; i < scope->count_; ++i) WakeAll(scope->groups_[i]);
  scope->count_ = 0;
}

}  // namespace atoll::rpc
