#include "rpc/wake_group.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace atoll::rpc {
namespace {

TEST(Waiter, ReturnsAtOnceWhenItWasWokenBefore) {
  Waiter waiter;
  waiter.Wake();
  waiter.Wait();
}

TEST(Waiter, SeesWhatWasDoneBeforeItsWakeUpAndMayBeGoneAfterwards) {
  // Two threads wake each other; each waiter lives for one turn.
  constexpr int kTurns = 3000;
  struct Turn {
    Waiter waiter;
    int written = 0;
  };
  std::vector<std::unique_ptr<Turn>> turns;
  for (int i = 0; i < 2 * kTurns; ++i) turns.push_back(std::make_unique<Turn>());
  const auto play = [&](int first) {
    for (int i = first; i < 2 * kTurns; i += 2) {
      if (i > 0) {
        std::unique_ptr<Turn>& before = turns[static_cast<size_t>(i - 1)];
        before->waiter.Wait();
        ASSERT_EQ(before->written, i - 1);
        before.reset();
      }
      Turn& mine = *turns[static_cast<size_t>(i)];
      mine.written = i;
      mine.waiter.Wake();
    }
  };
  std::thread other([&] { play(1); });
  play(0);
  other.join();
}

TEST(Waiter, ThoseOfOneGroupAreWokenTogetherAndGoBackToSleepIfItWasNotForThem) {
  constexpr int kWaiters = 8;
  std::vector<std::unique_ptr<Waiter>> waiters;
  for (int i = 0; i < kWaiters; ++i) {
    waiters.push_back(std::make_unique<Waiter>());
    waiters.back()->JoinGroup(7);
  }
  std::atomic<int> returned{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kWaiters; ++i) {
    threads.emplace_back([&, i] {
      waiters[static_cast<size_t>(i)]->Wait();
      ++returned;
    });
  }
  for (int i = 0; i < kWaiters; ++i) {
    EXPECT_LE(returned, i);
    waiters[static_cast<size_t>(i)]->Wake();
    while (returned <= i) std::this_thread::yield();
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(WakeScope, PutsOffWakeUpsUntilItEndsOrIsFlushed) {
  Waiter first, second;
  first.JoinGroup(1);
  second.JoinGroup(2);
  std::atomic<int> returned{0};
  std::thread one([&] {
    first.Wait();
    ++returned;
  });
  std::thread two([&] {
    second.Wait();
    ++returned;
  });
  {
    const WakeScope scope;
    const WakeScope inner;  // Does nothing.
    first.Wake();
    WakeScope::Flush();
    while (returned == 0) std::this_thread::yield();
    second.Wake();
  }
  one.join();
  two.join();
}

// Groups of everybody's, flags of one's own: nobody misses a wake-up, nobody returns without.
TEST(WakeScope, ManyWaitersOfAFewGroups) {
  constexpr int kThreads = 4;
  constexpr int kTurns = 2000;
  struct Slot {
    std::atomic<Waiter*> waiter{nullptr};
    int written = 0;
  };
  std::vector<Slot> slots(kThreads);
  std::atomic<int> over{0};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 1; i <= kTurns; ++i) {
        Waiter waiter;
        waiter.JoinGroup(static_cast<size_t>(i) % 3);
        slots[t].waiter.store(&waiter);
        waiter.Wait();
        ASSERT_EQ(slots[t].written, i);
      }
      ++over;
    });
  }
  while (over < kThreads) {
    const WakeScope scope;
    for (Slot& slot : slots) {
      if (Waiter* const waiter = slot.waiter.exchange(nullptr)) {
        ++slot.written;
        waiter->Wake();
      }
    }
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace atoll::rpc
