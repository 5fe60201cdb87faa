// CacheService.Exchange where more is asked than can be done, held or taken.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "base/hash.h"
#include "base/status.h"
#include "rpc/channel.h"
#include "rpc/status.h"
#include "server/store/value.h"
#include "tests/server/service/exchange_caller.h"
#include "tests/support/cache_nodes.h"

namespace atoll::service {
namespace {

v1::ExchangeRequest Gets(uint64_t count) {
  v1::ExchangeRequest request;
  for (uint64_t id = 0; id < count; ++id) {
    v1::Operation& operation = *request.add_operations();
    operation.set_id(id);
    operation.mutable_get()->set_key("k");
  }
  return request;
}

TEST(ExchangeOverload, WhatCannotBeDoneInTimeIsRefusedWithATimeToTryAgain) {
  // A turn of 50 ms: some fifty of these.
  test::CacheNodes nodes({.burn = absl::Milliseconds(1)});
  Caller caller(nodes.channel(0));
  const Results results = caller.Call(Gets(3000));
  ASSERT_EQ(results.size(), 3000u);
  uint64_t done = 0;
  while (done < 3000 && !results.at(done).has_error()) ++done;
  EXPECT_GE(done, 1u);
  EXPECT_LE(done, 51u);
  for (uint64_t id = done; id < 3000; ++id) {
    const absl::Status status = rpc::FromProto(results.at(id).error());
    ASSERT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_EQ(base::Reason(status), base::reason::kOverload);
    const base::Metadata metadata = base::ReasonMetadata(status);
    // What is refused takes three seconds: the longest that is said is one.
    EXPECT_EQ(metadata.at(base::kRetryAfterMs), "1000");
  }
  EXPECT_EQ(nodes.handler(0).counters().refused.load(), 3000 - done);
  // What is not too much is done.
  const Results few = caller.Call(Gets(5));
  for (const auto& [id, result] : few) EXPECT_FALSE(result.has_error()) << id;
  EXPECT_TRUE(caller.Finish().ok());
  EXPECT_EQ(nodes.handler(0).under_way(), 0);
  EXPECT_EQ(nodes.budget(0).used(), 0u);
}

TEST(ExchangeOverload, MessagesThatWaitedTooLongAreRefused) {
  test::CacheNodes nodes;
  Caller caller(nodes.channel(0));
  v1::ExchangeRequest request = Gets(100);
  request.add_operations()->mutable_increment()->set_key("n");
  request.mutable_operations(100)->set_id(100);
  constexpr uint64_t kHour = uint64_t{3600} * 1'000'000;
  const auto refused = [&](uint64_t sent_us) {
    request.set_sent_us(sent_us);
    size_t count = 0;
    for (const auto& [id, result] : caller.Call(request)) {
      if (!result.has_error()) continue;
      ++count;
      const absl::Status status = rpc::FromProto(result.error());
      EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
      EXPECT_EQ(base::ReasonMetadata(status).at(base::kRetryAfterMs), "1000");
    }
    return count;
  };
  // Whatever clock the caller has, the first is in time; who does not tell is, too.
  EXPECT_EQ(refused(5 * kHour), 0u);
  EXPECT_EQ(refused(0), 0u);
  // Late once is no overload; late all the time is.
  size_t late = refused(4 * kHour);
  EXPECT_EQ(late, 0u);
  const absl::Time until = absl::Now() + absl::Seconds(30);
  while (late == 0 && absl::Now() < until) late = refused(4 * kHour);
  EXPECT_EQ(late, 101u);
  EXPECT_EQ(refused(6 * kHour), 0u);
  EXPECT_EQ(nodes.handler(0).counters().refused.load(), 101u);
  EXPECT_TRUE(caller.Finish().ok());
}

// Waits until a message waits so often for its caller to take answers.
bool HasPaused(test::CacheNodes& nodes, uint64_t times) {
  const absl::Time until = absl::Now() + absl::Seconds(10);
  while (nodes.handler(0).counters().paused.load() < times) {
    if (absl::Now() > until) return false;
    std::this_thread::yield();
  }
  return true;
}

// Who takes no answers makes its own messages wait.
TEST(ExchangeOverload, MessagesThatWaitForTheirCallerAreNotRefused) {
  test::CacheNodes nodes({.memory_bytes = 64 << 20});
  const auto stub = v1::CacheService::NewStub(nodes.channel(0));
  Store(*stub, "large", std::string(1 << 20, 'x'));
  v1::ExchangeRequest many;
  for (uint64_t id = 0; id < 20; ++id) {
    v1::Operation& operation = *many.add_operations();
    operation.set_id(id);
    operation.mutable_get()->set_key("large");
  }
  v1::ExchangeRequest one;
  one.add_operations()->mutable_get()->set_key("large");
  one.mutable_operations(0)->set_id(20);
  constexpr uint64_t kHour = uint64_t{3600} * 1'000'000;
  Caller caller(nodes.channel(0));
  one.set_sent_us(5 * kHour);
  one.set_max_value_bytes(1 << 20);
  ASSERT_TRUE(caller.Send(one));
  ASSERT_EQ(caller.Take(1).size(), 1u);
  // All that follows says that it was sent an hour ago.
  many.set_sent_us(4 * kHour);
  one.set_sent_us(4 * kHour);
  const absl::Time until = absl::Now() + absl::Milliseconds(800);
  while (absl::Now() < until) {
    const uint64_t before = nodes.handler(0).counters().paused.load();
    ASSERT_TRUE(caller.Send(many));
    ASSERT_TRUE(HasPaused(nodes, before + 1));
    ASSERT_TRUE(caller.Send(one));
    const Results results = caller.Take(21);
    ASSERT_EQ(results.size(), 21u);
    for (const auto& [id, result] : results) {
      ASSERT_FALSE(result.has_error()) << id << " " << result.error().message();
    }
  }
  EXPECT_TRUE(caller.Finish().ok());
}

void ExpectOverload(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(base::Reason(status), base::reason::kOverload);
  EXPECT_EQ(base::ReasonMetadata(status)[std::string(base::kRetryAfterMs)], "20");
}

// Of a message that asks for more than may be held, some is looked for when the rest was taken.
TEST(ExchangeOverload, LargeValuesThatNobodyTakesYetAreNotHeld) {
  constexpr int kValues = 20;
  constexpr size_t kSize = 1 << 20;
  // A quarter may be held.
  test::CacheNodes nodes({.memory_bytes = 64 << 20});
  const auto stub = v1::CacheService::NewStub(nodes.channel(0));
  const auto key_of = [](int n) { return "large " + std::to_string(n); };
  v1::ExchangeRequest request;
  request.set_max_value_bytes(kSize);
  for (int n = 0; n < kValues; ++n) {
    Store(*stub, key_of(n), std::string(kSize, static_cast<char>('a' + n)));
    v1::Operation& operation = *request.add_operations();
    operation.set_id(static_cast<uint64_t>(n));
    operation.mutable_get()->set_key(key_of(n));
  }
  Caller caller(nodes.channel(0));
  ASSERT_TRUE(caller.Send(request));
  EXPECT_TRUE(HasPaused(nodes, 1));
  Results results = caller.Take(kValues);
  ASSERT_EQ(results.size(), static_cast<size_t>(kValues));
  for (int n = 0; n < kValues; ++n) {
    const v1::OperationResult& result = results[static_cast<uint64_t>(n)];
    EXPECT_FALSE(result.has_error()) << result.error().message();
    EXPECT_TRUE(result.get().value() == std::string(kSize, static_cast<char>('a' + n)));
  }
  EXPECT_TRUE(caller.Finish().ok());
}

// Readers who hold what they have read keep it from being freed, up to a quarter of memory.
TEST(ExchangeOverload, ALargeValueIsRefusedWhileReadersHoldAllThatMayBeHeld) {
  constexpr size_t kSize = 1'000'000;
  test::CacheNodes nodes({.memory_bytes = 64 << 20});
  const auto stub = v1::CacheService::NewStub(nodes.channel(0));
  const auto key_of = [](int n) { return "large " + std::to_string(n); };
  for (int n = 0; n < 20; ++n) {
    Store(*stub, key_of(n), std::string(kSize, static_cast<char>('a' + n)));
  }
  Store(*stub, "small", "v");
  Caller caller(nodes.channel(0));
  v1::ExchangeRequest request;
  const auto add = [&request] {
    v1::Operation* const operation = request.add_operations();
    operation->set_id(static_cast<uint64_t>(request.operations_size()));
    return operation;
  };

  std::vector<store::Found> held;
  store::ReadBuffer buffer;
  int number = 0;
  for (; number < 20; ++number) {
    const std::string key = key_of(number);
    store::Found found =
        nodes.store(0).Find({base::NamespaceId(1), key, base::HashKey("default", key)}, {}, buffer);
    if (found.presence == store::Presence::kPinLimit) break;
    ASSERT_EQ(found.value.size(), kSize);
    held.push_back(std::move(found));
  }
  ASSERT_LT(number, 20) << "nothing bounds what is held";
  const std::string key = key_of(number);

  add()->mutable_get()->set_key(key);
  v1::MultiGetRequest& multi = *add()->mutable_multi_get();
  multi.add_keys("small");
  multi.add_keys(key);
  v1::AppendRequest& append = *add()->mutable_append();
  append.set_key(key);
  append.set_value("more");
  add()->mutable_get_and_touch()->set_key(key);
  add()->mutable_get()->set_key("small");
  Results results = caller.Call(request);
  ASSERT_EQ(results.size(), 5u);
  ExpectOverload(rpc::FromProto(results[1].error()));
  ASSERT_EQ(results[2].multi_get().results_size(), 2);
  for (const v1::MultiGetResult& result : results[2].multi_get().results()) {
    if (result.index() == 0) {
      EXPECT_EQ(result.result().value(), "v");
    } else {
      ExpectOverload(rpc::FromProto(result.error()));
    }
  }
  ExpectOverload(rpc::FromProto(results[3].error()));
  ExpectOverload(rpc::FromProto(results[4].error()));
  EXPECT_EQ(results[5].get().value(), "v");

  v1::GetStreamRequest by_stream;
  by_stream.mutable_get()->set_key(key);
  v1::GetResponse got;
  ExpectOverload(rpc::FromGrpc(stub->Get(Context().get(), by_stream.get(), &got)));
  const auto read = [&](std::string* value) {
    const auto context = Context();
    const auto reader = stub->GetStream(context.get(), by_stream);
    v1::GetStreamResponse message;
    while (reader->Read(&message)) value->append(message.chunk());
    return rpc::FromGrpc(reader->Finish());
  };
  std::string value;
  ExpectOverload(read(&value));
  EXPECT_EQ(value, "");

  // One lets go: all is as it was, and nothing was appended.
  held.pop_back();
  EXPECT_TRUE(stub->Get(Context().get(), by_stream.get(), &got).ok());
  EXPECT_EQ(got.value(), std::string(kSize, static_cast<char>('a' + number)));
  EXPECT_TRUE(read(&value).ok());
  EXPECT_EQ(value, got.value());
  request.Clear();
  add()->mutable_get()->set_key(key);
  EXPECT_EQ(caller.Call(request)[1].get().outcome(), v1::OUTCOME_USE_STREAM);
  EXPECT_TRUE(caller.Finish().ok());
}

TEST(ExchangeOverload, ReadersOfLargeValuesThatNeverReadDelayNoSmallGets) {
  test::CacheNodes nodes;
  const auto stub = v1::CacheService::NewStub(nodes.channel(0));
  v1::SetRequest set;
  set.set_key("large");
  set.set_value(std::string(1 << 20, 'x'));
  v1::SetResponse stored;
  ASSERT_TRUE(stub->Set(Context().get(), set, &stored).ok());
  set.set_key("k");
  set.set_value("v");
  ASSERT_TRUE(stub->Set(Context().get(), set, &stored).ok());

  // More than the node has threads; on the connection of the gets, and on others.
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::GetStreamResponse>>> readers;
  v1::GetStreamRequest by_stream;
  by_stream.mutable_get()->set_key("large");
  for (int i = 0; i < 8; ++i) {
    channels.push_back(i < 4 ? nodes.channel(0) : rpc::MakeChannel(nodes.address(0)));
    contexts.push_back(Context());
    readers.push_back(
        v1::CacheService::NewStub(channels.back())->GetStream(contexts.back().get(), by_stream));
    // The header came: all of the rest is under way, or waits.
    readers.back()->WaitForInitialMetadata();
  }
  Caller caller(nodes.channel(0));
  for (int n = 0; n < 500; ++n) {
    const Results results = caller.Call(Gets(1));
    ASSERT_EQ(results.size(), 1u) << n;
    ASSERT_EQ(results.at(0).get().value(), "v");
    v1::GetResponse got;
    if (n % 50 == 0) {
      v1::GetRequest get;
      get.set_key("k");
      ASSERT_TRUE(stub->Get(Context().get(), get, &got).ok()) << n;
    }
  }
  EXPECT_TRUE(caller.Finish().ok());
  EXPECT_EQ(nodes.handler(0).under_way(), 0) << "their values are held by reference";
  for (size_t i = 0; i < readers.size(); ++i) {
    contexts[i]->TryCancel();
    EXPECT_FALSE(readers[i]->Finish().ok());
  }
}

}  // namespace
}  // namespace atoll::service
