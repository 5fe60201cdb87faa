#include "base/ids.h"

#include <gtest/gtest.h>

#include <sstream>

#include "absl/container/flat_hash_set.h"

namespace atoll::base {
namespace {

TEST(Ids, AVersionOrdersByEpochThenSequence) {
  const Version a(Epoch(1), Version::kMaxSequence);
  const Version b(Epoch(2), 0);
  EXPECT_LT(a, b);
  EXPECT_LT(b, Version(Epoch(2), 1));
  EXPECT_EQ(Version(a.raw()), a);
  EXPECT_EQ(a.epoch(), Epoch(1));
  EXPECT_EQ(a.sequence(), Version::kMaxSequence);
}

TEST(Ids, ASequenceNeverSpillsIntoTheEpoch) {
  const Version v(Epoch(7), Version::kMaxSequence + 2);
  EXPECT_EQ(v.epoch(), Epoch(7));
  EXPECT_EQ(v.sequence(), 1u);
}

TEST(Ids, TheLargestEpochFits) {
  const Version v(Epoch((1u << 24) - 1), 5);
  EXPECT_EQ(v.epoch(), Epoch((1u << 24) - 1));
  EXPECT_EQ(v.sequence(), 5u);
}

TEST(Ids, HashAndPrint) {
  absl::flat_hash_set<PartitionId> set = {PartitionId(1), PartitionId(2), PartitionId(1)};
  EXPECT_EQ(set.size(), 2u);
  std::ostringstream out;
  out << PartitionId(17) << " " << Version(Epoch(3), 9);
  EXPECT_EQ(out.str(), "17 3.9");
}

}  // namespace
}  // namespace atoll::base
