#include "base/brief_lock.h"

#include <gtest/gtest.h>

#include <future>
#include <thread>
#include <vector>

namespace atoll::base {
namespace {

bool IsFree(BriefLock& lock) {
  if (!lock.TryLock()) return false;
  lock.Unlock();
  return true;
}

TEST(BriefLock, OneHolderAtATime) {
  BriefLock lock;
  {
    const BriefLockHold hold(lock);
    EXPECT_FALSE(std::async(std::launch::async, [&] { return IsFree(lock); }).get());
  }
  EXPECT_TRUE(IsFree(lock));
  EXPECT_TRUE(IsFree(lock));
}

// Those that came to sleep go on, the last one of several too: else this never ends.
TEST(BriefLock, WhoWaitsGoesOn) {
  constexpr int kThreads = 8;
  constexpr uint64_t kRounds = 50'000;
  BriefLock lock;
  uint64_t plain = 0;  // guarded by lock
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (uint64_t round = 0; round < kRounds; ++round) {
        const BriefLockHold hold(lock);
        ++plain;
        // Off its core with the lock held, so that others come to sleep.
        if (round % 1000 == 0) std::this_thread::yield();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(plain, kThreads * kRounds);
  EXPECT_TRUE(IsFree(lock));
}

}  // namespace
}  // namespace atoll::base
