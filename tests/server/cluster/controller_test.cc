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
#include "server/cluster/descriptor.h"

namespace atoll::cluster {
namespace {

using internal::v1::AskControllerRequest;
using internal::v1::IsrChange;
using ring::MemberState;
using ring::Placement;
using ring::PlacementMap;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

constexpr uint64_t kSeed = 7;

base::Incarnation Node(uint64_t number) { return base::Incarnation(number); }

struct NodeState {
  uint64_t incarnation = 0;
  uint64_t previous = 0;
  bool disk_copies = false;     // of every partition
  std::optional<size_t> lacks;  // but of this one
  uint64_t left_by = 0;         // the process that left them, if it was not the previous one
  std::string uuid;
  int64_t revision = 1;
};

// A controller with the world around it: nodes by name, a clock that stands still, and a store that
// accepts what is published.
class World {
 public:
  explicit World(ControllerOptions options = {}) : controller_(options, &clock_, kSeed) {
    controller_.Start({});
    Pass(options.quiet);
  }

  void Up(const std::string& name, NodeState state) {
    if (state.uuid.empty()) state.uuid = "uuid-" + name;
    nodes_[name] = state;
    Tell();
  }
  void Gone(const std::string& name) {
    nodes_.erase(name);
    Tell();
  }
  void GoneTogether(const std::vector<std::string>& names) {
    for (const std::string& name : names) nodes_.erase(name);
    Tell();
  }
  void Pass(absl::Duration time) { clock_.Advance(time); }
  void Leave(uint64_t incarnation) {
    AskControllerRequest request;
    request.set_from_incarnation(incarnation);
    request.set_leaving(true);
    controller_.Ask(request);
  }
  void Drain(const std::string& name, bool undo = false) {
    AskControllerRequest request;
    request.set_drain_node(name);
    request.set_undo_drain(undo);
    controller_.Ask(request);
  }
  void Ask(base::Incarnation from, const IsrChange& change) {
    AskControllerRequest request;
    request.set_from_incarnation(from.value());
    *request.add_isr_changes() = change;
    controller_.Ask(request);
  }
  // One step. Whether there was a new map.
  bool Step() {
    std::optional<PlacementMap> next = controller_.Next();
    if (!next) return false;
    EXPECT_EQ(next->version, map().version + 1);
    CheckRules(map(), *next);
    ++published_;
    controller_.Committed(*std::move(next));
    return true;
  }
  // Steps until nothing changes, and primaries take every learner in.
  void Settle() {
    for (int i = 0; i < 300; ++i) {
      const bool changed = Step();
      const bool admitted = AdmitLearners();
      if (!changed && !admitted) return;
      Pass(absl::Seconds(1));
    }
    FAIL() << "did not settle";
  }
  bool AdmitLearners() {
    std::map<base::Incarnation, AskControllerRequest> requests;
    for (size_t p = 0; p < map().partitions.size(); ++p) {
      const Placement& placement = map().partitions[p];
      if (placement.learners.empty()) continue;
      AskControllerRequest& request = requests[placement.primary];
      request.set_from_incarnation(placement.primary.value());
      *request.add_isr_changes() = Change(p, placement.learners.front(), {});
    }
    for (const auto& [from, request] : requests) controller_.Ask(request);
    return !requests.empty() && Step();
  }
  // What primaries that stay, and serve, ask for when others leave.
  bool RelieveLeavers() {
    const auto leaves = [this](base::Incarnation node) {
      const ring::Member* member = map().FindMember(node);
      return member != nullptr && member->state == MemberState::kLeaving;
    };
    std::map<base::Incarnation, AskControllerRequest> requests;
    for (size_t p = 0; p < map().partitions.size(); ++p) {
      const Placement& placement = map().partitions[p];
      if (leaves(placement.primary)) continue;
      for (const base::Incarnation node : placement.isr) {
        if (!leaves(node)) continue;
        AskControllerRequest& request = requests[placement.primary];
        request.set_from_incarnation(placement.primary.value());
        *request.add_isr_changes() = Change(p, {}, node);
      }
    }
    for (const auto& [from, request] : requests) controller_.Ask(request);
    return !requests.empty() && Step();
  }
  // A request as the primary would word it now.
  IsrChange Change(size_t partition, base::Incarnation add, base::Incarnation remove) const {
    const Placement& placement = map().partitions[partition];
    IsrChange change;
    change.set_partition(static_cast<uint32_t>(partition));
    change.set_epoch(placement.epoch.value());
    change.set_isr_version(placement.isr_version);
    change.set_add(add.value());
    change.set_remove(remove.value());
    return change;
  }

