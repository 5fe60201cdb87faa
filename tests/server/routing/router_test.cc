// Forwarding between two nodes: reads are collapsed, refusals are mended, losses are told apart.
#include "server/routing/router.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "base/hash.h"
#include "rpc/status.h"
#include "server/routing/attempt.h"
#include "server/routing/scan_walk.h"
#include "server/routing/wire.h"
#include "tests/support/cache_nodes.h"

namespace atoll::routing {
namespace {

using replication::Operation;
using replication::OperationResult;
using replication::OpKind;

std::unique_ptr<grpc::ClientContext> Context(absl::Duration timeout = absl::Seconds(30)) {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout));
  return context;
}

grpc::Status Set(const std::shared_ptr<grpc::Channel>& channel, const std::string& key,
                 const std::string& value, absl::Duration timeout = absl::Seconds(30)) {
  v1::SetRequest request;
  request.set_key(key);
  request.set_value(value);
  v1::SetResponse response;
  return v1::CacheService::NewStub(channel)->Set(Context(timeout).get(), request, &response);
}

grpc::Status Get(const std::shared_ptr<grpc::Channel>& channel, const std::string& key,
                 v1::GetResponse* response, absl::Duration timeout = absl::Seconds(30)) {
  v1::GetRequest request;
  request.set_key(key);
  return v1::CacheService::NewStub(channel)->Get(Context(timeout).get(), request, response);
}

// A get through the router, kept until it is done.
struct Reading {
  Reading(test::CacheNodes& nodes, int node, std::string key_text) : key(std::move(key_text)) {
    operation.kind = OpKind::kGet;
    operation.ns = *nodes.router(node).ResolveNamespace("default");
    operation.key = {operation.ns->id, key, base::HashKey("default", key)};
    operation.deadline = base::Clock::Real().BootTime() + absl::Seconds(30);
  }
  const std::string key;
  Operation operation;
  OperationResult result;
};

