// Nodes that form a cluster in one process: over a coordinator in memory, and over a real etcd.

#include "server/cluster/membership.h"

#include <unistd.h>

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/cluster/etcd_coordinator.h"
#include "server/cluster/memory_coordinator.h"
#include "tests/support/child_process.h"
#include "tests/support/etcd_process.h"

namespace atoll::cluster {
namespace {

using internal::v1::AskControllerRequest;
using internal::v1::AskControllerResponse;
using ::testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(30);

// Calls the membership whose peer listener has the address, without a network.
class Network final : public PeerCaller {
 public:
  void Add(const std::string& address, Membership* membership) {
    base::MutexLock lock(mu_);
    nodes_[address] = membership;
  }
  void Remove(const std::string& address) {
    base::MutexLock lock(mu_);
    nodes_.erase(address);
  }
  void AskController(const std::string& address, const AskControllerRequest& request,
                     absl::Duration /*timeout*/, ClusterView::AskDone done) override {
    Membership* membership = nullptr;
    {
      base::MutexLock lock(mu_);
      if (const auto it = nodes_.find(address); it != nodes_.end()) membership = it->second;
    }
    if (membership == nullptr) return done(absl::UnavailableError("connection refused"));
    membership->HandleAskController(request, std::move(done));
  }
  void Stop() override {}

 private:
  base::Mutex mu_;
  std::map<std::string, Membership*> nodes_ ABSL_GUARDED_BY(mu_);
};

class MapLog final : public ClusterListener {
 public:
  void OnMap(const MapPtr& map) override {
    base::MutexLock lock(mu_);
    versions_.push_back(map->version);
  }
  void OnNamespaces() override {
    base::MutexLock lock(mu_);
    ++namespaces_;
  }
  std::vector<uint64_t> versions() const {
    base::MutexLock lock(mu_);
    return versions_;
  }
  int namespaces() const {
    base::MutexLock lock(mu_);
    return namespaces_;
  }

 private:
  mutable base::Mutex mu_;
  std::vector<uint64_t> versions_ ABSL_GUARDED_BY(mu_);
  int namespaces_ ABSL_GUARDED_BY(mu_) = 0;
};

struct NodeShape {
  uint64_t incarnation = 0;
  uint64_t previous = 0;
  bool disk_usable = false;
  std::string uuid;
};

class MembershipTest : public ::testing::Test {
 protected:
  void TearDown() override {
    for (auto& [name, node] : nodes_) node->Stop();
    nodes_.clear();
  }

  virtual Coordinator* coordinator() { return &memory_; }

  MembershipOptions Options(const std::string& name, const NodeShape& shape) {
    MembershipOptions options;
    v1::Node* node = options.descriptor.mutable_node();
    node->set_name(name);
    node->set_incarnation(shape.incarnation != 0 ? shape.incarnation : next_incarnation_++);
    v1::Listener* peer = node->add_listeners();
    peer->set_name("peer");
    peer->set_address(absl::StrCat(name, ":7851"));
    options.descriptor.set_data_uuid(shape.uuid.empty() ? absl::StrCat("uuid-", name) : shape.uuid);
    options.descriptor.set_previous_incarnation(shape.previous);
    options.descriptor.set_disk_usable(shape.disk_usable);
    options.cluster = cluster_;
    auto config = EstablishConfig(coordinator(), {.cluster = cluster_, .replication_factor = 2});
    EXPECT_TRUE(config.ok()) << config.status();
    if (config.ok()) options.config = *config;
    options.node_lease = absl::Seconds(2);
    options.tick = absl::Milliseconds(20);
    options.controller.initial_nodes = initial_nodes_;
    options.controller.quiet = quiet_;
    options.controller.re_replicate_after = re_replicate_after_;
    options.controller.revive_wait = absl::Seconds(2);
    options.controller.settle = absl::ZeroDuration();
    return options;
  }

