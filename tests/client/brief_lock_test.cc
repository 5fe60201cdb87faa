#include "client/brief_lock.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace atoll::client {
namespace {

TEST(BriefLock, OneThreadAtATimeHasIt) {
  constexpr int kThreads = 4;
  constexpr int kEach = 20'000;
  BriefLock lock;
  int count = 0;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < kEach; ++n) {
        const BriefLockHold hold(lock);
        ++count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, kThreads * kEach);
}

}  // namespace
}  // namespace atoll::client
