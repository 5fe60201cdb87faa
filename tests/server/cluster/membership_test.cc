// Nodes that form a cluster in one process, over a coordinator in memory.

#include "server/cluster/membership.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/cluster/membership_fixture.h"

namespace atoll::cluster {
namespace {

using ::testing::HasSubstr;

TEST_F(MembershipTest, ALoneNodeOwnsEverythingAtOnce) {
  initial_nodes_ = 1;
  Membership& node = Start("n1");
  ASSERT_TRUE(node.WaitForMap(kPatience).ok());
  EXPECT_TRUE(node.is_controller());
  EXPECT_TRUE(node.coordinator_up());
  EXPECT_EQ(Primaries(*node.map(), node.self()), static_cast<int>(base::kPartitionCount));
  EXPECT_EQ(node.FindNamespace("default")->id, base::NamespaceId(1));
  EXPECT_EQ(node.map()->FindMember(node.self())->listeners.front().address, "n1:7851");
}

TEST_F(MembershipTest, TheFirstMapWaitsForTheInitialNodes) {
  Start("n1");
  Start("n2");
  EXPECT_EQ(nodes_["n1"]->WaitForMap(absl::Milliseconds(300)).code(),
            absl::StatusCode::kDeadlineExceeded);
  Start("n3");
  for (auto& [name, node] : nodes_) EXPECT_TRUE(node->WaitForMap(kPatience).ok()) << name;
  ASSERT_TRUE(WaitUntil([&] {
    return nodes_["n1"]->map()->version == nodes_["n2"]->map()->version &&
           nodes_["n1"]->map()->version == nodes_["n3"]->map()->version;
  }));
  const MapPtr map = nodes_["n2"]->map();
  EXPECT_TRUE(FullyReplicated(*map, 2));
  EXPECT_EQ(*map, *nodes_["n3"]->map());
  for (auto& [name, node] : nodes_) {
    EXPECT_NEAR(Primaries(*map, node->self()), base::kPartitionCount / 3.0, 2) << name;
  }
  int controllers = 0;
  for (auto& [name, node] : nodes_) controllers += node->is_controller() ? 1 : 0;
  EXPECT_EQ(controllers, 1);
}

TEST_F(MembershipTest, TheDeathOfANodeHandsItsPartitionsToTheOthers) {
  for (const char* name : {"n1", "n2", "n3"}) Start(name);
  ASSERT_TRUE(nodes_["n2"]->WaitForMap(kPatience).ok());
  const base::Incarnation dead = nodes_["n2"]->self();
  Vanish("n2");
  for (const char* name : {"n1", "n3"}) {
    EXPECT_TRUE(WaitUntil([&] { return Primaries(*nodes_[name]->map(), dead) == 0; })) << name;
  }
  const MapPtr map = nodes_["n1"]->map();
  for (const auto& placement : map->partitions) {
    EXPECT_FALSE(placement.InIsr(dead));
    EXPECT_NE(placement.primary, base::Incarnation());
  }
}

TEST_F(MembershipTest, WhenTheControllerDiesAnotherNodeTakesOfficeAndDeclaresItDead) {
  for (const char* name : {"n1", "n2", "n3"}) Start(name);
  for (auto& [name, node] : nodes_) ASSERT_TRUE(node->WaitForMap(kPatience).ok());
  std::string controller;
  for (auto& [name, node] : nodes_) {
    if (node->is_controller()) controller = name;
  }
  ASSERT_NE(controller, "");
  const base::Incarnation dead = nodes_[controller]->self();
  Vanish(controller);
  for (auto& [name, node] : nodes_) {
    if (name == controller) continue;
    Membership* const other = node.get();
    EXPECT_TRUE(WaitUntil([&] { return Primaries(*other->map(), dead) == 0; })) << name;
  }
}

TEST_F(MembershipTest, ADeadNodesCopiesAreReplacedByLearnersAfterAWhile) {
  for (const char* name : {"n1", "n2", "n3"}) Start(name);
  ASSERT_TRUE(nodes_["n1"]->WaitForMap(kPatience).ok());
  Vanish("n3");
  ASSERT_TRUE(WaitUntil([&] {
    AdmitLearners(*nodes_["n1"]);
    AdmitLearners(*nodes_["n2"]);
    const MapPtr map = nodes_["n1"]->map();
    return map->FindLiveMember("n3") == nullptr && FullyReplicated(*map, 2);
  }));
}

TEST_F(MembershipTest, ARestartedNodeTakesItsNameOverAtOnceAndComesBackAsLearner) {
  re_replicate_after_ = absl::Seconds(100);
  for (const char* name : {"n1", "n2", "n3"}) Start(name);
  ASSERT_TRUE(nodes_["n1"]->WaitForMap(kPatience).ok());
  const base::Incarnation old = nodes_["n3"]->self();
  Vanish("n3");
  // The lease still lives, but the data folder is the same.
  nodes_["old n3"] = std::move(nodes_["n3"]);
  Membership& node = Start("n3", {.previous = old.value()});
  EXPECT_TRUE(node.WaitForMap(kPatience).ok());
  ASSERT_TRUE(WaitUntil([&] {
    for (auto* name : {"n1", "n2", "n3"}) AdmitLearners(*nodes_[name]);
    const MapPtr map = node.map();
    return FullyReplicated(*map, 2) && Primaries(*map, node.self()) > 1000 &&
           map->FindMember(old)->state == ring::MemberState::kDown;
  }));
}

TEST_F(MembershipTest, ANameThatLivesIsRefusedToAnotherDataFolder) {
  initial_nodes_ = 1;
  Start("n1");
  MembershipOptions options = Options("n1", {.uuid = "another"});
  options.name_wait = absl::Milliseconds(300);
  auto impostor = Membership::Create(options, coordinator("n1"), &network_, &base::Clock::Real());
  const absl::Status status = impostor->Start();
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(status.ToString(), HasSubstr("node_name: \"n1\""));
}

TEST_F(MembershipTest, ANodeThatLeavesHasNoRolesWhenLeaveReturns) {
  for (const char* name : {"n1", "n2", "n3"}) Start(name);
  for (auto& [name, node] : nodes_) ASSERT_TRUE(node->WaitForMap(kPatience).ok());
  // Each keeps only the roles that nobody who stays could take over: R9 goes by the ISR.
  const auto kept = [&](const std::string& name) {
    const MapPtr map = nodes_[name]->map();
    const base::Incarnation leaver = nodes_[name]->self();
    int alone = 0;
    for (const auto& placement : map->partitions) {
      const bool others =
          std::any_of(placement.isr.begin(), placement.isr.end(), [&](base::Incarnation node) {
            return map->FindMember(node)->state == ring::MemberState::kUp;
          });
      alone += placement.InIsr(leaver) && !others ? 1 : 0;
    }
    EXPECT_EQ(Primaries(*map, leaver), alone);
    return alone;
  };
  ASSERT_TRUE(nodes_["n1"]->Leave(kPatience).ok());
  EXPECT_EQ(kept("n1"), 0);
  StopCleanly("n1");
  ASSERT_TRUE(nodes_["n2"]->Leave(kPatience).ok());
  EXPECT_NEAR(kept("n2"), base::kPartitionCount / 3.0, 2) << "what it had with n1";
  StopCleanly("n2");
  ASSERT_TRUE(nodes_["n3"]->Leave(kPatience).ok());
  EXPECT_NEAR(kept("n3"), base::kPartitionCount * 2 / 3.0, 2);
}

TEST_F(MembershipTest, NodesThatStopAllAtOnceDoNotWaitForEachOther) {
  for (const char* name : {"n1", "n2", "n3"}) Start(name);
  for (auto& [name, node] : nodes_) ASSERT_TRUE(node->WaitForMap(kPatience).ok());
  std::map<std::string, absl::Status> left;
  std::vector<std::thread> threads;
  for (auto& [name, node] : nodes_) {
    threads.emplace_back([membership = node.get(), &status = left[name]] {
      status = membership->Leave(kPatience);
      membership->Stop();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& [name, status] : left) EXPECT_TRUE(status.ok()) << name << ": " << status;
}

TEST_F(MembershipTest, AClusterThatWasStoppedCleanlyIsRevivedFromItsDisks) {
  for (const char* name : {"n1", "n2", "n3"}) Start(name);
  for (auto& [name, node] : nodes_) ASSERT_TRUE(node->WaitForMap(kPatience).ok());
  std::map<std::string, uint64_t> old;
  for (const std::string name : {"n1", "n2", "n3"}) {
    old[name] = nodes_[name]->self().value();
    ASSERT_TRUE(nodes_[name]->Leave(kPatience).ok());
  }
  const MapPtr before = nodes_["n3"]->map();
  for (const std::string name : {"n1", "n2", "n3"}) StopCleanly(name);
  for (const std::string name : {"n1", "n2", "n3"}) {
    Start(name, {.previous = old[name], .disk_copies = true});
  }
  ASSERT_TRUE(WaitUntil([&] {
    const MapPtr map = nodes_["n1"]->map();
    int owned = 0;
    for (const char* name : {"n1", "n2", "n3"}) owned += Primaries(*map, nodes_[name]->self());
    return owned == static_cast<int>(base::kPartitionCount);
  }));
  const MapPtr after = nodes_["n1"]->map();
  for (size_t p = 0; p < after->partitions.size(); ++p) {
    EXPECT_GT(after->partitions[p].epoch, before->partitions[p].epoch);
    EXPECT_NE(after->partitions[p].history, before->partitions[p].history);
    EXPECT_EQ(after->partitions[p].reset_epoch, 0u) << "nothing was lost";
  }
}

TEST_F(MembershipTest, ListenersAreToldOfEachMapInOrderAndOfNamespaces) {
  initial_nodes_ = 1;
  Membership& node = Start("n1");
  ASSERT_TRUE(node.WaitForMap(kPatience).ok());
  MapLog log;
  node.AddListener(&log);
  ASSERT_TRUE(WaitUntil([&] { return !log.versions().empty(); }));
  Start("n2");
  ASSERT_TRUE(WaitUntil([&] { return log.versions().size() >= 2; }));
  const std::vector<uint64_t> versions = log.versions();
  for (size_t i = 1; i < versions.size(); ++i) EXPECT_LT(versions[i - 1], versions[i]);
  ASSERT_TRUE(node.CreateNamespace("users", {}).ok());
  EXPECT_TRUE(WaitUntil([&] { return log.namespaces() > 0; }));
  node.RemoveListener(&log);
}

TEST_F(MembershipTest, NamespacesAreSeenEverywhereAndTheirIdsAreNeverReused) {
  initial_nodes_ = 2;
  Membership& n1 = Start("n1");
  Membership& n2 = Start("n2");
  v1::NamespaceSettings settings;
  settings.set_default_ttl_ms(5000);
  auto made = n1.CreateNamespace("users", settings);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ((*made)->id, base::NamespaceId(2));
  EXPECT_EQ(n1.FindNamespace("users")->id, base::NamespaceId(2)) << "the answering node sees it";
  ASSERT_TRUE(WaitUntil([&] { return n2.FindNamespace("users") != nullptr; }));
  EXPECT_EQ(n2.CreateNamespace("users", {}).status().code(), absl::StatusCode::kAlreadyExists);

  v1::NamespaceSettings change;
  change.set_persistence(v1::PERSISTENCE_OFF);
  auto updated = n2.UpdateNamespace("users", change);
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ((*updated)->settings.default_ttl_ms(), 5000);
  EXPECT_EQ((*updated)->settings.persistence(), v1::PERSISTENCE_OFF);

  ASSERT_TRUE(n2.DropNamespace("users").ok());
  EXPECT_EQ(n2.FindNamespace("users"), nullptr);
  EXPECT_EQ(n2.FindNamespace(base::NamespaceId(2)), nullptr);
  EXPECT_EQ(n2.DropNamespace("users").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(n2.DropNamespace("default").code(), absl::StatusCode::kInvalidArgument);
  auto again = n2.CreateNamespace("users", {});
  ASSERT_TRUE(again.ok());
  EXPECT_EQ((*again)->id, base::NamespaceId(3));
  EXPECT_EQ(n1.CreateNamespace("Users", {}).status().code(), absl::StatusCode::kInvalidArgument);
  settings.set_ttl_jitter_percent(51);
  EXPECT_THAT(n1.CreateNamespace("x", settings).status().ToString(),
              HasSubstr("ttl_jitter_percent: 51 percent, limit 50"));
}

TEST_F(MembershipTest, AContradictionToTheStoredConfigIsRefusedByName) {
  ASSERT_TRUE(EstablishConfig(&memory_, {.cluster = "c", .replication_factor = 2}).ok());
  auto other = EstablishConfig(&memory_, {.cluster = "c", .replication_factor = 3});
  EXPECT_EQ(other.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(other.status().ToString(),
              HasSubstr("replication_factor: 3, but cluster \"c\" was made with 2"));
  auto same = EstablishConfig(&memory_, {.cluster = "c"});
  ASSERT_TRUE(same.ok());
  EXPECT_EQ(same->replication_factor(), 2u);
}

TEST_F(MembershipTest, AnotherNodeThanTheControllerRefusesToDecide) {
  initial_nodes_ = 2;
  Start("n1");
  Start("n2");
  for (auto& [name, node] : nodes_) ASSERT_TRUE(node->WaitForMap(kPatience).ok());
  for (auto& [name, node] : nodes_) {
    if (node->is_controller()) continue;
    absl::Status status;
    node->HandleAskController(
        {}, [&](absl::StatusOr<AskControllerResponse> response) { status = response.status(); });
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(base::HasReason(status, base::reason::kNotController)) << status;
  }
}

}  // namespace
}  // namespace atoll::cluster
