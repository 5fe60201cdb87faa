#include "ring/hash_ring.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/hash.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ring/placement.h"
#include "tests/ring/cluster_model.h"

namespace atoll::ring {
namespace {

using base::PartitionId;
using ::testing::ElementsAre;

std::vector<std::string> Names(int count) {
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.push_back("node-" + std::to_string(i));
  return names;
}

HashRing MakeRing(const std::vector<std::string>& names) {
  std::vector<RingNode> nodes;
  for (const std::string& name : names) nodes.push_back({name, 1});
  return HashRing(nodes);
}

TEST(HashRing, PrefersEachNodeOnce) {
  const HashRing ring = MakeRing(Names(20));
  for (uint16_t p = 0; p < 4096; p += 97) {
    std::vector<uint32_t> order = ring.Preference(PartitionId(p), 100);
    ASSERT_EQ(order.size(), 20u);
    std::sort(order.begin(), order.end());
    for (uint32_t i = 0; i < 20; ++i) EXPECT_EQ(order[i], i);
  }
}

TEST(HashRing, OwnersDoNotDependOnTheOrderOfNodes) {
  const std::vector<std::string> names = Names(9);
  const std::vector<std::string> reversed(names.rbegin(), names.rend());
  const HashRing one = MakeRing(names);
  const HashRing two = MakeRing(reversed);
  for (uint16_t p = 0; p < 4096; ++p) {
    const auto a = one.Preference(PartitionId(p), 3);
    const auto b = two.Preference(PartitionId(p), 3);
    for (size_t i = 0; i < 3; ++i) EXPECT_EQ(names[a[i]], reversed[b[i]]);
  }
}

TEST(HashRing, ANodeThatGoesLeavesTheOrderOfTheOthers) {
  std::vector<std::string> names = Names(9);
  const HashRing all = MakeRing(names);
  names.pop_back();
  const HashRing fewer = MakeRing(names);
  for (uint16_t p = 0; p < 4096; ++p) {
    std::vector<uint32_t> order = all.Preference(PartitionId(p), 9);
    order.erase(std::find(order.begin(), order.end(), 8u));
    EXPECT_EQ(order, fewer.Preference(PartitionId(p), 8));
  }
}

TEST(HashRing, WeightDrawsPreference) {
  const HashRing ring({{"light", 1}, {"heavy", 3}});
  int heavy = 0;
  for (uint16_t p = 0; p < 4096; ++p) heavy += ring.Preference(PartitionId(p), 1)[0] == 1 ? 1 : 0;
  EXPECT_NEAR(heavy, 3072, 307);
}

TEST(HashRing, KeepsItsSizeBoundedUnderGreatWeights) {
  const std::vector<std::string> names = Names(300);
  std::vector<RingNode> nodes;
  for (const std::string& name : names) nodes.push_back({name, 100});
  EXPECT_EQ(HashRing(nodes).Preference(PartitionId(1), 300).size(), 300u);
}

TEST(HashRing, OfNobodyIsEmpty) { EXPECT_TRUE(HashRing({}).Preference(PartitionId(0), 3).empty()); }

// Golden values: a node of another version must come to the same placement.
TEST(HashRing, IsPinned) {
  const HashRing ring = MakeRing(Names(6));
  EXPECT_THAT(ring.Preference(PartitionId(0), 6), ElementsAre(3, 5, 0, 2, 4, 1));
  EXPECT_THAT(ring.Preference(PartitionId(2048), 6), ElementsAre(3, 0, 4, 2, 1, 5));
  EXPECT_THAT(ring.Preference(PartitionId(4095), 6), ElementsAre(3, 2, 5, 0, 4, 1));
}

uint64_t Digest(const PlacementMap& map) {
  std::string text;
  for (const Placement& placement : map.partitions) {
    text += map.FindMember(placement.primary)->name + ":";
    for (const base::Incarnation node : placement.isr) text += map.FindMember(node)->name + ",";
    text += std::to_string(placement.history) + ";";
  }
  return base::HashKey("golden", text);
}

TEST(Placement, IsPinned) {
  EXPECT_EQ(Digest(ClusterModel({.nodes = 3, .rf = 2}).map()), 12299985756590235010u);
  ClusterModel zoned({.nodes = 10, .rf = 3, .zones = 3});
  EXPECT_EQ(Digest(zoned.map()), 1080521539650007908u);
  zoned.Join();
  zoned.Kill("n4");
  zoned.Settle();
  EXPECT_EQ(Digest(zoned.map()), 7601927032998396457u);
}

}  // namespace
}  // namespace atoll::ring
