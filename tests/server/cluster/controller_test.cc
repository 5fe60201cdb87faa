// The controller as tables: what happened, and which map follows.

#include "server/cluster/controller.h"

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

TEST(Controller, TheFirstMapWaitsForTheInitialNodes) {
  World world(ThreeNodes());
  world.Up("n1", {.incarnation = 101});
  world.Up("n2", {.incarnation = 102});
  EXPECT_FALSE(world.Step());
  world.Up("n3", {.incarnation = 103});
  ASSERT_TRUE(world.Step());
  EXPECT_EQ(world.map().cluster_id, "id");
  EXPECT_EQ(world.map().replication_factor, 2u);
  EXPECT_EQ(world.map().members.size(), 3u);
  EXPECT_EQ(world.Learners(), 0) << "there are no data: all are in sync at once";
  for (const uint64_t node : {101, 102, 103}) {
    EXPECT_NEAR(world.Primaries(Node(node)), base::kPartitionCount / 3.0, 2);
  }
  EXPECT_FALSE(world.Step());
}

TEST(Controller, NothingIsDeclaredDeadWhileItIsQuiet) {
  World world(ThreeNodes());
  FormThree(world);
  world.controller().Quiet();
  world.Gone("n2");
  world.Pass(absl::Milliseconds(2999));
  EXPECT_FALSE(world.Step());
  world.Pass(absl::Milliseconds(1));
  EXPECT_TRUE(world.Step());
  EXPECT_EQ(world.Primaries(Node(102)), 0);
}

TEST(Controller, AfterAnOutageThoseWhoRegisterAgainAreNotDead) {
  World world(ThreeNodes());
  FormThree(world);
  world.controller().Quiet();
  world.GoneTogether({"n1", "n2", "n3"});
  EXPECT_FALSE(world.Step());
  world.Pass(absl::Seconds(2));
  world.Up("n1", {.incarnation = 101});
  world.Up("n2", {.incarnation = 102});
  world.Up("n3", {.incarnation = 103});
  world.Pass(absl::Seconds(10));
  EXPECT_FALSE(world.Step());
}

TEST(Controller, ANewControllerIsQuietToo) {
  World world(ThreeNodes());
  FormThree(world);
  world.controller().Start(world.map());
  world.Gone("n2");
  EXPECT_FALSE(world.Step());
  world.Pass(absl::Seconds(3));
  EXPECT_TRUE(world.Step());
}

TEST(Controller, ADeathPromotesInSyncCopiesEvenlyWithANewEpoch) {
  World world(ThreeNodes());
  FormThree(world);
  const PlacementMap before = world.map();
  world.Gone("n2");
  ASSERT_TRUE(world.Step());
  EXPECT_EQ(world.Orphans(), 0);
  EXPECT_EQ(world.Copies(Node(102)), 0);
  EXPECT_NEAR(world.Primaries(Node(101)), base::kPartitionCount / 2.0, 20);
  EXPECT_NEAR(world.Primaries(Node(103)), base::kPartitionCount / 2.0, 20);
  for (size_t p = 0; p < base::kPartitionCount; ++p) {
    const bool lost = before.partitions[p].primary == Node(102);
    EXPECT_EQ(world.at(p).epoch.value(), before.partitions[p].epoch.value() + (lost ? 1 : 0));
    EXPECT_EQ(world.at(p).history, before.partitions[p].history);
  }
}

TEST(Controller, CopiesOfTheDeadAreReplacedOnlyAfterAWhile) {
  ControllerOptions options = ThreeNodes();
  options.re_replicate_after = absl::Seconds(10);
  World world(options);
  FormThree(world);
  world.Gone("n2");
  ASSERT_TRUE(world.Step());
  world.Pass(absl::Milliseconds(9999));
  EXPECT_FALSE(world.Step());
  EXPECT_EQ(world.Learners(), 0);
  world.Pass(absl::Milliseconds(1));
  EXPECT_TRUE(world.Step());
  EXPECT_GT(world.Learners(), 0);
  world.Settle();
  EXPECT_EQ(world.Copies(Node(101)), static_cast<int>(base::kPartitionCount));
  EXPECT_EQ(world.Copies(Node(103)), static_cast<int>(base::kPartitionCount));
  EXPECT_EQ(world.map().FindMember(Node(102)), nullptr) << "the dead are forgotten";
}

TEST(Controller, ARestartMovesNothing) {
  World world(ThreeNodes());
  FormThree(world);
  const PlacementMap before = world.map();
  world.Gone("n2");
  ASSERT_TRUE(world.Step());
  world.Pass(absl::Seconds(5));
  world.Up("n2", {.incarnation = 202, .previous = 102});
  world.Settle();
  for (size_t p = 0; p < base::kPartitionCount; ++p) {
    for (const base::Incarnation node : before.partitions[p].isr) {
      EXPECT_TRUE(world.at(p).InIsr(node == Node(102) ? Node(202) : node)) << p;
    }
  }
}