TEST(Router, AHundredReadsOfALargeValueCostOneValueAndHoldItOnce) {
  test::CacheNodes nodes({.nodes = 2});
  const std::string key = nodes.KeyOf(1);
  const std::string value(5'000'000, 'x');
  {
    v1::SetStreamResponse response;
    const auto context = Context();
    auto writer = v1::CacheService::NewStub(nodes.channel(1))->SetStream(context.get(), &response);
    v1::SetStreamRequest message;
    message.mutable_header()->mutable_set()->set_key(key);
    message.mutable_header()->set_size(value.size());
    writer->Write(message);
    for (size_t i = 0; i < value.size(); i += 250'000) {
      message.set_chunk(value.substr(i, 250'000));
      writer->Write(message);
    }
    writer->WritesDone();
    ASSERT_TRUE(writer->Finish().ok());
  }

  constexpr int kReads = 100;
  std::vector<std::unique_ptr<Reading>> readings;
  for (int i = 0; i < kReads; ++i) readings.push_back(std::make_unique<Reading>(nodes, 0, key));
  std::mutex mu;
  std::condition_variable all_done;
  int done = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = t; i < kReads; i += 4) {
        Reading& reading = *readings[i];
        nodes.router(0).Execute(reading.operation, {.max_value_bytes = 64 << 20},
                                [&, r = &reading](OperationResult result) {
                                  std::lock_guard lock(mu);
                                  r->result = std::move(result);
                                  if (++done == kReads) all_done.notify_all();
                                });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  {
    std::unique_lock lock(mu);
    ASSERT_TRUE(all_done.wait_for(lock, std::chrono::seconds(60), [&] { return done == kReads; }));
  }
  std::map<const void*, int> owners;
  for (const auto& reading : readings) {
    ASSERT_TRUE(reading->result.status.ok()) << reading->result.status;
    ASSERT_EQ(reading->result.outcome, v1::OUTCOME_OK);
    ASSERT_EQ(reading->result.value.size(), value.size());
    ++owners[reading->result.value.owner().get()];
  }
  EXPECT_TRUE(readings[kReads - 1]->result.value.Flatten() == value);
  // One value crossed the wire, and all hundred answers point into the same bytes.
  EXPECT_EQ(nodes.router(0).counters().value_fetches.load(), 1u);
  EXPECT_LE(nodes.router(0).counters().revalidations.load(), 1u);
  EXPECT_GE(nodes.router(0).counters().collapsed.load(), 98u);
  EXPECT_EQ(owners.size(), 1u);
  EXPECT_EQ(nodes.budget(0).used(), value.size());
  EXPECT_LT(nodes.budget(0).peak(), value.size() + 100'000);
  readings.clear();
  // The thread that told the last of them may still be on its way out.
  const absl::Time until = absl::Now() + absl::Seconds(20);
  while (nodes.budget(0).used() > 0 && absl::Now() < until) std::this_thread::yield();
  EXPECT_EQ(nodes.budget(0).used(), 0u);
}

TEST(Router, AReadAfterAWriteNeverJoinsAFlightThatDepartedBefore) {
  test::CacheNodes nodes({.nodes = 2});
  const std::string key = nodes.KeyOf(1);
  ASSERT_TRUE(Set(nodes.channel(0), key, "0").ok());
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  // Readers keep flights of the key in the air.
  for (int t = 0; t < 3; ++t) {
    readers.emplace_back([&] {
      v1::GetResponse response;
      while (!stop) ASSERT_TRUE(Get(nodes.channel(0), key, &response).ok());
    });
  }
  for (int i = 1; i <= 300; ++i) {
    ASSERT_TRUE(Set(nodes.channel(0), key, std::to_string(i)).ok());
    v1::GetResponse response;
    ASSERT_TRUE(Get(nodes.channel(0), key, &response).ok());
    ASSERT_EQ(response.value(), std::to_string(i));
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
}

TEST(Router, ACallerOfAnyNodeNeverSeesWrongOwner) {
  test::CacheNodes nodes({.nodes = 2});
  const std::string key = nodes.KeyOf(1);
  const base::PartitionId partition = base::PartitionOfHash(base::HashKey("default", key));
  // The owner knows that the partition has moved to node 0, which does not know yet.
  nodes.ChangeMap(
      [&](ring::PlacementMap& map) {
        ring::Placement& placement = map.partitions[partition.value()];
        placement.epoch = base::Epoch(2);
        placement.primary = test::NodeId(0);
        placement.isr = {test::NodeId(0)};
        placement.history = 2;
      },
      [](int node) { return node == 1; });
  std::thread late([&] {
    const absl::Time patience = absl::Now() + absl::Seconds(20);
    while (nodes.router(0).counters().retries.load() == 0 && absl::Now() < patience) {
      std::this_thread::yield();
    }
    nodes.ChangeMap([](ring::PlacementMap&) {});
  });
  const grpc::Status status = Set(nodes.channel(0), key, "v");
  late.join();
  EXPECT_TRUE(status.ok()) << status.error_message();
  v1::GetResponse response;
  ASSERT_TRUE(Get(nodes.channel(1), key, &response).ok());
  EXPECT_EQ(response.value(), "v");
}

TEST(Router, AtTheLastHopAKeyOfAnotherIsRefusedWithTheMapEntry) {
  test::CacheNodes nodes({.nodes = 2});
  const std::string key = nodes.KeyOf(1);
  const absl::Status status = rpc::FromGrpc(Set(nodes.peer_channel(0), key, "v"));
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_TRUE(base::HasReason(status, base::reason::kWrongOwner));
  const auto detail = rpc::WrongOwnerOf(status);
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->map_version(), nodes.view(0).map()->version);
  ASSERT_EQ(detail->nodes_size(), 1);
  EXPECT_EQ(detail->nodes(0).name(), "n2");
}

TEST(Router, ADeadOwnerCostsTheDeadlineAndNoMore) {
  test::CacheNodes nodes({.nodes = 2});
  const std::string key = nodes.KeyOf(1);
  ASSERT_TRUE(Set(nodes.channel(0), key, "v").ok());
  nodes.StopServing(1);
  const absl::Time start = absl::Now();
  v1::GetResponse response;
  const grpc::Status status = Get(nodes.channel(0), key, &response, absl::Milliseconds(500));
  EXPECT_FALSE(status.ok());
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
  // Keys of the living node are served meanwhile.
  EXPECT_TRUE(Set(nodes.channel(0), nodes.KeyOf(0), "v").ok());
}

TEST(Judge, WhatMayHaveBeenAppliedIsNotSentAgain) {
  const absl::Status gone = absl::UnavailableError("gone");
  const absl::Status moved =
      base::WithReason(absl::FailedPreconditionError("moved"), base::reason::kWrongOwner);
  const absl::Status late = absl::DeadlineExceededError("late");
  const absl::Status full =
      base::WithReason(absl::ResourceExhaustedError("full"), base::reason::kOverload);
  struct Case {
    OpKind kind;
    bool with_id;
    absl::Status status;
    rpc::Fate fate;
    Verdict verdict;
  };
  for (const Case& c : std::initializer_list<Case>{
           {OpKind::kGet, false, absl::OkStatus(), rpc::Fate::kAnswered, Verdict::kFinish},
           {OpKind::kSet, false, moved, rpc::Fate::kAnswered, Verdict::kRetry},
           {OpKind::kSet, false, full, rpc::Fate::kAnswered, Verdict::kFinish},
           {OpKind::kSet, false, gone, rpc::Fate::kNotSent, Verdict::kRetry},
           {OpKind::kSet, false, gone, rpc::Fate::kSent, Verdict::kAmbiguous},
           {OpKind::kSet, false, late, rpc::Fate::kSent, Verdict::kAmbiguous},
           {OpKind::kSet, false, late, rpc::Fate::kNotSent, Verdict::kFinish},
           {OpKind::kGet, false, gone, rpc::Fate::kSent, Verdict::kRetry},
           {OpKind::kGet, false, late, rpc::Fate::kSent, Verdict::kFinish},
           {OpKind::kIncrement, false, gone, rpc::Fate::kSent, Verdict::kAmbiguous},
           {OpKind::kIncrement, true, gone, rpc::Fate::kSent, Verdict::kRetry},
       }) {
    SCOPED_TRACE(testing::Message() << static_cast<int>(c.kind) << " " << c.status);
    Operation operation;
    operation.kind = c.kind;
    if (c.with_id) operation.request_id = {1, 1};
    EXPECT_EQ(Judge(operation, c.status, c.fate), c.verdict);
  }
}

TEST(ScanCursor, RoundTripsAndRefusesWhatItDidNotMake) {
  ScanCursor cursor;
  for (const ScanCursor c : {ScanCursor{0, 0}, ScanCursor{4095, ~uint64_t{0}}, ScanCursor{7, 1}}) {
    ASSERT_TRUE(ScanCursor::Parse(c.Text(), &cursor));
    EXPECT_EQ(cursor.partition, c.partition);
    EXPECT_EQ(cursor.hash, c.hash);
  }
  EXPECT_EQ((ScanCursor{4096, 0}).Text(), "");
  EXPECT_TRUE(ScanCursor::Parse("", &cursor));
  EXPECT_FALSE(ScanCursor::Parse("x", &cursor));
  EXPECT_FALSE(ScanCursor::Parse(std::string(10, '\xff'), &cursor));
}

TEST(ByteBudget, GivesOutNoMoreThanItHas) {
  ByteBudget budget(100);
  auto a = budget.Take(60);
  EXPECT_TRUE(a);
  EXPECT_FALSE(budget.Take(50));
  EXPECT_FALSE(budget.Take(~uint64_t{0}));
  auto b = budget.Take(40);
  EXPECT_TRUE(b);
  a = ByteBudget::Ticket();
  EXPECT_EQ(budget.used(), 40u);
  EXPECT_EQ(budget.peak(), 100u);
}

TEST(Wire, ATimeToLiveSurvivesTheHopToTheSecond) {
  const absl::Time now = absl::FromUnixMillis(1'800'000'000'123);
  for (const uint32_t seconds : {1u, 59u, 100'000u}) {
    OperationResult result;
    result.outcome = v1::OUTCOME_OK;
    result.meta.expiry = base::ToCacheSeconds(now) + seconds;
    v1::GetResponse message;
    FillGet(result, now, &message);
    // The answer takes its time, and clocks differ a little.
    const OperationResult back = ReadGet(message, now + absl::Milliseconds(300));
    EXPECT_EQ(back.meta.expiry, result.meta.expiry);
  }
}

}  // namespace
}  // namespace atoll::routing