  Membership& Start(const std::string& name, const NodeShape& shape = {}) {
    const MembershipOptions options = Options(name, shape);
    auto node = Membership::Create(options, coordinator(), &network_, &base::Clock::Real());
    network_.Add(absl::StrCat(name, ":7851"), node.get());
    const absl::Status status = node->Start();
    EXPECT_TRUE(status.ok()) << status;
    return *(nodes_[name] = std::move(node));
  }
  // As kill -9 does: nothing is said, the lease runs out.
  void Vanish(const std::string& name) {
    network_.Remove(absl::StrCat(name, ":7851"));
    nodes_[name]->StopKeepAlive();
  }
  void StopCleanly(const std::string& name) {
    nodes_[name]->Stop();
    network_.Remove(absl::StrCat(name, ":7851"));
    nodes_.erase(name);
  }

  static bool WaitUntil(const std::function<bool()>& condition) {
    return test::WaitUntil(condition, kPatience);
  }
  static int Primaries(const ring::PlacementMap& map, base::Incarnation node) {
    int count = 0;
    for (const auto& placement : map.partitions) count += placement.primary == node ? 1 : 0;
    return count;
  }
  // Plays the primaries: every learner is asked in, as if it had copied everything.
  void AdmitLearners(Membership& node) {
    const MapPtr map = node.map();
    AskControllerRequest request;
    for (size_t p = 0; p < map->partitions.size(); ++p) {
      const ring::Placement& placement = map->partitions[p];
      if (placement.primary != node.self() || placement.learners.empty()) continue;
      internal::v1::IsrChange* change = request.add_isr_changes();
      change->set_partition(static_cast<uint32_t>(p));
      change->set_epoch(placement.epoch.value());
      change->set_isr_version(placement.isr_version);
      change->set_add(placement.learners.front().value());
    }
    if (request.isr_changes_size() == 0) return;
    // A refusal is asked again by the next round.
    Ask(node, std::move(request)).status().IgnoreError();
  }
  absl::StatusOr<AskControllerResponse> Ask(Membership& node, AskControllerRequest request) {
    struct Outcome {
      base::Mutex mu;
      std::optional<absl::StatusOr<AskControllerResponse>> value ABSL_GUARDED_BY(mu);
    };
    auto outcome = std::make_shared<Outcome>();
    node.AskController(std::move(request), [outcome](absl::StatusOr<AskControllerResponse> r) {
      base::MutexLock lock(outcome->mu);
      outcome->value = std::move(r);
    });
    const auto answered = [&] {
      base::MutexLock lock(outcome->mu);
      return outcome->value.has_value();
    };
    if (!WaitUntil(answered)) return absl::DeadlineExceededError("no answer");
    base::MutexLock lock(outcome->mu);
    return *outcome->value;
  }
  static bool FullyReplicated(const ring::PlacementMap& map, size_t copies) {
    for (const auto& placement : map.partitions) {
      if (placement.isr.size() != copies || !placement.learners.empty()) return false;
    }
    return !map.partitions.empty();
  }

  MemoryCoordinator memory_;
  Network network_;
  std::map<std::string, std::unique_ptr<Membership>> nodes_;
  uint64_t next_incarnation_ = 1000;
  uint32_t initial_nodes_ = 3;
  absl::Duration quiet_ = absl::Milliseconds(200);
  absl::Duration re_replicate_after_ = absl::Milliseconds(500);
  std::string cluster_ = "atoll";
};

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
  auto impostor = Membership::Create(options, coordinator(), &network_, &base::Clock::Real());
  const absl::Status status = impostor->Start();
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(status.ToString(), HasSubstr("node_name: \"n1\""));
}

TEST_F(MembershipTest, ANodeThatLeavesHasNoRolesWhenLeaveReturns) {
  for (const char* name : {"n1", "n2", "n3"}) Start(name);
  for (auto& [name, node] : nodes_) ASSERT_TRUE(node->WaitForMap(kPatience).ok());
  // Each keeps only what it is the last in-sync copy of: R9 goes by it.
  const auto kept = [&](const std::string& name) {
    const MapPtr map = nodes_[name]->map();
    const base::Incarnation leaver = nodes_[name]->self();
    int alone = 0;
    for (const auto& placement : map->partitions) {
      if (placement.primary == leaver) EXPECT_EQ(placement.isr.size(), 1u);
      alone += placement.isr.size() == 1 && placement.InIsr(leaver) ? 1 : 0;
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
    Start(name, {.previous = old[name], .disk_usable = true});
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