TEST(Controller, TheSameDataFolderUnderANewIncarnationEndsTheOldOneAtOnce) {
  World world(ThreeNodes());
  FormThree(world);
  world.Up("n2", {.incarnation = 202, .previous = 102, .revision = 9});
  ASSERT_TRUE(world.Step());
  EXPECT_EQ(world.Primaries(Node(102)), 0);
  EXPECT_EQ(world.Copies(Node(202)), 0) << "R7: a restarted node holds no seat";
  EXPECT_GT(world.Learners(), 0) << "and learns at once";
}

// The other copy may be on a node that died with it, and whose lease the coordinator has prolonged.
TEST(Controller, WhoWasRegisteredBeforeItWasQuietInheritsNothingUntilThatIsOver) {
  World world(ThreeNodes());
  FormThree(world);
  const size_t led = world.Partition(Node(102), Node(101));
  const size_t backed = world.Partition(Node(101), Node(102));
  world.controller().Quiet();
  world.Up("n2", {.incarnation = 202, .previous = 102, .revision = 9});
  ASSERT_TRUE(world.Step());
  EXPECT_EQ(world.at(led).primary, Node(0));
  EXPECT_EQ(world.at(led).isr.size(), 2u);
  EXPECT_EQ(world.at(backed).primary, Node(101)) << "it goes on serving, if it lives";
  EXPECT_EQ(world.at(backed).isr.size(), 2u);
  world.Pass(absl::Seconds(3));
  ASSERT_TRUE(world.Step());
  for (const size_t partition : {led, backed}) {
    EXPECT_EQ(world.at(partition).primary, Node(101));
    EXPECT_EQ(world.at(partition).isr.size(), 1u);
  }
}

TEST(Controller, AnIsrThatWasLostWholeIsKeptWholeThoughALeaseRanOn) {
  World world(ThreeNodes());
  FormThree(world);
  const size_t partition = world.Partition(Node(101), Node(102));
  world.controller().Quiet();
  world.Up("n2", {.incarnation = 202, .previous = 102, .disk_copies = true, .revision = 9});
  ASSERT_TRUE(world.Step());
  world.Gone("n1");
  world.Pass(absl::Seconds(3));
  ASSERT_TRUE(world.Step());
  EXPECT_EQ(world.at(partition).primary, Node(0));
  EXPECT_EQ(world.at(partition).isr.size(), 2u);
  // n1 comes back without its disk: n2's has it all.
  world.Up("n1", {.incarnation = 201, .uuid = "another", .revision = 10});
  ASSERT_TRUE(world.Step());
  EXPECT_EQ(world.at(partition).primary, Node(202));
  EXPECT_EQ(world.controller().resets(), 0u);
}

TEST(Controller, TheSameDataFolderUnderAnotherNameEndsTheOldOneAtOnce) {
  World world(ThreeNodes());
  FormThree(world);
  world.Up("renamed", {.incarnation = 202, .uuid = "uuid-n2", .revision = 9});
  ASSERT_TRUE(world.Step());
  EXPECT_EQ(world.Primaries(Node(102)), 0) << "though its lease still lives";
  EXPECT_EQ(world.map().FindMember(Node(102))->state, MemberState::kDown);
}

TEST(Controller, RequestsCountOnlyFromThePrimaryWithTheMapsOwnVersions) {
  struct Case {
    const char* name;
    uint64_t from;
    int epoch_off;
    int version_off;
    uint64_t add;
    uint64_t remove;
    bool changes;
    std::vector<base::Incarnation> isr;
  };
  // Partition: primary 101, in sync 101 and 102; 103 is no learner.
  const std::vector<Case> cases = {
      {"the primary removes its backup", 101, 0, 0, 0, 102, true, {Node(101)}},
      {"a backup asks", 102, 0, 0, 0, 101, false, {Node(101), Node(102)}},
      {"a third one asks", 103, 0, 0, 0, 102, false, {Node(101), Node(102)}},
      {"an older epoch", 101, -1, 0, 0, 102, false, {Node(101), Node(102)}},
      {"a newer epoch", 101, 1, 0, 0, 102, false, {Node(101), Node(102)}},
      {"an older isr_version", 101, 0, -1, 0, 102, false, {Node(101), Node(102)}},
      {"the primary removes itself", 101, 0, 0, 0, 101, false, {Node(101), Node(102)}},
      {"one who is no learner", 101, 0, 0, 103, 0, false, {Node(101), Node(102)}},
      {"one who is nobody", 101, 0, 0, 999, 0, false, {Node(101), Node(102)}},
      {"one who is not in the ISR", 101, 0, 0, 0, 103, true, {Node(101), Node(102)}},
  };
  for (const Case& test : cases) {
    SCOPED_TRACE(test.name);
    World world(ThreeNodes());
    FormThree(world);
    const size_t p = world.Partition(Node(101), Node(102));
    const uint32_t version = world.at(p).isr_version;
    IsrChange change = world.Change(p, Node(test.add), Node(test.remove));
    change.set_epoch(change.epoch() + test.epoch_off);
    change.set_isr_version(change.isr_version() + test.version_off);
    world.Ask(Node(test.from), change);
    EXPECT_EQ(world.Step(), test.changes);
    EXPECT_THAT(std::vector<base::Incarnation>(world.at(p).isr.begin(), world.at(p).isr.end()),
                ::testing::UnorderedElementsAreArray(test.isr));
    EXPECT_EQ(world.at(p).isr_version > version, test.changes);
    // Sent again, it is stale.
    world.Ask(Node(test.from), change);
    world.Step();
    EXPECT_EQ(world.at(p).isr.size(), test.isr.size());
  }
}

