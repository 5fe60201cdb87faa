// A message of which everything has to wait: writes for a replica, reads for their commit. The
// replicators are the production ones, the network and time are a simulation's.
#include <grpcpp/impl/codegen/proto_utils.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/status.h"
#include "rpc/status.h"
#include "server/service/operation_batch.h"
#include "tests/server/replication/world.h"
#include "tests/support/fake_cluster_view.h"

namespace atoll::service {
namespace {

using replication::sim::World;
using replication::sim::WorldOptions;

std::string Key(int n) { return "key " + std::to_string(n); }

WorldOptions TwoCopies() {
  WorldOptions options{.nodes = 2, .replication_factor = 2};
  std::set<base::PartitionId> partitions;
  for (int n = 0; n < 20; ++n) {
    partitions.insert(base::PartitionOfHash(base::HashKey("default", Key(n))));
  }
  options.partitions.assign(partitions.begin(), partitions.end());
  options.drop = 0;
  return options;
}

class ExchangeLate : public ::testing::Test, public OperationBatch::Owner {
 protected:
  ExchangeLate() : world_(TwoCopies()) {
    world_.RunFor(absl::Seconds(2));
    // Keys of node 0, in the order of their numbers.
    for (int n = 0; n < 20; ++n) {
      const std::string key = Key(n);
      const base::PartitionId at = base::PartitionOfHash(base::HashKey("default", key));
      if (world_.PrimaryOf(at) == 0) keys_.push_back(key);
    }
  }

  void OnFull() override {}
  bool HasRoom() override { return true; }
  void OnFailed(const absl::Status& status) override { FAIL() << status; }
  void StartOther(std::unique_ptr<v1::Operation>) override { FAIL(); }
  void OnLate(OperationBatch::Late* late, replication::OperationResult result) override {
    ++late_;
    OperationBatch* const batch = late->batch;
    batch->Encode(late, std::move(result), &late_output_);
    left_ = batch->Leave();
  }

  // Results by id; each is there once.
  static std::map<uint64_t, v1::OperationResult> Take(wire::Output* output) {
    grpc::ByteBuffer bytes = output->Finish();
    v1::ExchangeResponse response;
    EXPECT_TRUE(
        grpc::SerializationTraits<v1::ExchangeResponse>::Deserialize(&bytes, &response).ok());
    std::map<uint64_t, v1::OperationResult> results;
    for (const v1::OperationResult& result : response.results()) {
      EXPECT_TRUE(results.emplace(result.id(), result).second) << result.id();
    }
    return results;
  }

  void Run(const v1::ExchangeRequest& request) { Run(request, &batch_); }
  void Run(const v1::ExchangeRequest& request, OperationBatch* batch) {
    const grpc::Slice slice(request.SerializeAsString());
    grpc::ByteBuffer message(&slice, 1);
    batch->input().buffer()->Swap(&message);
    ASSERT_TRUE(batch->Decode().ok());
    CallInfo info;
    info.options.hop = routing::Hop::kLast;
    ASSERT_TRUE(batch->Run(info, &output_, this));
    left_ = batch->Leave();
  }

  // Writes one after the other, of one key or another.
  v1::ExchangeRequest Sets(int count) const {
    v1::ExchangeRequest request;
    for (int i = 0; i < count; ++i) {
      v1::Operation& operation = *request.add_operations();
      operation.set_id(static_cast<uint64_t>(i));
      operation.mutable_set()->set_key(keys_[static_cast<size_t>(i) % keys_.size()]);
      operation.mutable_set()->set_value("v");
    }
    return request;
  }

