// Who may share whose answer: flights of reads against a forwarder that answers when it is told.
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/hash.h"
#include "rpc/completion_queue.h"
#include "rpc/timers.h"
#include "server/routing/router.h"
#include "tests/support/fake_cluster_view.h"

namespace atoll::routing {
namespace {

using replication::Operation;
using replication::OperationResult;

class FakeForwarder final : public Forwarder {
 public:
  struct Sent {
    v1::Operation operation;
    rpc::BatchStream::Done done;
    rpc::BatchStream::Departs departs;
  };
  void Forward(const ring::Member&, rpc::OperationBytes operation, absl::Duration,
               rpc::BatchStream::Done done, rpc::BatchStream::Departs departs) override {
    Sent one;
    EXPECT_TRUE(one.operation.ParseFromString(*operation));
    one.done = std::move(done);
    one.departs = std::move(departs);
    sent.push_back(std::move(one));
  }
  void Fetch(const ring::Member&, const Operation&, StreamDone done) override {
    fetches.push_back(std::move(done));
  }
  void Store(const ring::Member&, const Operation&, StreamDone) override { FAIL(); }
  void Flush(const ring::Member&, const cluster::NamespacePtr&, absl::Duration,
             absl::AnyInvocable<void(absl::StatusOr<uint32_t>)>) override {
    FAIL();
  }

  // The oldest operation goes out.
  void Depart() { std::exchange(sent.front().departs, nullptr)(); }
  // The oldest operation is answered.
  void Answer(v1::Outcome outcome, uint64_t version, const std::string& value, uint64_t size) {
    Sent one = std::move(sent.front());
    sent.pop_front();
    v1::OperationResult result;
    result.mutable_get()->set_outcome(outcome);
    result.mutable_get()->set_version(version);
    result.mutable_get()->set_value(value);
    result.mutable_get()->set_size(size);
    one.done({absl::OkStatus(), rpc::Fate::kAnswered, &result});
  }

  std::deque<Sent> sent;
  std::deque<StreamDone> fetches;
};

class ReadFlight : public ::testing::Test {
 protected:
  ReadFlight()
      : poller_("test"),
        timers_(poller_.queue()),
        router_(nullptr, &view_, &forwarder_, &timers_, &base::Clock::Real()) {
    poller_.Start();
    view_.SetNamespace("default", 1);
    ring::PlacementMap map = test::MakeSimpleMap({.nodes = 2, .replication_factor = 1});
    for (ring::Placement& placement : map.partitions) {
      placement.primary = test::NodeId(1);
      placement.isr = {test::NodeId(1)};
    }
    view_.SetMap(std::move(map));
  }
  ~ReadFlight() override {
    router_.Stop();
    timers_.Stop();
    poller_.Stop();
  }

  struct Reader {
    Operation operation;
    std::optional<OperationResult> result;
  };
  std::unique_ptr<Reader> Read() {
    auto reader = std::make_unique<Reader>();
    Operation& operation = reader->operation;
    operation.ns = *router_.ResolveNamespace("");
    operation.key = {operation.ns->id, "key", base::HashKey("default", "key")};
    operation.deadline = base::Clock::Real().BootTime() + absl::Seconds(30);
    router_.Execute(operation, {.max_value_bytes = 64 << 20},
                    [raw = reader.get()](OperationResult result) { raw->result = result; });
    return reader;
  }

  test::FakeClusterView view_;
  FakeForwarder forwarder_;
  rpc::Poller poller_;
  rpc::Timers timers_;
  Router router_;
};

TEST_F(ReadFlight, BoardsUntilItDepartsAndNotAfter) {
  const auto a = Read();
  const auto b = Read();
  ASSERT_EQ(forwarder_.sent.size(), 1u);
  forwarder_.Depart();
  const auto late = Read();
  ASSERT_EQ(forwarder_.sent.size(), 1u);
  forwarder_.Answer(v1::OUTCOME_OK, 7, "old", 3);
  ASSERT_TRUE(a->result.has_value());
  ASSERT_TRUE(b->result.has_value());
  EXPECT_EQ(b->result->value.Flatten(), "old");
  // The answer was on its way before `late` asked: a write may lie between.
  EXPECT_FALSE(late->result.has_value());
  ASSERT_EQ(forwarder_.sent.size(), 1u);
  EXPECT_EQ(forwarder_.sent.front().operation.get().if_version_not(), 7u);
  forwarder_.Depart();
  forwarder_.Answer(v1::OUTCOME_OK, 8, "new", 3);
  ASSERT_TRUE(late->result.has_value());
  EXPECT_EQ(late->result->value.Flatten(), "new");
  EXPECT_TRUE(forwarder_.sent.empty());
}

TEST_F(ReadFlight, AnUnchangedValueIsHandedOnByReference) {
  const auto first = Read();
  forwarder_.Depart();
  const auto second = Read();
  const auto third = Read();
  forwarder_.Answer(v1::OUTCOME_USE_STREAM, 7, "", 5'000'000);
  EXPECT_FALSE(first->result.has_value());
  ASSERT_EQ(forwarder_.fetches.size(), 1u);
  Forwarder::StreamReply fetched;
  fetched.fate = rpc::Fate::kAnswered;
  fetched.result.outcome = v1::OUTCOME_OK;
  fetched.result.meta.version = base::Version(7);
  fetched.result.value_size = 5'000'000;
  fetched.result.value = store::Value::Own(std::string(5'000'000, 'x'));
  forwarder_.fetches.front()(std::move(fetched));
  ASSERT_TRUE(first->result.has_value());
  EXPECT_FALSE(second->result.has_value());
  forwarder_.Depart();
  forwarder_.Answer(v1::OUTCOME_UNCHANGED, 7, "", 5'000'000);
  ASSERT_TRUE(second->result.has_value());
  ASSERT_TRUE(third->result.has_value());
  EXPECT_EQ(second->result->outcome, v1::OUTCOME_OK);
  EXPECT_EQ(second->result->value.owner(), first->result->value.owner());
  EXPECT_EQ(third->result->value.owner(), first->result->value.owner());
  EXPECT_EQ(router_.counters().value_fetches.load(), 1u);
  EXPECT_EQ(router_.counters().revalidations.load(), 1u);
}

TEST_F(ReadFlight, AFailureLandsEverybodyWhoBoarded) {
  const auto a = Read();
  const auto b = Read();
  auto one = std::move(forwarder_.sent.front());
  forwarder_.sent.pop_front();
  one.done({absl::ResourceExhaustedError("full"), rpc::Fate::kNotSent, nullptr});
  ASSERT_TRUE(a->result.has_value());
  ASSERT_TRUE(b->result.has_value());
  EXPECT_EQ(b->result->status.code(), absl::StatusCode::kResourceExhausted);
  const auto c = Read();
  EXPECT_EQ(forwarder_.sent.size(), 1u);
  forwarder_.Depart();
  forwarder_.Answer(v1::OUTCOME_MISS, 0, "", 0);
  ASSERT_TRUE(c->result.has_value());
  EXPECT_EQ(c->result->outcome, v1::OUTCOME_MISS);
}

}  // namespace
}  // namespace atoll::routing
