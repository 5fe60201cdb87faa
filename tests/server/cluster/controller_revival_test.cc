// The controller where nobody of an ISR lives (R9): who is seated again, and by which disk.

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/cluster/controller_world.h"

namespace atoll::cluster {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

TEST(Controller, AbsenceEmptiesNoIsr) {
  World world(ThreeNodes());
  FormThree(world);
  const PlacementMap before = world.map();
  world.GoneTogether({"n1", "n2"});
  ASSERT_TRUE(world.Step());
  world.Pass(absl::Hours(1));
  world.Step();
  int orphans = 0;
  for (size_t p = 0; p < base::kPartitionCount; ++p) {
    const Placement& old = before.partitions[p];
    if (old.InIsr(Node(103))) continue;
    ++orphans;
    EXPECT_EQ(world.at(p).primary, Node(0));
    EXPECT_THAT(std::vector<base::Incarnation>(world.at(p).isr.begin(), world.at(p).isr.end()),
                UnorderedElementsAre(Node(101), Node(102)));
    EXPECT_EQ(world.at(p).isr.front(), old.primary) << "the last primary is remembered";
  }
  EXPECT_GT(orphans, 1000);
}

TEST(Controller, ANodeThatWasDeclaredDeadAndLivesTakesItsOrphansBack) {
  World world(ThreeNodes());
  FormThree(world);
  world.GoneTogether({"n1", "n2"});
  ASSERT_TRUE(world.Step());
  ASSERT_GT(world.Orphans(), 0);
  world.Up("n1", {.incarnation = 101});
  ASSERT_TRUE(world.Step());
  EXPECT_EQ(world.Orphans(), 0);
  for (const Placement& placement : world.map().partitions) {
    if (placement.primary == Node(101)) {
      EXPECT_EQ(placement.reset_epoch, 0u);
    }
  }
}

// Who comes back after all of an ISR {101 (last primary), 102} are dead, and what follows.
TEST(Controller, R9SeatsRestartedNodesByTheirDisks) {
  struct Return {
    const char* name;
    NodeState state;
    bool lacks_it = false;
  };
  struct Case {
    const char* name;
    std::vector<Return> back;
    absl::Duration after;
    uint64_t primary;  // 0: nobody yet
    uint32_t reset_epoch;
  };
  const NodeState n1_good{.incarnation = 201, .previous = 101, .disk_copies = true};
  const NodeState n1_bad{.incarnation = 201, .previous = 101};
  const NodeState n1_again{
      .incarnation = 301, .previous = 201, .disk_copies = true, .left_by = 101};
  const NodeState n2_good{.incarnation = 202, .previous = 102, .disk_copies = true};
  const NodeState n2_bad{.incarnation = 202, .previous = 102};
  const NodeState n2_replaced{.incarnation = 202, .uuid = "another disk"};
  const std::vector<Case> cases = {
      {"the last primary is back: at once", {{"n1", n1_good}}, absl::ZeroDuration(), 201, 0},
      {"both are back: the last primary", {{"n1", n1_good}, {"n2", n2_good}}, {}, 201, 0},
      {"the backup is back: it waits", {{"n2", n2_good}}, absl::Milliseconds(9999), 0, 0},
      {"and is seated after the wait", {{"n2", n2_good}}, absl::Seconds(10), 202, 0},
      {"the last primary is back in ruins: the backup, at once",
       {{"n1", n1_bad}, {"n2", n2_good}},
       {},
       202,
       0},
      {"only ruins, one missing: wait, for ever", {{"n1", n1_bad}}, absl::Hours(1), 0, 0},
      {"the primary's disk is good, the backup's is not",
       {{"n1", n1_good}, {"n2", n2_bad}},
       {},
       201,
       0},
      {"the last primary's disk lacks the partition: the backup",
       {{"n1", n1_good, true}, {"n2", n2_good}},
       {},
       202,
       0},
      {"the last primary was started in vain once before: at once", {{"n1", n1_again}}, {}, 301, 0},
      {"a name on another disk is back, in ruins", {{"n2", n2_replaced}}, absl::Hours(1), 0, 0},
  };
  for (const Case& test : cases) {
    SCOPED_TRACE(test.name);
    World world(ThreeNodes());
    FormThree(world);
    const size_t p = world.Partition(Node(101), Node(102));
    const Placement before = world.at(p);
    world.GoneTogether({"n1", "n2", "n3"});
    ASSERT_TRUE(world.Step());
    for (const Return& node : test.back) {
      NodeState state = node.state;
      if (node.lacks_it) state.lacks = p;
      world.Up(node.name, state);
    }
    world.Step();
    world.Pass(test.after);
    world.Step();
    const Placement& now = world.at(p);
    EXPECT_EQ(now.primary, Node(test.primary));
    EXPECT_EQ(now.reset_epoch, test.reset_epoch);
    if (test.primary != 0) {
      EXPECT_THAT(std::vector<base::Incarnation>(now.isr.begin(), now.isr.end()),
                  ElementsAre(Node(test.primary)));
      EXPECT_GT(now.epoch, before.epoch);
      EXPECT_NE(now.history, before.history);
    } else {
      EXPECT_EQ(now.history, before.history);
    }
  }
}

// Seated to revive what 101 left, 201 is gone before it has read it: whoever has its disk next has
// 101's copy still, or one of 201's own if that has read it, or none.
TEST(Controller, WhoWasSeatedInVainLeavesTheCopyToItsSuccessor) {
  struct Case {
    const char* name;
    NodeState back;
    uint64_t revived_from;  // 0: nothing is left, and the partition is reset
  };
  const std::vector<Case> cases = {
      {"it had not read it",
       {.incarnation = 301, .previous = 201, .disk_copies = true, .left_by = 101},
       101},
      {"it had", {.incarnation = 301, .previous = 201, .disk_copies = true}, 201},
      {"it crashed", {.incarnation = 301, .previous = 201}, 0},
      {"what is there is somebody else's",
       {.incarnation = 301, .previous = 201, .disk_copies = true, .left_by = 102},
       0},
  };
  for (const Case& test : cases) {
    SCOPED_TRACE(test.name);
    World world(ThreeNodes());
    FormThree(world);
    const size_t p = world.Partition(Node(101), Node(102));
    world.GoneTogether({"n1", "n2", "n3"});
    ASSERT_TRUE(world.Step());
    world.Up("n1", {.incarnation = 201, .previous = 101, .disk_copies = true});
    ASSERT_TRUE(world.Step());
    ASSERT_EQ(world.at(p).primary, Node(201));
    ASSERT_EQ(world.at(p).revived_from, Node(101));
    world.Gone("n1");
    ASSERT_TRUE(world.Step());
    world.Up("n1", test.back);
    ASSERT_TRUE(world.Step());
    EXPECT_EQ(world.at(p).primary, Node(301));
    EXPECT_EQ(world.at(p).revived_from, Node(test.revived_from));
    EXPECT_EQ(world.at(p).reset_epoch, test.revived_from == 0 ? 1u : 0u);
  }
}

// Once another copy is in sync, the disk that the partition was revived from is of no use.
TEST(Controller, WhatWasRevivedIsForgottenWhenASecondCopyIsInSync) {
  World world(ThreeNodes());
  FormThree(world);
  const size_t p = world.Partition(Node(101), Node(102));
  world.GoneTogether({"n1", "n2", "n3"});
  ASSERT_TRUE(world.Step());
  world.Up("n1", {.incarnation = 201, .previous = 101, .disk_copies = true});
  ASSERT_TRUE(world.Step());
  ASSERT_EQ(world.at(p).revived_from, Node(101));
  world.Up("n2", {.incarnation = 202, .previous = 102});
  world.Up("n3", {.incarnation = 203, .previous = 103});
  world.Settle();
  ASSERT_EQ(world.at(p).isr.size(), 2u);
  EXPECT_EQ(world.at(p).revived_from, Node(0));
}

TEST(Controller, APartitionIsResetOnlyWhenEveryLastMemberIsBackInRuins) {
  for (const bool same_disks : {true, false}) {
    SCOPED_TRACE(same_disks);
    World world(ThreeNodes());
    FormThree(world);
    const size_t p = world.Partition(Node(101), Node(102));
    const Placement before = world.at(p);
    world.GoneTogether({"n1", "n2", "n3"});
    ASSERT_TRUE(world.Step());
    // Without data folders a node is known by its name alone.
    const auto back = [&](uint64_t number) {
      return same_disks ? NodeState{.incarnation = 100 + number, .previous = number}
                        : NodeState{.incarnation = 100 + number, .uuid = absl::StrCat(number)};
    };
    world.Up("n1", back(101));
    world.Step();
    EXPECT_EQ(world.at(p).primary, Node(0));
    EXPECT_EQ(world.controller().resets(), 0u);
    world.Up("n2", back(102));
    ASSERT_TRUE(world.Step());
    EXPECT_NE(world.at(p).primary, Node(0));
    EXPECT_EQ(world.at(p).reset_epoch, 1u);
    EXPECT_NE(world.at(p).history, before.history);
    EXPECT_GT(world.at(p).epoch, before.epoch);
    EXPECT_GT(world.controller().resets(), 0u);
  }
}

TEST(Controller, AStandaloneNodesFirstMapLiesAboveWhatIsOnItsDisk) {
  ControllerOptions options{.replication_factor = 1, .initial_nodes = 1};
  options.standalone_copies = {{base::PartitionId(5), base::Epoch(9), 77, 2}};
  World world(options);
  world.Up("n1", {.incarnation = 101});
  ASSERT_TRUE(world.Step());
  EXPECT_EQ(world.at(5).epoch, base::Epoch(10));
  EXPECT_EQ(world.at(5).reset_epoch, 2u);
  EXPECT_EQ(world.at(6).epoch, base::Epoch(1));
}

TEST(Controller, ARandomHistoryOfNodesKeepsTheRules) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    ControllerOptions options = ThreeNodes();
    options.re_replicate_after = absl::Seconds(2);
    World world(options);
    FormThree(world);
    std::map<std::string, uint64_t> up = {{"n1", 101}, {"n2", 102}, {"n3", 103}};
    std::map<std::string, uint64_t> last = up;
    uint64_t next = 1000;
    uint64_t state = seed;
    const auto random = [&state](uint64_t below) {
      state = state * 6364136223846793005 + 1442695040888963407;
      return (state >> 33) % below;
    };
    for (int i = 0; i < 40; ++i) {
      const std::string name = absl::StrCat("n", 1 + random(5));
      switch (random(5)) {
        case 0:
          if (up.erase(name) > 0) world.Gone(name);
          break;
        case 1:
        case 2:
          if (!up.contains(name)) {
            up[name] = ++next;
            world.Up(name, {.incarnation = next,
                            .previous = last.contains(name) ? last[name] : 0,
                            .disk_copies = random(2) == 0,
                            .revision = static_cast<int64_t>(next)});
            last[name] = next;
          }
          break;
        case 3:
          if (up.contains(name)) world.Leave(up[name]);
          break;
        default:
          world.AdmitLearners();
      }
      world.Pass(absl::Milliseconds(100 * random(30)));
      world.Step();
    }
    // In the end everyone comes back, and everything is served.
    for (int i = 1; i <= 5; ++i) {
      const std::string name = absl::StrCat("n", i);
      world.Up(name, {.incarnation = ++next,
                      .previous = last.contains(name) ? last[name] : 0,
                      .disk_copies = true,
                      .revision = static_cast<int64_t>(next)});
    }
    world.Pass(absl::Seconds(60));
    world.Step();
    world.Settle();
    EXPECT_EQ(world.Learners(), 0);
    for (const Placement& placement : world.map().partitions) {
      if (placement.primary == Node(0)) continue;
      EXPECT_EQ(placement.isr.size(), 2u);
    }
  }
}

}  // namespace
}  // namespace atoll::cluster