  World world_;
  test::FakeClusterView view_;
  routing::Router router_{&world_.replicator(0), &view_, nullptr, nullptr, &base::Clock::Real()};
  routing::ByteBudget budget_{uint64_t{64} << 20};
  CacheHandler handler_{&router_, &budget_, &base::Clock::Real(), {}};
  OperationBatch batch_{&handler_};
  wire::Output output_;
  wire::Output late_output_;
  std::vector<std::string> keys_;
  size_t late_ = 0;
  bool left_ = false;
};

TEST_F(ExchangeLate, WhatWaitsIsAnsweredLaterAndWhatDoesNotAtOnce) {
  ASSERT_GE(keys_.size(), 4u);
  v1::ExchangeRequest request;
  const auto add = [&](uint64_t id) {
    request.add_operations()->set_id(id);
    return request.mutable_operations(request.operations_size() - 1);
  };
  add(1)->mutable_get()->set_key(keys_[0]);
  v1::SetRequest& set = *add(2)->mutable_set();
  set.set_key(keys_[0]);
  set.set_value("one");
  // Reads what is not committed yet.
  add(3)->mutable_get()->set_key(keys_[0]);
  for (size_t i = 1; i < keys_.size(); ++i) {
    if (i == 1) add(4);
    v1::MultiSetEntry& entry = *request.mutable_operations(3)->mutable_multi_set()->add_entries();
    entry.set_key(keys_[i]);
    entry.set_value("of many " + std::to_string(i));
  }
  add(5)->mutable_delete_()->set_key(keys_[1]);
  add(6)->mutable_delete_()->set_key(keys_[1]);
  Run(request);

  auto now = Take(&output_);
  ASSERT_EQ(now.size(), 1u) << "nobody else has anything of the others yet";
  EXPECT_EQ(now[1].get().outcome(), v1::OUTCOME_MISS);
  EXPECT_FALSE(left_);
  EXPECT_EQ(late_, 0u);
  EXPECT_EQ(batch_.late(), 4 + keys_.size() - 1);
  EXPECT_EQ(handler_.under_way(), static_cast<int64_t>(batch_.late()));

  world_.RunFor(absl::Seconds(1));
  EXPECT_EQ(late_, batch_.late());
  EXPECT_TRUE(left_);
  EXPECT_EQ(handler_.under_way(), 0);
  EXPECT_EQ(budget_.used(), 0u);
  auto late = Take(&late_output_);
  ASSERT_EQ(late.size(), 5u);
  EXPECT_EQ(late[2].set().outcome(), v1::OUTCOME_OK);
  EXPECT_EQ(late[2].set().copies(), 2u);
  EXPECT_EQ(late[3].get().value(), "one");
  EXPECT_EQ(late[3].get().version(), late[2].set().version());
  std::set<uint32_t> indices;
  for (const v1::MultiSetResult& item : late[4].multi_set().results()) {
    EXPECT_FALSE(item.has_error());
    EXPECT_EQ(item.result().copies(), 2u);
    indices.insert(item.index());
  }
  EXPECT_EQ(indices.size(), keys_.size() - 1);
  EXPECT_EQ(late[5].delete_().outcome(), v1::OUTCOME_OK);
  EXPECT_EQ(late[6].delete_().outcome(), v1::OUTCOME_MISS);
}

TEST_F(ExchangeLate, ABatchServesMessageAfterMessage) {
  for (int round = 0; round < 20; ++round) {
    SCOPED_TRACE(round);
    v1::ExchangeRequest request;
    for (size_t i = 0; i < keys_.size(); ++i) {
      v1::Operation& operation = *request.add_operations();
      operation.set_id(i);
      operation.mutable_set()->set_key(keys_[i]);
      operation.mutable_set()->set_value(std::string(static_cast<size_t>(round * 600), 'v'));
    }
    Run(request);
    EXPECT_FALSE(left_);
    world_.RunFor(absl::Milliseconds(200));
    EXPECT_TRUE(left_);
    EXPECT_EQ(Take(&late_output_).size(), keys_.size());
    batch_.Clear();
    request.Clear();
    for (size_t i = 0; i < keys_.size(); ++i) {
      v1::Operation& operation = *request.add_operations();
      operation.set_id(i);
      operation.mutable_get()->set_key(keys_[i]);
    }
    Run(request);
    EXPECT_TRUE(left_) << "committed: nothing waits";
    for (const auto& [id, result] : Take(&output_)) {
      EXPECT_EQ(result.get().value().size(), static_cast<size_t>(round * 600));
    }
    batch_.Clear();
  }
}

// The replica is gone, and with it the commit: who waits is told in time, and that it is not known.
TEST_F(ExchangeLate, AWriteWhoseReplicaIsSilentEndsByItsDeadlineOrByTheNextIsr) {
  v1::ExchangeRequest request;
  v1::Operation& operation = *request.add_operations();
  operation.set_id(9);
  operation.mutable_set()->set_key(keys_[0]);
  operation.mutable_set()->set_value("v");
  ASSERT_TRUE(world_.Kill(1));
  Run(request);
  EXPECT_FALSE(left_);
  world_.RunFor(absl::Seconds(5));
  EXPECT_TRUE(left_);
  auto late = Take(&late_output_);
  ASSERT_EQ(late.size(), 1u);
  EXPECT_EQ(late[9].set().outcome(), v1::OUTCOME_OK);
  EXPECT_EQ(late[9].set().copies(), 1u);
}

TEST_F(ExchangeLate, AHundredWritesAreOneMessageToTheirReplica) {
  ASSERT_GE(keys_.size(), 4u);
  v1::ExchangeRequest multi;
  v1::MultiSetRequest& set = *multi.add_operations()->mutable_multi_set();
  for (size_t i = 0; i < 100; ++i) {
    v1::MultiSetEntry& entry = *set.add_entries();
    entry.set_key(keys_[i % keys_.size()]);
    entry.set_value("v");
  }
  // Neighbours, and parted by reads: by themselves those were a hundred calls of the replicator.
  v1::ExchangeRequest parted;
  const v1::ExchangeRequest sets = Sets(100);
  for (const v1::Operation& write : sets.operations()) {
    *parted.add_operations() = write;
    v1::Operation& read = *parted.add_operations();
    read.set_id(1000 + write.id());
    read.mutable_get()->set_key("nobody's");
  }
  const std::pair<const char*, v1::ExchangeRequest> messages[] = {
      {"multi set", multi}, {"sets", sets}, {"sets and gets", parted}};
  for (const auto& [name, request] : messages) {
    SCOPED_TRACE(name);
    const uint64_t before = world_.departed(0);
    Run(request);
    EXPECT_EQ(world_.departed(0) - before, 1u);
    world_.RunFor(absl::Seconds(1));
    EXPECT_TRUE(left_);
    Take(&output_);
    Take(&late_output_);
    batch_.Clear();
  }
}

// As one call for many keys comes: nobody holds on its behalf.
TEST_F(ExchangeLate, OneCallOfTheReplicatorIsOneMessageToo) {
  class Sink final : public replication::WriteSink {
   public:
    void Answer(size_t, replication::OperationResult) override { ++answered; }
    replication::Done Later(size_t) override {
      return [this](const replication::OperationResult& result) {
        EXPECT_TRUE(result.status.ok()) << result.status;
        ++answered;
      };
    }
    void Refuse(size_t) override { ADD_FAILURE(); }
    int answered = 0;
  };
  Sink sink;
  std::vector<replication::Operation> writes(100);
  const std::string_view value = "v";
  for (size_t i = 0; i < writes.size(); ++i) {
    const std::string& key = keys_[i % keys_.size()];
    writes[i].kind = replication::OpKind::kSet;
    writes[i].ns = world_.ns();
    writes[i].key = {writes[i].ns->id, key, base::HashKey("default", key)};
    writes[i].value = absl::MakeConstSpan(&value, 1);
  }
  const uint64_t before = world_.departed(0);
  world_.replicator(0).Write(writes, sink);
  EXPECT_EQ(world_.departed(0) - before, 1u);
  world_.RunFor(absl::Seconds(1));
  EXPECT_EQ(sink.answered, 100);
}

TEST_F(ExchangeLate, MoreOperationsThanAreAdmittedAreRefusedUntilSomeHaveEnded) {
  CacheHandler handler(&router_, &budget_, &base::Clock::Real(), {.max_operations = 100});
  OperationBatch full(&handler);
  OperationBatch more(&handler);
  Run(Sets(100), &full);
  EXPECT_FALSE(left_);
  EXPECT_EQ(handler.under_way(), 100);
  for (int attempt = 0; attempt < 3; ++attempt) {
    Run(Sets(1), &more);
    EXPECT_TRUE(left_);
    auto refused = Take(&output_);
    ASSERT_EQ(refused.size(), 1u);
    const absl::Status status = rpc::FromProto(refused[0].error());
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_EQ(base::Reason(status), base::reason::kOverload);
    EXPECT_EQ(base::ReasonMetadata(status)[std::string(base::kRetryAfterMs)], "20");
    more.Clear();
  }
  EXPECT_EQ(handler.counters().refused.load(), 3u);
  EXPECT_EQ(handler.under_way(), 100);

  world_.RunFor(absl::Seconds(1));
  EXPECT_TRUE(left_) << "all are committed";
  EXPECT_EQ(handler.under_way(), 0);
  EXPECT_EQ(Take(&late_output_).size(), 100u);
  full.Clear();
  Run(Sets(1), &more);
  EXPECT_EQ(handler.under_way(), 1);
  world_.RunFor(absl::Seconds(1));
  EXPECT_TRUE(left_);
  EXPECT_FALSE(Take(&late_output_)[0].has_error());
  // One message with more than may be under way is let in alone: else it never were.
  more.Clear();
  Run(Sets(101), &more);
  EXPECT_EQ(handler.under_way(), 101);
  world_.RunFor(absl::Seconds(1));
  EXPECT_TRUE(left_);
  EXPECT_EQ(handler.counters().refused.load(), 3u);
}

}  // namespace
}  // namespace atoll::service