TEST(Controller, ManyRequestsMakeOneMap) {
  World world(ThreeNodes());
  FormThree(world);
  const int before = world.published();
  AskControllerRequest request;
  request.set_from_incarnation(101);
  for (size_t p = 0; p < base::kPartitionCount; ++p) {
    if (world.at(p).primary == Node(101)) {
      *request.add_isr_changes() = world.Change(p, {}, Node(102));
    }
  }
  world.controller().Ask(request);
  world.Drain("n3");
  ASSERT_TRUE(world.Step());
  EXPECT_EQ(world.published(), before + 1);
  for (size_t p = 0; p < base::kPartitionCount; ++p) {
    if (world.at(p).primary == Node(101)) {
      EXPECT_FALSE(world.at(p).InIsr(Node(102)));
    }
  }
}

TEST(Controller, ALearnerComesInByThePrimarysRequest) {
  World world(ThreeNodes());
  FormThree(world);
  const size_t p = world.Partition(Node(101), Node(102));
  world.Ask(Node(101), world.Change(p, {}, Node(102)));
  ASSERT_TRUE(world.Step());
  ASSERT_TRUE(world.at(p).IsLearner(Node(102))) << "a copy is missing, nobody is dead: at once";
  world.Ask(Node(101), world.Change(p, Node(102), {}));
  ASSERT_TRUE(world.Step());
  EXPECT_TRUE(world.at(p).InIsr(Node(102)));
  EXPECT_FALSE(world.at(p).IsLearner(Node(102)));
}

TEST(Controller, ANewNodeIsFilledAndSurplusCopiesAreDroppedOnceCopiesAreInSync) {
  World world(ThreeNodes());
  FormThree(world);
  world.Up("n4", {.incarnation = 104});
  ASSERT_TRUE(world.Step());
  EXPECT_GT(world.Learners(), 0);
  for (const Placement& placement : world.map().partitions) EXPECT_EQ(placement.isr.size(), 2u);
  world.Settle();
  for (const uint64_t node : {101, 102, 103, 104}) {
    EXPECT_NEAR(world.Copies(Node(node)), base::kPartitionCount / 2.0, 2) << node;
    EXPECT_NEAR(world.Primaries(Node(node)), base::kPartitionCount / 4.0, 2) << node;
  }
}

TEST(Controller, ALeaverGivesItsRolesAwayAndKeepsWhatOnlyItHas) {
  World world(ThreeNodes());
  FormThree(world);
  const int copies = world.Copies(Node(101));
  world.Leave(101);
  ASSERT_TRUE(world.Step());
  EXPECT_EQ(world.Primaries(Node(101)), 0);
  EXPECT_EQ(world.Copies(Node(101)), copies) << "until the new primaries serve";
  ASSERT_TRUE(world.RelieveLeavers());
  EXPECT_EQ(world.Copies(Node(101)), 0);
  EXPECT_EQ(world.Learners(), 0) << "it may be back soon";
  world.Leave(102);
  ASSERT_TRUE(world.Step());
  ASSERT_TRUE(world.RelieveLeavers());
  world.Leave(103);
  world.Step();
  EXPECT_EQ(world.Orphans(), 0);
  for (const Placement& placement : world.map().partitions) EXPECT_EQ(placement.isr.size(), 1u);
}

