#include "bench/simulated_cache.h"

#include <gtest/gtest.h>

#include <random>

namespace atoll::bench {
namespace {

TEST(SimulatedCache, KeepsWhatFits) {
  SimulatedCache cache(10);
  for (uint64_t key = 0; key < 10; ++key) EXPECT_FALSE(cache.Access(key, 1));
  for (uint64_t key = 0; key < 10; ++key) EXPECT_TRUE(cache.Access(key, 1));
}

TEST(SimulatedCache, NeverHoldsMoreThanItsCapacity) {
  std::mt19937_64 random(1);
  SimulatedCache cache(1000);
  for (int i = 0; i < 100'000; ++i) {
    const uint64_t key = random() % 5000;
    cache.Access(key, 1 + key % 50);
    ASSERT_LE(cache.used(), 1000u);
  }
}

TEST(SimulatedCache, AScanDoesNotDriveOutWhatIsRead) {
  SimulatedCache cache(100);
  for (int round = 0; round < 3; ++round) {
    for (uint64_t key = 0; key < 50; ++key) cache.Access(key, 1);
  }
  for (uint64_t key = 1000; key < 2000; ++key) cache.Access(key, 1);
  int kept = 0;
  for (uint64_t key = 0; key < 50; ++key) kept += cache.Access(key, 1) ? 1 : 0;
  EXPECT_GE(kept, 45);
}

TEST(SimulatedCache, AnEntryLargerThanTheCacheIsNotKept) {
  SimulatedCache cache(10);
  EXPECT_FALSE(cache.Access(1, 11));
  EXPECT_FALSE(cache.Access(1, 11));
  EXPECT_EQ(cache.used(), 0u);
}

}  // namespace
}  // namespace atoll::bench
