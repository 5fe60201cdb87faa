#include "server/store/tombstones.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/server/store/store_test_util.h"

namespace atoll::store {
namespace {

using base::Version;

constexpr int64_t kPlenty = 1 << 20;

TEST(Tombstones, RememberTheGreatestVersionOfAHash) {
  TombstoneBudget budget(kPlenty);
  Tombstones tombstones(&budget);
  EXPECT_TRUE(tombstones.Remember(1, Version(5), kPlenty));
  EXPECT_TRUE(tombstones.Remember(1, Version(3), kPlenty));
  EXPECT_EQ(tombstones.Find(1), Version(5));
  EXPECT_TRUE(tombstones.Remember(1, Version(7), kPlenty));
  EXPECT_EQ(tombstones.Find(1), Version(7));
  EXPECT_EQ(tombstones.Find(2), Version());
  EXPECT_EQ(tombstones.size(), 1u);
  EXPECT_TRUE(tombstones.Forget(1));
  EXPECT_FALSE(tombstones.Forget(1));
  EXPECT_EQ(tombstones.Find(1), Version());
}

TEST(Tombstones, OneKeyOverAndOverTakesNoMore) {
  TombstoneBudget budget(kPlenty);
  Tombstones tombstones(&budget);
  // An older one that stays, in front of all that comes and goes.
  tombstones.Remember(1, Version(1), kPlenty);
  tombstones.Remember(2, Version(2), kPlenty);
  const int64_t before = budget.bytes();
  for (uint64_t i = 3; i < 1'000'000; ++i) {
    tombstones.Remember(2, Version(i), kPlenty);
    if (i % 3 == 0) tombstones.Forget(2);
    ASSERT_LE(budget.bytes(), before);
  }
  EXPECT_EQ(tombstones.Find(1), Version(1));
}

TEST(Tombstones, ForgetWhatIsCommittedOldestFirstASliceAtATime) {
  TombstoneBudget budget(kPlenty);
  Tombstones tombstones(&budget);
  for (uint64_t i = 1; i <= 500; ++i) tombstones.Remember(i, Version(i), kPlenty);
  EXPECT_TRUE(tombstones.ForgetUpTo(Version(250), 150));
  EXPECT_EQ(tombstones.size(), 350u);
  EXPECT_EQ(tombstones.Find(150), Version());
  EXPECT_EQ(tombstones.Find(151), Version(151));
  EXPECT_FALSE(tombstones.ForgetUpTo(Version(250), 150));
  EXPECT_EQ(tombstones.size(), 250u);
  EXPECT_EQ(tombstones.ForgetOldest(), Version(251));
  EXPECT_FALSE(tombstones.ForgetUpTo(Version(500), 500));
  EXPECT_EQ(tombstones.size(), 0u);
  EXPECT_EQ(budget.bytes(), 0);
  EXPECT_EQ(tombstones.ForgetOldest(), Version());
}

TEST(Tombstones, ASliceGivesBackAllThatItLeavesFree) {
  TombstoneBudget budget(kPlenty);
  Tombstones tombstones(&budget);
  for (uint64_t i = 1; i <= 128; ++i) tombstones.Remember(i, Version(i), kPlenty);
  tombstones.ForgetUpTo(Version(127), 128);
  EXPECT_EQ(tombstones.size(), 1u);
  EXPECT_EQ(budget.bytes(), int64_t{4} * 24) << "the least block";
}

TEST(Tombstones, AllPartitionsShareOneBudget) {
  TombstoneBudget budget(kPlenty);
  Tombstones one(&budget);
  Tombstones other(&budget);
  const int64_t most = 3000;
  uint64_t taken = 0;
  while (one.Remember(taken, Version(taken + 1), most)) ++taken;
  EXPECT_LE(budget.bytes(), most);
  EXPECT_EQ(one.size(), taken) << "what was refused is not in it";
  while (other.Remember(taken, Version(taken + 1), most)) ++taken;
  EXPECT_LE(budget.bytes(), most);
  EXPECT_GE(taken, 64u);
  for (uint64_t i = 0; i < taken; ++i) {
    EXPECT_EQ(one.Find(i) == Version() ? other.Find(i) : one.Find(i), Version(i + 1));
  }
  EXPECT_TRUE(one.Remember(1, Version(9999), most)) << "a known hash takes no more room";
}

TEST(Tombstones, APartitionHasItsMost) {
  TombstoneBudget budget(kPlenty);
  Tombstones tombstones(&budget);
  for (uint64_t i = 0; i < Tombstones::kMost; ++i) {
    ASSERT_TRUE(tombstones.Remember(i * 77, Version(i + 1), kPlenty));
  }
  EXPECT_FALSE(tombstones.Remember(1, Version(9999), kPlenty));
}

TEST(Tombstones, AgreeWithAMap) {
  std::mt19937_64 random(TestSeed());
  TombstoneBudget budget(kPlenty);
  {
    Tombstones tombstones(&budget);
    std::map<uint64_t, Version> expected;
    for (uint64_t i = 1; i < 300'000; ++i) {
      // They come and go in waves, so that it grows and shrinks.
      const uint64_t hash = random() % Tombstones::kMost * 0x10001;
      if (random() % 100 < (i / 20'000 % 2 == 0 ? 70 : 20)) {
        ASSERT_TRUE(tombstones.Remember(hash, Version(i), kPlenty));
        expected[hash] = Version(i);
      } else {
        ASSERT_EQ(tombstones.Forget(hash), expected.erase(hash) == 1);
      }
      if (i % 30'000 == 0) {
        const Version committed(i - random() % 2000);
        while (tombstones.ForgetUpTo(committed, 100)) {
        }
        std::erase_if(expected, [&](const auto& one) { return one.second <= committed; });
      }
      ASSERT_EQ(tombstones.size(), expected.size());
      ASSERT_EQ(budget.bytes(), tombstones.bytes());
      ASSERT_LE(tombstones.bytes(), static_cast<int64_t>(4 * expected.size() + 4) * 24);
      const auto it = expected.find(random() % Tombstones::kMost * 0x10001);
      if (it != expected.end()) {
        ASSERT_EQ(tombstones.Find(it->first), it->second);
      }
    }
  }
  EXPECT_EQ(budget.bytes(), 0);
}

}  // namespace
}  // namespace atoll::store
