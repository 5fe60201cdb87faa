// Memberships in one process, for tests: made, stopped, cut off.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/cluster/descriptor.h"
#include "server/cluster/membership.h"
#include "server/cluster/memory_coordinator.h"
#include "tests/support/child_process.h"

namespace atoll::cluster {

using internal::v1::AskControllerRequest;
using internal::v1::AskControllerResponse;

inline constexpr absl::Duration kPatience = absl::Seconds(30);

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
  bool disk_copies = false;  // of every partition
  std::string uuid;
};

class MembershipTest : public ::testing::Test {
 protected:
  void TearDown() override {
    for (auto& [name, node] : nodes_) node->Stop();
    nodes_.clear();
  }

  // What the node of the name talks to.
  virtual Coordinator* coordinator(const std::string& /*name*/) { return &memory_; }

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
    for (size_t p = 0; shape.disk_copies && p < base::kPartitionCount; ++p) {
      AddDiskCopy(base::Incarnation(shape.previous), base::PartitionId(static_cast<uint16_t>(p)),
                  options.descriptor);
    }
    options.cluster = cluster_;
    auto config =
        EstablishConfig(coordinator(name), {.cluster = cluster_, .replication_factor = 2});
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
    auto node = Membership::Create(options, coordinator(name), &network_, &base::Clock::Real());
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

}  // namespace atoll::cluster