  const PlacementMap& map() const { return controller_.current(); }
  const Placement& at(size_t partition) const { return map().partitions[partition]; }
  Controller& controller() { return controller_; }
  int published() const { return published_; }
  int Primaries(base::Incarnation node) const {
    return static_cast<int>(
        std::count_if(map().partitions.begin(), map().partitions.end(),
                      [&](const Placement& placement) { return placement.primary == node; }));
  }
  int Copies(base::Incarnation node) const {
    return static_cast<int>(
        std::count_if(map().partitions.begin(), map().partitions.end(),
                      [&](const Placement& placement) { return placement.InIsr(node); }));
  }
  int Learners() const {
    int count = 0;
    for (const Placement& placement : map().partitions) {
      count += static_cast<int>(placement.learners.size());
    }
    return count;
  }
  int Orphans() const { return Primaries(Node(0)); }
  // The first partition whose ISR is exactly these nodes, the first of them primary.
  size_t Partition(base::Incarnation primary, base::Incarnation backup) const {
    for (size_t p = 0; p < map().partitions.size(); ++p) {
      if (at(p).primary == primary && at(p).InIsr(backup) && at(p).isr.size() == 2) return p;
    }
    ADD_FAILURE() << "no such partition";
    return 0;
  }

 private:
  void Tell() {
    std::vector<Registration> nodes;
    for (const auto& [name, state] : nodes_) {
      Registration node;
      node.revision = state.revision;
      node.descriptor.mutable_node()->set_name(name);
      node.descriptor.mutable_node()->set_incarnation(state.incarnation);
      node.descriptor.set_data_uuid(state.uuid);
      node.descriptor.set_previous_incarnation(state.previous);
      const base::Incarnation left_by(state.left_by != 0 ? state.left_by : state.previous);
      for (size_t p = 0; state.disk_copies && p < base::kPartitionCount; ++p) {
        if (p == state.lacks) continue;
        AddDiskCopy(left_by, base::PartitionId(static_cast<uint16_t>(p)), node.descriptor);
      }
      nodes.push_back(std::move(node));
    }
    controller_.SetNodes(std::move(nodes));
  }

  // What holds of every map that follows another.
  static void CheckRules(const PlacementMap& old, const PlacementMap& now) {
    if (old.partitions.empty()) return;
    int bad = 0;
    const auto expect = [&](bool holds, size_t partition, const char* what) {
      if (!holds && ++bad < 5) ADD_FAILURE() << "partition " << partition << ": " << what;
    };
    for (size_t p = 0; p < now.partitions.size(); ++p) {
      const Placement& a = old.partitions[p];
      const Placement& b = now.partitions[p];
      expect(!b.isr.empty(), p, "an ISR is never empty");
      expect(b.epoch >= a.epoch, p, "epochs do not fall");
      expect(b.primary == a.primary || b.primary == Node(0) || b.epoch > a.epoch, p,
             "a new primary has a new epoch");
      expect(b.primary == Node(0) || b.InIsr(b.primary), p, "the primary is in sync");
      const auto set = [](const ring::Seats& seats) {
        return std::set<base::Incarnation>(seats.begin(), seats.end());
      };
      const bool moved = set(a.isr) != set(b.isr) || set(a.learners) != set(b.learners);
      expect(!moved || b.isr_version > a.isr_version, p, "a change raises isr_version");
      expect(b.isr_version >= a.isr_version, p, "isr_version does not fall");
      if (a.history == b.history) {
        for (const base::Incarnation node : b.isr) {
          expect(a.InIsr(node) || a.IsLearner(node), p, "only a learner comes into an ISR");
        }
      } else {
        expect(b.epoch > a.epoch, p, "another history has another epoch");
      }
    }
  }

  base::FakeClock clock_;
  Controller controller_;
  std::map<std::string, NodeState> nodes_;
  int published_ = 0;
};

// n1 (101), n2 (102), n3 (103), RF 2, in balance.
void FormThree(World& world) {
  world.Up("n1", {.incarnation = 101});
  world.Up("n2", {.incarnation = 102});
  world.Up("n3", {.incarnation = 103});
  ASSERT_TRUE(world.Step());
  world.Settle();
  ASSERT_EQ(world.map().version, 1u) << "the first map is in balance";
}

ControllerOptions ThreeNodes() { return {.cluster_id = "id", .initial_nodes = 3}; }

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
  world.controller().Quiet();  // no matter
  world.Up("n2", {.incarnation = 202, .previous = 102, .revision = 9});
  ASSERT_TRUE(world.Step());
  EXPECT_EQ(world.Primaries(Node(102)), 0);
  EXPECT_EQ(world.Copies(Node(202)), 0) << "R7: a restarted node holds no seat";
  EXPECT_GT(world.Learners(), 0) << "and learns at once";
}

TEST(Controller, TheSameDataFolderUnderAnotherNameEndsTheOldOneAtOnce) {
  World world(ThreeNodes());
  FormThree(world);
  world.controller().Quiet();  // no matter
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