// n2 was killed a moment ago, and nobody knows: what n1 had must not go to it alone.
TEST(Controller, ALeaverKeepsItsCopiesWhileItsHeirIsOnlyBelievedToLive) {
  World world(ThreeNodes());
  FormThree(world);
  const size_t p = world.Partition(Node(101), Node(102));
  world.Leave(101);
  ASSERT_TRUE(world.Step());
  EXPECT_EQ(world.at(p).primary, Node(102));
  world.Leave(103);
  ASSERT_TRUE(world.Step());
  world.Gone("n2");
  ASSERT_TRUE(world.Step());
  EXPECT_EQ(world.at(p).primary, Node(101));
  EXPECT_TRUE(world.at(p).InIsr(Node(101)));
  EXPECT_EQ(world.Orphans(), 0);
}

TEST(Controller, NodesThatLeaveTogetherKeepTheirPartitionsTogether) {
  World world(ThreeNodes());
  FormThree(world);
  for (const uint64_t node : {101, 102, 103}) world.Leave(node);
  ASSERT_TRUE(world.Step());
  for (const Placement& placement : world.map().partitions) EXPECT_EQ(placement.isr.size(), 2u);
  EXPECT_EQ(world.Orphans(), 0);
}

// However the stops of all nodes mix, with whatever time between, and whoever is in office: every
// ISR is whole in the end, so that any one of its disks will do.
TEST(Controller, NodesThatStopTogetherLeaveEveryIsrWhole) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    World world(ThreeNodes());
    FormThree(world);
    std::mt19937_64 random(seed);
    std::vector<int> left = {1, 2, 3};
    for (const int node : left) {
      world.Leave(100 + static_cast<uint64_t>(node));
      if (random() % 2 == 0) world.Step();
    }
    world.Step();  // all were answered
    std::shuffle(left.begin(), left.end(), random);
    for (const int node : left) {
      world.Pass(absl::Milliseconds(random() % 2 == 0 ? 10 : random() % 4000));
      if (random() % 3 == 0) world.Step();
      world.Gone(absl::StrCat("n", node));
      if (random() % 3 == 0) world.controller().Start(world.map());
    }
    world.Pass(absl::Seconds(4));
    world.Step();
    for (const Placement& placement : world.map().partitions) {
      ASSERT_EQ(placement.isr.size(), 2u);
      ASSERT_EQ(placement.reset_epoch, 0u);
    }
  }
}

TEST(Controller, ANodeThatCrashesIsSucceededByOneThatLeaves) {
  World world(ThreeNodes());
  FormThree(world);
  const size_t p = world.Partition(Node(101), Node(102));
  world.Leave(102);
  ASSERT_TRUE(world.Step());
  world.Gone("n1");
  ASSERT_TRUE(world.Step());
  EXPECT_EQ(world.at(p).primary, Node(102));
  EXPECT_THAT(std::vector<base::Incarnation>(world.at(p).isr.begin(), world.at(p).isr.end()),
              ElementsAre(Node(102)));
}

// When all come back, the first finds the others' old selves in the map, not registered and not
// declared dead yet. Its own old copies are not given up for theirs.
TEST(Controller, WhoIsNotRegisteredInheritsNothing) {
  World world(ThreeNodes());
  FormThree(world);
  const PlacementMap before = world.map();
  world.controller().Start(world.map());
  world.GoneTogether({"n1", "n2", "n3"});
  world.Up("n1", {.incarnation = 201, .previous = 101, .disk_copies = true});
  world.Step();
  for (size_t p = 0; p < base::kPartitionCount; ++p) {
    const Placement& was = before.partitions[p];
    if (!was.InIsr(Node(101))) continue;
    // What it was the primary of is revived at once; else it waits for its primary.
    const bool led = was.primary == Node(101);
    ASSERT_EQ(world.at(p).primary, led ? Node(201) : was.primary) << p;
    ASSERT_EQ(world.at(p).isr.size(), led ? 1u : 2u) << p;
  }
  // The others come back without their disks.
  world.Up("n2", {.incarnation = 202, .previous = 102});
  world.Up("n3", {.incarnation = 203, .previous = 103});
  world.Step();
  world.Settle();
  for (size_t p = 0; p < base::kPartitionCount; ++p) {
    EXPECT_EQ(world.at(p).reset_epoch, before.partitions[p].InIsr(Node(101)) ? 0u : 1u) << p;
  }
}

TEST(Controller, ADrainedNodeIsEmptiedAndAnUndoneDrainFillsItAgain) {
  World world(ThreeNodes());
  FormThree(world);
  world.Drain("n2");
  world.Settle();
  EXPECT_EQ(world.map().FindMember(Node(102))->state, MemberState::kDraining);
  EXPECT_EQ(world.Copies(Node(102)), 0);
  EXPECT_EQ(world.Copies(Node(101)), static_cast<int>(base::kPartitionCount));
  world.Drain("n2", true);
  world.Settle();
  EXPECT_NEAR(world.Copies(Node(102)), base::kPartitionCount * 2 / 3.0, 2);
}

}  // namespace
}  // namespace atoll::cluster
