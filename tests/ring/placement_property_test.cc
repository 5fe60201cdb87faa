// What placement promises, over sizes from 1 to 300 nodes and random churn. Seeds are printed;
// ATOLL_TEST_SEED=n runs one again.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ring/placement.h"
#include "ring/shares.h"
#include "tests/ring/cluster_model.h"

namespace atoll::ring {
namespace {

using base::Incarnation;

uint64_t Seed() {
  const char* given = std::getenv("ATOLL_TEST_SEED");
  const uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  std::cout << "ATOLL_TEST_SEED=" << seed << "\n";
  return seed;
}

struct Counts {
  std::map<Incarnation, int> copies;
  std::map<Incarnation, int> primaries;
};

Counts Count(const PlacementMap& map) {
  Counts counts;
  for (const Member& member : map.members) {
    if (member.state != MemberState::kUp) continue;
    counts.copies[member.incarnation] = 0;
    counts.primaries[member.incarnation] = 0;
  }
  for (const Placement& placement : map.partitions) {
    for (const Incarnation node : placement.isr) ++counts.copies[node];
    ++counts.primaries[placement.primary];
  }
  return counts;
}

int MaxOf(const std::map<Incarnation, int>& counts) {
  int max = 0;
  for (const auto& [node, count] : counts) max = std::max(max, count);
  return max;
}

// A settled map of nodes that are all up: as many copies as there should be, no zone repeated while
// there are enough, nobody above the ceiling of its share.
void CheckSettled(const PlacementMap& map) {
  std::vector<const Member*> up;
  std::map<std::string, uint32_t> zones;
  std::map<Incarnation, std::string> zone_of;
  for (const Member& member : map.members) {
    zone_of[member.incarnation] = member.zone;
    if (member.state != MemberState::kUp) continue;
    up.push_back(&member);
    zones.emplace(member.zone, static_cast<uint32_t>(zones.size()));
  }
  const uint32_t copies =
      std::min<uint32_t>(map.replication_factor, static_cast<uint32_t>(up.size()));
  int wrong = 0;
  for (const Placement& placement : map.partitions) {
    std::set<std::string> used;
    for (const Incarnation node : placement.isr) used.insert(zone_of[node]);
    if (placement.isr.size() != copies || !placement.learners.empty() ||
        placement.primary == Incarnation() ||
        used.size() != std::min<size_t>(zones.size(), copies)) {
      ++wrong;
    }
  }
  EXPECT_EQ(wrong, 0) << "partitions with copies missing or a zone repeated";

  std::vector<ShareNode> nodes;
  for (const Member* member : up)
    nodes.push_back({member->name, member->weight, zones[member->zone]});
  const std::vector<double> shares =
      FairShares(nodes, static_cast<uint32_t>(zones.size()), copies, base::kPartitionCount);
  const Counts counts = Count(map);
  for (size_t i = 0; i < up.size(); ++i) {
    const int held = counts.copies.at(up[i]->incarnation);
    const int roles = counts.primaries.at(up[i]->incarnation);
    EXPECT_LE(held, std::ceil(shares[i])) << up[i]->name;
    EXPECT_GE(held, std::floor(shares[i])) << up[i]->name;
    EXPECT_LE(roles, std::ceil(shares[i] / copies)) << up[i]->name;
    EXPECT_GE(roles, std::floor(shares[i] / copies)) << up[i]->name;
  }
}

class Sizes : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Nodes, Sizes,
                         ::testing::Values(1, 2, 3, 4, 5, 7, 10, 20, 33, 50, 75, 90, 100, 150, 200,
                                           300));

TEST_P(Sizes, EqualNodesHoldEqualSharesOfCopiesAndRoles) {
  const int n = GetParam();
  for (uint32_t rf = 1; rf <= 3; ++rf) {
    SCOPED_TRACE(rf);
    const ClusterModel cluster({.nodes = n, .rf = rf});
    CheckSettled(cluster.map());
    const Counts counts = Count(cluster.map());
    // In the issue's own words, apart from FairShares.
    const double share = 4096.0 * std::min<double>(rf, n) / n;
    EXPECT_LE(MaxOf(counts.copies), std::ceil(share));
    if (n <= 100) {
      EXPECT_LE(MaxOf(counts.primaries) / (4096.0 / n), 1.025);
    }
  }
}

TEST_P(Sizes, AJoinMovesHardlyMoreThanTheNewNodesShare) {
  const int n = GetParam();
  for (uint32_t rf = 1; rf <= 3; ++rf) {
    SCOPED_TRACE(rf);
    ClusterModel cluster({.nodes = n, .rf = rf});
    cluster.options().max_learners_per_node = 4096;
    cluster.Join();
    cluster.Settle();
    CheckSettled(cluster.map());
    const double ideal = 4096.0 * std::min<double>(rf, n + 1) / (n + 1);
    EXPECT_LE(cluster.moved(), 1.05 * ideal);
  }
}

TEST_P(Sizes, ALeaveMovesHardlyMoreThanTheGoneNodesCopies) {
  const int n = GetParam();
  if (n == 1) return;
  for (uint32_t rf = 2; rf <= 3; ++rf) {
    for (const bool drain : {false, true}) {
      SCOPED_TRACE(rf);
      SCOPED_TRACE(drain ? "drain" : "kill");
      ClusterModel cluster({.nodes = n, .rf = rf});
      cluster.options().max_learners_per_node = 4096;
      const int held =
          Count(cluster.map()).copies.at(cluster.map().FindLiveMember("n1")->incarnation);
      drain ? void(cluster.SetState("n1", MemberState::kDraining)) : cluster.Kill("n1");
      cluster.Settle();
      CheckSettled(cluster.map());
      EXPECT_LE(cluster.moved(), n > static_cast<int>(rf) ? 1.05 * held : 0);
    }
  }
}

TEST(Zones, OfEqualWeightAreBalancedAndMoveLittle) {
  for (const int zones : {2, 3, 5}) {
    for (const int each : {1, 4, 20}) {
      for (uint32_t rf = 2; rf <= 3; ++rf) {
        SCOPED_TRACE(testing::Message() << zones << " zones of " << each << ", rf " << rf);
        const int n = zones * each;
        ClusterModel cluster({.nodes = n, .rf = rf, .zones = zones});
        cluster.options().max_learners_per_node = 4096;
        CheckSettled(cluster.map());
        const double copies = 4096.0 * std::min<double>(rf, n);
        EXPECT_LE(MaxOf(Count(cluster.map()).copies), std::ceil(copies / n));
        // A node joins in each zone. Names count up, so each goes to the next zone.
        for (int i = 0; i < zones; ++i) cluster.Join();
        cluster.Settle();
        CheckSettled(cluster.map());
        const double now = 4096.0 * std::min<double>(rf, n + zones);
        EXPECT_LE(cluster.moved(),
                  1.05 * (now * zones / (n + zones) + (now > copies ? now - copies : 0)));
        // And one leaves each.
        cluster.ResetMoved();
        int held = 0;
        const Counts counts = Count(cluster.map());
        for (int i = 0; i < zones; ++i) {
          const std::string name = "n" + std::to_string(i);
          held += counts.copies.at(cluster.map().FindLiveMember(name)->incarnation);
          cluster.SetState(name, MemberState::kDraining);
        }
        cluster.Settle();
        CheckSettled(cluster.map());
        EXPECT_LE(cluster.moved(), 1.05 * held);
      }
    }
  }
}

TEST(Zones, ASmallZoneStillGetsACopyOfEverything) {
  // One node in a zone of its own, nine in another: diversity outranks balance.
  ClusterModel cluster({.nodes = 0, .rf = 2, .zones = 2});
  cluster.Join("n1");
  for (int i = 0; i < 9; ++i) cluster.Join("n" + std::to_string(2 * i));
  PlacementMap map = FirstAssignment(cluster.map(), 1);
  CheckSettled(map);
  EXPECT_EQ(Count(map).copies.at(map.FindLiveMember("n1")->incarnation), 4096);
}

TEST(RoundShares, WhoHasTheCeilingKeepsIt) {
  std::vector<ShareNode> nodes;
  for (const char* name : {"a", "b", "c"}) nodes.push_back({name, 1, 0});
  const std::vector<double> shares = FairShares(nodes, 1, 1, 4096);
  for (size_t lucky = 0; lucky < 3; ++lucky) {
    std::vector<uint32_t> current(3, 1365);
    current[lucky] = 1366;
    EXPECT_EQ(RoundShares(nodes, {""}, shares, current), current);
  }
}

TEST(Weights, SharesFollowThem) {
  for (uint32_t rf = 1; rf <= 3; ++rf) {
    ClusterModel cluster({.nodes = 0, .rf = rf});
    uint32_t sum = 0;
    for (int i = 0; i < 12; ++i) {
      const uint32_t weight = 1 + static_cast<uint32_t>(i % 4);
      sum += weight;
      cluster.Join("n" + std::to_string(i), weight);
    }
    const PlacementMap map = FirstAssignment(cluster.map(), 1);
    CheckSettled(map);
    const Counts counts = Count(map);
    for (const Member& member : map.members) {
      EXPECT_LE(counts.copies.at(member.incarnation), std::ceil(4096.0 * rf * member.weight / sum));
    }
  }
}

// Random joins, deaths, drains and changes of weight, one on top of another while copies are still
// on their way; then it must settle, keep every rule on the way (ClusterModel checks each change),
// and be balanced.
TEST(Churn, AlwaysSettlesInBalance) {
  std::mt19937_64 random(Seed());
  const auto below = [&random](size_t n) { return static_cast<int>(random() % n); };
  for (int run = 0; run < 25; ++run) {
    const int zones = below(2) == 0 ? 0 : 1 + below(5);
    const ClusterShape shape{.nodes = 1 + (run % 5 == 0 ? below(300) : below(30)),
                             .rf = 1 + static_cast<uint32_t>(below(3)),
                             .zones = zones};
    SCOPED_TRACE(testing::Message() << "run " << run << ": " << shape.nodes << " nodes, rf "
                                    << shape.rf << ", " << zones << " zones");
    ClusterModel cluster(shape);
    for (int event = 0; event < 12; ++event) {
      std::vector<std::string> up;
      for (const Member& member : cluster.map().members) {
        if (member.state == MemberState::kUp) up.push_back(member.name);
      }
      const std::string victim = up[below(up.size())];
      switch (below(5)) {
        case 0:
        case 1:
          cluster.Join();
          break;
        case 2: {
          // Nothing is lost in this model: a death waits until each partition has another copy.
          const Incarnation node = cluster.map().FindLiveMember(victim)->incarnation;
          const auto& partitions = cluster.map().partitions;
          if (up.size() > 1 &&
              std::none_of(partitions.begin(), partitions.end(), [node](const Placement& p) {
                return p.InIsr(node) && p.isr.size() == 1;
              })) {
            cluster.Kill(victim);
          }
          break;
        }
        case 3:
          if (up.size() > 1) cluster.SetState(victim, MemberState::kDraining);
          break;
        case 4:
          cluster.SetWeight(victim, 1 + static_cast<uint32_t>(below(4)));
          break;
      }
      for (int steps = below(3); steps > 0; --steps) {
        cluster.Step();
        cluster.CatchUp();
      }
    }
    cluster.Settle();
    CheckSettled(cluster.map());
    if (testing::Test::HasFailure()) return;
  }
}

TEST(Placement, DoesNotDependOnTheOrderOfMembers) {
  std::mt19937_64 random(Seed());
  ClusterModel cluster({.nodes = 0, .rf = 3, .zones = 4});
  for (int i = 0; i < 40; ++i)
    cluster.Join("n" + std::to_string(i), 1 + static_cast<uint32_t>(i % 3));
  const PlacementMap straight = cluster.map();
  PlacementMap shuffled = straight;
  std::shuffle(shuffled.members.begin(), shuffled.members.end(), random);
  PlacementMap one = FirstAssignment(straight, 5);
  PlacementMap two = FirstAssignment(shuffled, 5);
  EXPECT_TRUE(one.partitions == two.partitions);
  one = MarkDead(one, one.FindLiveMember("n7")->incarnation);
  two = MarkDead(two, two.FindLiveMember("n7")->incarnation);
  EXPECT_TRUE(one.partitions == two.partitions);
  one = Rebalance(one);
  two = Rebalance(two);
  EXPECT_TRUE(one.partitions == two.partitions);
}

}  // namespace
}  // namespace atoll::ring
