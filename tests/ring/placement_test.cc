// Single steps of placement on small clusters; its figures over random churn are in
// placement_property_test.cc.
#include "ring/placement.h"

#include <map>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/ring/cluster_model.h"

namespace atoll::ring {
namespace {

using base::Epoch;
using base::Incarnation;
using base::PartitionId;

TEST(FirstAssignment, SeatsEveryoneInSyncWithEvenRoles) {
  ClusterModel cluster({.nodes = 3, .rf = 2});
  std::map<Incarnation, int> primaries;
  std::map<Incarnation, int> copies;
  for (const Placement& placement : cluster.map().partitions) {
    EXPECT_EQ(placement.epoch, Epoch(1));
    EXPECT_EQ(placement.isr_version, 1u);
    EXPECT_NE(placement.history, 0u);
    EXPECT_EQ(placement.reset_epoch, 0u);
    ASSERT_EQ(placement.isr.size(), 2u);
    EXPECT_TRUE(placement.learners.empty());
    EXPECT_TRUE(placement.InIsr(placement.primary));
    ++primaries[placement.primary];
    for (const Incarnation node : placement.isr) ++copies[node];
  }
  for (const auto& [node, count] : primaries) EXPECT_THAT(count, ::testing::AnyOf(1365, 1366));
  for (const auto& [node, count] : copies) EXPECT_THAT(count, ::testing::AnyOf(2730, 2731));
  EXPECT_EQ(primaries.size(), 3u);
}

TEST(FirstAssignment, IsPutOffWhileNobodyIsUp) {
  PlacementMap map;
  map.replication_factor = 2;
  EXPECT_TRUE(FirstAssignment(map, 1).partitions.empty());
}

TEST(FirstAssignment, OneNodeHoldsEverythingOnce) {
  ClusterModel cluster({.nodes = 1, .rf = 2});
  EXPECT_EQ(EffectiveReplicationFactor(cluster.map()), 1u);
  for (const Placement& placement : cluster.map().partitions) EXPECT_EQ(placement.isr.size(), 1u);
}

TEST(Rebalance, ChangesNothingOnASettledMap) {
  ClusterModel cluster({.nodes = 5, .rf = 3});
  EXPECT_TRUE(Rebalance(cluster.map()) == cluster.map());
}

TEST(Rebalance, ANewCopyBeginsAsALearnerAndTheOldOneGoesLast) {
  ClusterModel cluster({.nodes = 2, .rf = 2});
  const PlacementMap before = cluster.map();
  const Incarnation joined = cluster.Join();
  cluster.Step();
  int moving = 0;
  for (uint32_t i = 0; i < base::kPartitionCount; ++i) {
    const Placement& old = before.partitions[i];
    const Placement& now = cluster.map().partitions[i];
    EXPECT_FALSE(now.InIsr(joined));
    EXPECT_EQ(now.isr.size(), old.isr.size());
    EXPECT_EQ(now.epoch, old.epoch);
    moving += now.IsLearner(joined) ? 1 : 0;
  }
  EXPECT_EQ(moving, 256);
  // The learner is in sync: now, and not sooner, the old copy goes.
  cluster.CatchUp();
  for (const Placement& placement : cluster.map().partitions) {
    if (placement.InIsr(joined)) {
      EXPECT_EQ(placement.isr.size(), 3u);
    }
  }
  cluster.Settle();
  for (const Placement& placement : cluster.map().partitions) EXPECT_EQ(placement.isr.size(), 2u);
}

TEST(Rebalance, LimitsHowManyPartitionsANodeCopiesAtOnce) {
  ClusterModel cluster({.nodes = 2, .rf = 2});
  cluster.Join();
  cluster.options().max_learners_per_node = 10;
  for (int round = 0; round < 3; ++round) {
    cluster.Step();
    int learners = 0;
    for (const Placement& p : cluster.map().partitions)
      learners += static_cast<int>(p.learners.size());
    EXPECT_EQ(learners, 10);
    cluster.CatchUp();
  }
}

TEST(MarkDead, PromotesAnInSyncCopyWithAHigherEpochAndKeepsTheRest) {
  ClusterModel cluster({.nodes = 3, .rf = 2});
  const PlacementMap before = cluster.map();
  const Incarnation dead = before.members[1].incarnation;
  cluster.Kill("n1");
  const Incarnation n1 = before.members[1].incarnation;
  ASSERT_EQ(dead, n1);
  std::map<Incarnation, int> primaries;
  for (uint32_t i = 0; i < base::kPartitionCount; ++i) {
    const Placement& old = before.partitions[i];
    const Placement& now = cluster.map().partitions[i];
    ++primaries[now.primary];
    if (!old.InIsr(dead)) {
      EXPECT_TRUE(now == old);
      continue;
    }
    EXPECT_EQ(now.isr.size(), 1u);
    EXPECT_EQ(now.isr_version, old.isr_version + 1);
    EXPECT_TRUE(old.InIsr(now.primary));
    EXPECT_EQ(now.history, old.history);
    EXPECT_EQ(now.epoch.value(), old.epoch.value() + (old.primary == dead ? 1 : 0));
  }
  EXPECT_EQ(primaries.size(), 2u);
  EXPECT_EQ(primaries.count(dead), 0u);
  // It is told twice: nothing more happens.
  EXPECT_TRUE(MarkDead(cluster.map(), dead) == cluster.map());
}

TEST(MarkDead, WhereNobodyLivesTheIsrStaysForRevival) {
  ClusterModel cluster({.nodes = 2, .rf = 2});
  const Incarnation first = cluster.map().members[0].incarnation;
  const Incarnation last = cluster.map().members[1].incarnation;
  cluster.Kill("n0");
  cluster.Kill("n1");
  cluster.Step();
  for (const Placement& placement : cluster.map().partitions) {
    EXPECT_EQ(placement.primary, Incarnation());
    EXPECT_TRUE(placement.InIsr(last));
    EXPECT_FALSE(placement.InIsr(first));
  }
  // Not forgotten: seats name it. The other one is.
  EXPECT_NE(cluster.map().FindMember(last), nullptr);
  EXPECT_EQ(cluster.map().FindMember(first), nullptr);

  const Incarnation back = cluster.Join("n1");
  cluster.Step();
  EXPECT_FALSE(cluster.map().partitions[9].InIsr(back));
  PlacementMap map = cluster.map();
  const Placement old = map.partitions[9];
  Revive(map, PartitionId(9), back, last, 4711);
  EXPECT_EQ(map.partitions[9].primary, back);
  EXPECT_EQ(map.partitions[9].epoch.value(), old.epoch.value() + 1);
  EXPECT_EQ(map.partitions[9].isr_version, old.isr_version + 1);
  EXPECT_EQ(map.partitions[9].history, 4711u);
  EXPECT_EQ(map.partitions[9].revived_from, last);
  EXPECT_EQ(map.partitions[9].reset_epoch, old.reset_epoch);
}

TEST(Reset, BeginsEmptyWithANewHistory) {
  ClusterModel cluster({.nodes = 2, .rf = 2});
  cluster.Kill("n0");
  cluster.Kill("n1");
  cluster.Join("n5");
  cluster.Join("n6");
  PlacementMap map = cluster.map();
  const Placement old = map.partitions[3];
  Reset(map, {PartitionId(3), PartitionId(4)}, {}, 99);
  const Placement& now = map.partitions[3];
  EXPECT_EQ(now.isr.size(), 2u);
  EXPECT_TRUE(now.InIsr(now.primary));
  EXPECT_GT(now.epoch, old.epoch);
  EXPECT_EQ(now.reset_epoch, 1u);
  EXPECT_NE(now.history, old.history);
  EXPECT_NE(now.history, map.partitions[4].history);
  EXPECT_EQ(map.partitions[5].primary, Incarnation());
}

TEST(Rebalance, ARestartWithinTheHoldMovesNothing) {
  ClusterModel cluster({.nodes = 3, .rf = 2});
  const PlacementMap before = cluster.map();
  cluster.Kill("n1");
  const Incarnation dead = before.members[1].incarnation;
  cluster.options().held = {dead};
  cluster.Settle();
  EXPECT_EQ(cluster.moved(), 0);
  const Incarnation back = cluster.Join("n1");
  cluster.Settle();
  for (uint32_t i = 0; i < base::kPartitionCount; ++i) {
    for (const Incarnation node : before.partitions[i].isr) {
      EXPECT_TRUE(cluster.map().partitions[i].InIsr(node == dead ? back : node));
    }
  }
  cluster.options().held.clear();
  cluster.Settle();
  EXPECT_EQ(cluster.map().FindMember(dead), nullptr);
}

TEST(Rebalance, AfterTheHoldTheOthersTakeOver) {
  ClusterModel cluster({.nodes = 3, .rf = 2});
  cluster.Kill("n1");
  cluster.Settle();
  for (const Placement& placement : cluster.map().partitions) EXPECT_EQ(placement.isr.size(), 2u);
}

TEST(Rebalance, ALeavingNodeHandsOverItsRolesAndMovesNothingWhileHeld) {
  ClusterModel cluster({.nodes = 3, .rf = 2});
  const Incarnation leaving = cluster.SetState("n2", MemberState::kLeaving);
  cluster.options().held = {leaving};
  cluster.Step();
  for (const Placement& placement : cluster.map().partitions) {
    EXPECT_NE(placement.primary, leaving);
    EXPECT_EQ(placement.isr.size(), 2u) << "who leaves stays in sync until the new primary serves";
    EXPECT_TRUE(placement.learners.empty());
  }
}

TEST(Rebalance, WhenAllLeaveTheLastCopiesStayWhereTheyAre) {
  ClusterModel cluster({.nodes = 2, .rf = 2});
  cluster.SetState("n0", MemberState::kLeaving);
  const Incarnation last = cluster.SetState("n1", MemberState::kLeaving);
  const PlacementMap before = cluster.map();
  cluster.Step();
  EXPECT_TRUE(cluster.map().partitions == before.partitions);
  EXPECT_TRUE(cluster.map().partitions[0].InIsr(last));
}

TEST(Rebalance, ADrainingNodeKeepsServingUntilItsCopiesAreElsewhere) {
  ClusterModel cluster({.nodes = 4, .rf = 2});
  const PlacementMap before = cluster.map();
  const Incarnation draining = cluster.SetState("n3", MemberState::kDraining);
  cluster.Step();
  for (uint32_t i = 0; i < base::kPartitionCount; ++i) {
    EXPECT_EQ(cluster.map().partitions[i].primary, before.partitions[i].primary);
  }
  cluster.Settle();
  for (const Placement& placement : cluster.map().partitions) {
    EXPECT_FALSE(placement.InIsr(draining));
    EXPECT_EQ(placement.isr.size(), 2u);
  }
}

TEST(Rebalance, ADrainTakenBackKeepsWhatIsThere) {
  ClusterModel cluster({.nodes = 4, .rf = 2});
  const PlacementMap before = cluster.map();
  cluster.SetState("n3", MemberState::kDraining);
  cluster.Step();
  cluster.SetState("n3", MemberState::kUp);
  cluster.Settle();
  EXPECT_EQ(cluster.moved(), 0);
}

TEST(Rebalance, SwapsOfPrimariesAreLimited) {
  ClusterModel cluster({.nodes = 3, .rf = 2});
  // All roles to one node, as far as it has copies.
  PlacementMap map = cluster.map();
  const Incarnation first = map.members[0].incarnation;
  for (Placement& placement : map.partitions) {
    if (placement.InIsr(first)) placement.primary = first;
  }
  RebalanceOptions options;
  options.max_swaps = 7;
  const PlacementMap next = Rebalance(map, options);
  int swaps = 0;
  for (uint32_t i = 0; i < base::kPartitionCount; ++i) {
    if (next.partitions[i].primary == map.partitions[i].primary) continue;
    ++swaps;
    EXPECT_EQ(next.partitions[i].epoch.value(), map.partitions[i].epoch.value() + 1);
    EXPECT_EQ(next.partitions[i].isr_version, map.partitions[i].isr_version);
  }
  EXPECT_EQ(swaps, 7);
}

}  // namespace
}  // namespace atoll::ring
