// Nodes that form a cluster in one process, over a real etcd that dies and comes back.

#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <memory>
#include <string>

#include "server/cluster/etcd_coordinator.h"
#include "tests/server/cluster/membership_fixture.h"
#include "tests/support/etcd_process.h"

namespace atoll::cluster {
namespace {

class MembershipOverEtcd : public MembershipTest {
 protected:
  void SetUp() override {
    folder_ = absl::StrCat(::testing::TempDir(), "/atoll-membership-", getpid(), "-",
                           ::testing::UnitTest::GetInstance()->current_test_info()->name());
    auto started = test::EtcdProcess::Start(folder_);
    if (absl::IsNotFound(started.status())) {
      GTEST_SKIP() << "NO ETCD: set ATOLL_ETCD_BINARY or put etcd on PATH; nothing was tested";
    }
    ASSERT_TRUE(started.ok()) << started.status();
    etcd_ = *std::move(started);
    quiet_ = absl::Seconds(3);
  }
  void TearDown() override {
    MembershipTest::TearDown();
    coordinators_.clear();
    etcd_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  Coordinator* coordinator(const std::string& name) override {
    std::unique_ptr<Coordinator>& made = coordinators_[name];
    if (made == nullptr) {
      auto result =
          MakeEtcdCoordinator({.endpoints = {etcd_->endpoint()}, .call_timeout = absl::Seconds(1)});
      EXPECT_TRUE(result.ok()) << result.status();
      made = *std::move(result);
    }
    return made.get();
  }

  void FormThree() {
    for (const char* name : {"n1", "n2", "n3"}) Start(name);
    for (auto& [name, node] : nodes_) ASSERT_TRUE(node->WaitForMap(kPatience).ok()) << name;
  }
  bool Reachable() {
    for (auto& [name, node] : nodes_) {
      if (!node->coordinator_up()) return false;
    }
    return true;
  }
  bool HasController() {
    int controllers = 0;
    for (auto& [name, node] : nodes_) controllers += node->is_controller() ? 1 : 0;
    return controllers == 1;
  }

  std::string folder_;
  std::unique_ptr<test::EtcdProcess> etcd_;
  std::map<std::string, std::unique_ptr<Coordinator>> coordinators_;
};

TEST_F(MembershipOverEtcd, ThreeNodesFormAClusterAndOneThatVanishesLosesItsPartitions) {
  FormThree();
  ASSERT_TRUE(HasController());
  // Whichever it is: the controller too.
  std::string victim;
  for (auto& [name, node] : nodes_) {
    if (node->is_controller()) victim = name;
  }
  const base::Incarnation dead = nodes_[victim]->self();
  Vanish(victim);
  for (auto& [name, node] : nodes_) {
    if (name == victim) continue;
    Membership* const other = node.get();
    EXPECT_TRUE(WaitUntil([&] { return Primaries(*other->map(), dead) == 0; })) << name;
  }
}

TEST_F(MembershipOverEtcd, AnEtcdThatIsRestartedFindsEveryoneAliveAndTheMapUnchanged) {
  FormThree();
  const MapPtr before = nodes_["n1"]->map();
  etcd_->Kill();
  ASSERT_TRUE(WaitUntil([&] {
    for (auto& [name, node] : nodes_) {
      if (node->coordinator_up()) return false;
    }
    return true;
  }));
  for (auto& [name, node] : nodes_) {
    EXPECT_EQ(*node->map(), *before) << "the last map stays in force";
    EXPECT_FALSE(Ask(*node, {}).ok()) << "nothing can be decided now";
  }
  ASSERT_TRUE(etcd_->Restart().ok());
  ASSERT_TRUE(WaitUntil([&] { return Reachable() && HasController(); }));
  // Control is back...
  ASSERT_TRUE(WaitUntil([&] { return Ask(*nodes_["n2"], {}).ok(); }));
  ASSERT_TRUE(nodes_["n3"]->CreateNamespace("later", {}).ok());
  ASSERT_TRUE(WaitUntil([&] { return nodes_["n1"]->FindNamespace("later") != nullptr; }));
  // ...and nobody was declared dead.
  EXPECT_EQ(nodes_["n1"]->map()->partitions, before->partitions);
}

TEST_F(MembershipOverEtcd, AnOutageLongerThanTheLeasesKillsNobody) {
  FormThree();
  const MapPtr before = nodes_["n1"]->map();
  // Stopped, not killed: leases run on in the etcd that continues, and end.
  etcd_->Signal(SIGSTOP);
  const absl::Time resume = absl::Now() + absl::Seconds(6);
  ASSERT_TRUE(WaitUntil([&] { return absl::Now() > resume; }));
  EXPECT_EQ(*nodes_["n1"]->map(), *before);
  etcd_->Signal(SIGCONT);
  ASSERT_TRUE(WaitUntil([&] { return Reachable() && HasController(); }));
  ASSERT_TRUE(WaitUntil([&] { return Ask(*nodes_["n1"], {}).ok(); }));
  // Longer than the quiet time: who was to be declared dead would be so by now.
  const absl::Time settled = absl::Now() + absl::Seconds(5);
  ASSERT_TRUE(WaitUntil([&] { return absl::Now() > settled; }));
  EXPECT_EQ(nodes_["n1"]->map()->partitions, before->partitions);
  for (auto& [name, node] : nodes_) {
    EXPECT_NE(node->map()->FindMember(node->self()), nullptr) << name;
  }
}

TEST_F(MembershipOverEtcd, AClusterComesBackToTheMapThatItLeft) {
  FormThree();
  ASSERT_TRUE(nodes_["n1"]->CreateNamespace("kept", {}).ok());
  const std::string id = nodes_["n1"]->map()->cluster_id;
  std::map<std::string, uint64_t> old;
  for (const std::string name : {"n1", "n2", "n3"}) {
    old[name] = nodes_[name]->self().value();
    ASSERT_TRUE(nodes_[name]->Leave(kPatience).ok());
    StopCleanly(name);
  }
  coordinators_.clear();
  ASSERT_TRUE(etcd_->Restart().ok());
  for (const std::string name : {"n1", "n2", "n3"}) {
    Start(name, {.previous = old[name], .disk_copies = true});
  }
  ASSERT_TRUE(WaitUntil([&] {
    const MapPtr map = nodes_["n1"]->map();
    int owned = 0;
    for (auto& [name, node] : nodes_) owned += Primaries(*map, node->self());
    return owned == static_cast<int>(base::kPartitionCount);
  }));
  EXPECT_EQ(nodes_["n1"]->map()->cluster_id, id);
  EXPECT_NE(nodes_["n3"]->FindNamespace("kept"), nullptr);
  for (const auto& placement : nodes_["n1"]->map()->partitions) {
    EXPECT_EQ(placement.reset_epoch, 0u);
  }
}

}  // namespace
}  // namespace atoll::cluster
