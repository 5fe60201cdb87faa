// The controller's office: who may publish, and what happens when nobody knows whether it worked.

#include "server/cluster/map_publisher.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "gtest/gtest.h"
#include "server/cluster/memory_coordinator.h"

namespace atoll::cluster {
namespace {

// A coordinator that carries the next Txn out and loses the answer, or loses the request.
class Flaky final : public Coordinator {
 public:
  explicit Flaky(Coordinator* real) : real_(real) {}
  enum class Fault { kNone, kLoseRequest, kLoseAnswer };
  void Fail(Fault fault) { fault_ = fault; }

  absl::StatusOr<Lookup> Get(std::string_view key) override { return real_->Get(key); }
  absl::StatusOr<Listing> List(std::string_view prefix) override { return real_->List(prefix); }
  absl::StatusOr<TxnResult> Txn(std::vector<Condition> conditions,
                                std::vector<Mutation> mutations) override {
    const Fault fault = std::exchange(fault_, Fault::kNone);
    if (fault == Fault::kLoseRequest) return absl::UnavailableError("lost");
    auto result = real_->Txn(std::move(conditions), std::move(mutations));
    if (fault == Fault::kLoseAnswer) return absl::DeadlineExceededError("lost");
    return result;
  }
  absl::StatusOr<LeaseId> GrantLease(absl::Duration ttl) override { return real_->GrantLease(ttl); }
  absl::Status KeepAlive(LeaseId lease) override { return real_->KeepAlive(lease); }
  absl::Status RevokeLease(LeaseId lease) override { return real_->RevokeLease(lease); }
  std::unique_ptr<Watch> WatchPrefix(std::string_view prefix, int64_t from,
                                     WatchCallback callback) override {
    return real_->WatchPrefix(prefix, from, std::move(callback));
  }
  absl::Status Compact(int64_t revision) override { return real_->Compact(revision); }

 private:
  Coordinator* const real_;
  Fault fault_ = Fault::kNone;
};

class MapPublisherTest : public ::testing::Test {
 protected:
  std::unique_ptr<MapPublisher> Make(const std::string& name, Coordinator* coordinator) {
    internal::v1::ControllerRecord self;
    self.set_node(name);
    return std::make_unique<MapPublisher>(
        keys_, ControllerOptions{.replication_factor = 2, .quiet = absl::ZeroDuration()}, self,
        coordinator, &clock_);
  }
  static std::vector<Registration> Nodes(const std::vector<uint64_t>& incarnations) {
    std::vector<Registration> nodes;
    for (const uint64_t incarnation : incarnations) {
      Registration node{.descriptor = {}, .revision = 1};
      node.descriptor.mutable_node()->set_name("n" + std::to_string(incarnation));
      node.descriptor.mutable_node()->set_incarnation(incarnation);
      nodes.push_back(std::move(node));
    }
    return nodes;
  }
  uint64_t StoredVersion() {
    auto lookup = store_.Get(keys_.map());
    if (!lookup->kv) return 0;
    return (*ParseMap(lookup->kv->value))->version;
  }

