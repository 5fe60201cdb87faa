#include "client/route_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "client/retry_budget.h"

namespace atoll::client {
namespace {

constexpr base::PartitionId kPartition(7);

std::shared_ptr<ring::PlacementMap> MakeMap(uint64_t version, uint32_t epoch, uint64_t primary) {
  auto map = std::make_shared<ring::PlacementMap>();
  map->version = version;
  map->cluster_id = "one";
  for (uint64_t i = 1; i <= 3; ++i) {
    ring::Member member;
    member.name = "n" + std::to_string(i);
    member.incarnation = base::Incarnation(i);
    member.address = "host" + std::to_string(i) + ":7850";
    map->members.push_back(member);
  }
  ring::Placement placement;
  placement.epoch = base::Epoch(epoch);
  placement.primary = base::Incarnation(primary);
  map->partitions.assign(base::kPartitionCount, placement);
  return map;
}

ring::DecodedPlacement Entry(uint32_t epoch, uint64_t primary) {
  ring::DecodedPlacement entry;
  entry.partition = kPartition;
  entry.placement.epoch = base::Epoch(epoch);
  entry.placement.primary = base::Incarnation(primary);
  return entry;
}

TEST(RouteTable, KnowsNothingBeforeTheFirstMap) {
  RouteTable table;
  EXPECT_EQ(table.AddressOf(kPartition), "");
  EXPECT_FALSE(table.Mend(Entry(1, 1)));
  EXPECT_EQ(table.Ready().message(), "no placement map yet");
}

TEST(RouteTable, TakesNewerMapsOnly) {
  RouteTable table;
  EXPECT_TRUE(table.Apply(MakeMap(2, 1, 1)));
  EXPECT_TRUE(table.Ready().ok());
  EXPECT_FALSE(table.Apply(MakeMap(1, 9, 2)));
  EXPECT_EQ(table.AddressOf(kPartition), "host1:7850");
  EXPECT_TRUE(table.Apply(MakeMap(3, 2, 2)));
  EXPECT_EQ(table.AddressOf(kPartition), "host2:7850");
}

TEST(RouteTable, AMendStaysUntilTheMapCatchesUp) {
  RouteTable table;
  table.Apply(MakeMap(2, 1, 1));
  EXPECT_FALSE(table.Mend(Entry(1, 2))) << "the same epoch says nothing new";
  EXPECT_TRUE(table.Mend(Entry(3, 2)));
  EXPECT_EQ(table.AddressOf(kPartition), "host2:7850");
  EXPECT_EQ(table.AddressOf(base::PartitionId(8)), "host1:7850");
  table.Apply(MakeMap(3, 2, 1));  // Behind the refusal.
  EXPECT_EQ(table.AddressOf(kPartition), "host2:7850");
  table.Apply(MakeMap(4, 4, 3));
  EXPECT_EQ(table.AddressOf(kPartition), "host3:7850");
}

TEST(RouteTable, AMendBringsTheAddressOfANodeThatIsNew) {
  RouteTable table;
  table.Apply(MakeMap(2, 1, 1));
  ring::DecodedPlacement entry = Entry(2, 9);
  ring::Member member;
  member.incarnation = base::Incarnation(9);
  member.address = "host9:7850";
  entry.members.push_back(member);
  EXPECT_TRUE(table.Mend(entry));
  EXPECT_EQ(table.AddressOf(kPartition), "host9:7850");
}

TEST(RouteTable, AnotherClusterReplacesEverything) {
  RouteTable table;
  table.Apply(MakeMap(20, 5, 1));
  auto other = MakeMap(1, 1, 2);
  other->cluster_id = "two";
  EXPECT_TRUE(table.Apply(other));
  EXPECT_EQ(table.AddressOf(kPartition), "host2:7850");
}

TEST(RouteTable, CountsPartitionsWithoutAnOwner) {
  RouteTable table;
  auto map = MakeMap(2, 1, 1);
  map->partitions[7].primary = base::Incarnation();
  map->members[1].state = ring::MemberState::kDown;
  table.Apply(map);
  EXPECT_EQ(table.Ready().message(), "1 of 4096 partitions have no owner");
  EXPECT_EQ(table.AddressOf(kPartition), "");
  EXPECT_THAT(table.Addresses(), testing::ElementsAre("host1:7850", "host3:7850"));
}

TEST(RetryBudget, GivesTheReserveAndAShareOfTheTraffic) {
  RetryBudget budget(0.1);
  int spent = 0;
  while (budget.Spend()) ++spent;
  EXPECT_EQ(spent, 10);
  for (int i = 0; i < 9; ++i) budget.Earn();
  EXPECT_FALSE(budget.Spend());
  budget.Earn();
  EXPECT_TRUE(budget.Spend());
  EXPECT_FALSE(budget.Spend());
  for (int i = 0; i < 100'000; ++i) budget.Earn();
  spent = 0;
  while (budget.Spend()) ++spent;
  EXPECT_EQ(spent, 10) << "a quiet hour does not save up for a storm";
}

}  // namespace
}  // namespace atoll::client
