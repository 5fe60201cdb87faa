#include "server/store/ghost.h"

#include <gtest/gtest.h>

namespace atoll::store {
namespace {

uint64_t HashOf(uint64_t n) { return (n + 1) * 0x9e3779b97f4a7c15; }

TEST(Ghost, RemembersOnceWhatWasAdded) {
  Ghost ghost;
  ghost.Add(HashOf(1));
  EXPECT_FALSE(ghost.Take(HashOf(1))) << "a ghost without a table";
  const GhostTable none = ghost.Resize(GhostTable(1000));
  EXPECT_EQ(none.bytes(), 0);
  EXPECT_GE(ghost.capacity(), 1000u);
  ghost.Add(HashOf(1));
  EXPECT_FALSE(ghost.Take(HashOf(2)));
  EXPECT_TRUE(ghost.Take(HashOf(1)));
  EXPECT_FALSE(ghost.Take(HashOf(1)));
}

TEST(Ghost, OneThatGrowsForgetsNothingUntilItHasFilled) {
  Ghost ghost;
  GhostTable done = ghost.Resize(GhostTable(16'000));
  for (uint64_t n = 0; n < 4000; ++n) ghost.Add(HashOf(n));
  done = ghost.Resize(GhostTable(32'000));
  const int64_t both = ghost.bytes();
  for (uint64_t n = 0; n < 1000; ++n) EXPECT_TRUE(ghost.Take(HashOf(n))) << n;
  for (uint64_t n = 0; n < 10'000; ++n) ghost.Add(HashOf(100'000 + n));
  EXPECT_EQ(ghost.TakeSpent().bytes(), 0) << "still of use";
  for (uint64_t n = 0; n < 10'000; ++n) ghost.Add(HashOf(200'000 + n));
  done = ghost.TakeSpent();
  EXPECT_GT(done.bytes(), 0);
  EXPECT_EQ(ghost.bytes(), both - done.bytes());
  EXPECT_FALSE(ghost.Take(HashOf(2000))) << "the table before is gone";
  EXPECT_TRUE(ghost.Take(HashOf(200'001)));
}

TEST(Ghost, ATableIsPopulatedInStepsAndStaysEmpty) {
  constexpr uint64_t kStep = 4096;
  GhostTable table(10'000);
  const auto bytes = static_cast<uint64_t>(table.bytes());
  uint64_t steps = 1;
  while (table.PopulateMore(kStep)) ++steps;
  EXPECT_EQ(steps, (bytes + kStep - 1) / kStep);
  EXPECT_FALSE(table.PopulateMore(kStep));
  for (uint64_t n = 0; n < 10'000; ++n) EXPECT_FALSE(table.Take(HashOf(n))) << n;
  EXPECT_FALSE(GhostTable().PopulateMore(kStep));
}

}  // namespace
}  // namespace atoll::store