  base::FakeClock clock_;
  MemoryCoordinator store_;
  const Keys keys_{"atoll"};
  const MapPtr none_ = std::make_shared<const ring::PlacementMap>();
};

TEST_F(MapPublisherTest, OneOfTwoGetsTheOffice) {
  auto a = Make("a", &store_);
  auto b = Make("b", &store_);
  const LeaseId lease = *store_.GrantLease(absl::Seconds(60));
  EXPECT_TRUE(*a->Campaign(lease));
  EXPECT_FALSE(*b->Campaign(lease));
  EXPECT_TRUE(a->in_office());
  EXPECT_FALSE(b->in_office());
}

TEST_F(MapPublisherTest, ADeposedControllerThatDoesNotKnowItCannotPublish) {
  auto a = Make("a", &store_);
  const LeaseId lease_a = *store_.GrantLease(absl::Seconds(60));
  const LeaseId lease_b = *store_.GrantLease(absl::Seconds(60));
  ASSERT_TRUE(*a->Campaign(lease_a));
  ASSERT_TRUE(a->Prepare(none_).ok());
  a->SetNodes(Nodes({1, 2}));
  ASSERT_TRUE(a->Step().ok());
  ASSERT_EQ(StoredVersion(), 1u);

  // Its lease ends while it sleeps, and another takes over, without writing a map yet.
  ASSERT_TRUE(store_.RevokeLease(lease_a).ok());
  auto b = Make("b", &store_);
  ASSERT_TRUE(*b->Campaign(lease_b));
  a->SetNodes(Nodes({1}));
  EXPECT_FALSE(a->Step().ok());
  EXPECT_EQ(StoredVersion(), 1u) << "only the office's revision stands in its way";

  // The successor goes on from the stored map.
  ASSERT_TRUE(b->Prepare(none_).ok());
  EXPECT_EQ(b->current().version, 1u);
  b->SetNodes(Nodes({1}));
  ASSERT_TRUE(b->Step().ok());
  EXPECT_EQ(StoredVersion(), 2u);
}

TEST_F(MapPublisherTest, NewsFromBeforeTheElectionDoNotEndTheOffice) {
  auto a = Make("a", &store_);
  ASSERT_TRUE(store_.Txn({}, {Mutation::Put("x", "1")}).ok());
  const LeaseId lease = *store_.GrantLease(absl::Seconds(60));
  ASSERT_TRUE(*a->Campaign(lease));
  const auto key = store_.Get(keys_.controller())->kv;
  a->OnControllerKey(0, key->create_revision - 1);
  EXPECT_TRUE(a->in_office());
  a->OnControllerKey(key->create_revision, key->create_revision);
  EXPECT_TRUE(a->in_office());
  a->OnControllerKey(0, key->create_revision + 1);
  EXPECT_FALSE(a->in_office());
}

TEST_F(MapPublisherTest, AfterAnUnknownOutcomeTheMapIsReadAgain) {
  for (const Flaky::Fault fault : {Flaky::Fault::kLoseRequest, Flaky::Fault::kLoseAnswer}) {
    SCOPED_TRACE(static_cast<int>(fault));
    MemoryCoordinator store;
    Flaky flaky(&store);
    auto a = Make("a", &flaky);
    const LeaseId lease = *store.GrantLease(absl::Seconds(60));
    ASSERT_TRUE(*a->Campaign(lease));
    ASSERT_TRUE(a->Prepare(none_).ok());
    a->SetNodes(Nodes({1, 2}));
    flaky.Fail(fault);
    EXPECT_FALSE(a->Step().ok());
    ASSERT_TRUE(a->Prepare(none_).ok());
    EXPECT_EQ(a->current().version, fault == Flaky::Fault::kLoseAnswer ? 1u : 0u);
    a->SetNodes(Nodes({1, 2}));
    ASSERT_TRUE(a->Step().ok());
    EXPECT_EQ(a->current().version, 1u);
  }
}

TEST_F(MapPublisherTest, AStoreThatForgotTheMapIsGivenItAgain) {
  auto a = Make("a", &store_);
  const LeaseId lease = *store_.GrantLease(absl::Seconds(60));
  ASSERT_TRUE(*a->Campaign(lease));
  ASSERT_TRUE(a->Prepare(none_).ok());
  a->SetNodes(Nodes({1, 2}));
  auto first = a->Step();
  ASSERT_TRUE(first.ok() && first->has_value());
  const MapPtr map = (*first)->map;

  MemoryCoordinator empty;
  auto b = Make("b", &empty);
  ASSERT_TRUE(*b->Campaign(*empty.GrantLease(absl::Seconds(60))));
  ASSERT_TRUE(b->Prepare(map).ok());
  b->SetNodes(Nodes({1, 2}));
  auto again = b->Step();
  ASSERT_TRUE(again.ok() && again->has_value());
  EXPECT_EQ((*again)->map->version, map->version + 1);
  EXPECT_EQ((*again)->map->partitions, map->partitions);
}

}  // namespace
}  // namespace atoll::cluster
