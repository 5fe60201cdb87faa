#include "base/small_mutex.h"

#include <gtest/gtest.h>

#include <future>
#include <thread>
#include <vector>

namespace atoll::base {
namespace {

bool IsFree(SmallMutex& mu) {
  if (!mu.TryLock()) return false;
  mu.Unlock();
  return true;
}

TEST(SmallMutex, OneHolderAtATime) {
  SmallMutex mu;
  {
    const SmallMutexLock lock(mu);
    EXPECT_FALSE(std::async(std::launch::async, [&] { return IsFree(mu); }).get());
  }
  EXPECT_TRUE(IsFree(mu));
  EXPECT_TRUE(IsFree(mu));
}

// Threads that sleep are woken, the last one of several too: else this never ends.
TEST(SmallMutex, WhoWaitsIsWoken) {
  constexpr int kThreads = 8;
  constexpr uint64_t kRounds = 50'000;
  SmallMutex mu;
  uint64_t plain = 0;  // guarded by mu
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (uint64_t round = 0; round < kRounds; ++round) {
        const SmallMutexLock lock(mu);
        ++plain;
        // Off its core with the mutex held, so that others come to sleep.
        if (round % 1000 == 0) std::this_thread::yield();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(plain, kThreads * kRounds);
  EXPECT_TRUE(IsFree(mu));
}

}  // namespace
}  // namespace atoll::base
