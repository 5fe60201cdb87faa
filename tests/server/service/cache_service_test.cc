// CacheService through plain generated stubs, on one node and on two.
#include "server/service/cache_service.h"

#include <gmock/gmock.h>
#include <google/protobuf/unknown_field_set.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "tests/server/service/cache_stub.h"

namespace atoll::service {
namespace {

using ::testing::HasSubstr;

class CacheService : public CacheServiceTest {};

INSTANTIATE_TEST_SUITE_P(Nodes, CacheService, ::testing::Bool(),
                         [](const auto& nodes) { return nodes.param ? "Forwarded" : "Local"; });

TEST_P(CacheService, WhatWasSetIsFound) {
  v1::SetRequest set;
  set.set_key(Key());
  set.set_value(std::string("a\0b", 3));
  set.set_flags(0xfffffffe);
  set.set_ttl_ms(100'000);
  set.set_max_idle_ms(50'000);
  v1::SetResponse stored;
  ASSERT_TRUE(stub_.Call(&S::Set, set, &stored).ok());
  EXPECT_EQ(stored.outcome(), v1::OUTCOME_OK);
  EXPECT_NE(stored.version(), 0u);
  EXPECT_EQ(stored.copies(), 1u);
  const v1::GetResponse found = stub_.Get(Key());
  EXPECT_EQ(found.outcome(), v1::OUTCOME_OK);
  EXPECT_EQ(found.value(), std::string("a\0b", 3));
  EXPECT_EQ(found.version(), stored.version());
  EXPECT_EQ(found.flags(), 0xfffffffe);
  EXPECT_EQ(found.size(), 3u);
  EXPECT_EQ(found.max_idle_ms(), 50'000);
  EXPECT_GT(found.ttl_ms(), 95'000);
  EXPECT_LE(found.ttl_ms(), 101'000);
}

TEST_P(CacheService, AMissIsAnOutcomeAndNoError) {
  EXPECT_EQ(stub_.Get(Key()).outcome(), v1::OUTCOME_MISS);
  v1::DeleteRequest request;
  request.set_key(Key());
  v1::DeleteResponse response;
  ASSERT_TRUE(stub_.Call(&S::Delete, request, &response).ok());
  EXPECT_EQ(response.outcome(), v1::OUTCOME_MISS);
}

TEST_P(CacheService, EveryVerbDoesWhatItSays) {
  v1::AddRequest add;
  add.set_key(Key());
  add.set_value("5");
  v1::AddResponse added;
  ASSERT_TRUE(stub_.Call(&S::Add, add, &added).ok());
  EXPECT_EQ(added.outcome(), v1::OUTCOME_OK);
  ASSERT_TRUE(stub_.Call(&S::Add, add, &added).ok());
  EXPECT_EQ(added.outcome(), v1::OUTCOME_NOT_STORED);

  v1::IncrementRequest increment;
  increment.set_key(Key());
  increment.set_delta(37);
  v1::IncrementResponse incremented;
  ASSERT_TRUE(stub_.Call(&S::Increment, increment, &incremented).ok());
  EXPECT_EQ(incremented.number(), 42);
  v1::DecrementRequest decrement;
  decrement.set_key(Key());
  decrement.set_delta(2);
  v1::DecrementResponse decremented;
  ASSERT_TRUE(stub_.Call(&S::Decrement, decrement, &decremented).ok());
  EXPECT_EQ(decremented.number(), 40);

  v1::AppendRequest append;
  append.set_key(Key());
  append.set_value("!");
  v1::AppendResponse appended;
  ASSERT_TRUE(stub_.Call(&S::Append, append, &appended).ok());
  v1::PrependRequest prepend;
  prepend.set_key(Key());
  prepend.set_value("is ");
  v1::PrependResponse prepended;
  ASSERT_TRUE(stub_.Call(&S::Prepend, prepend, &prepended).ok());
  EXPECT_EQ(stub_.Get(Key()).value(), "is 40!");

  const absl::Status not_a_number = stub_.Call(&S::Increment, increment, &incremented);
  EXPECT_EQ(not_a_number.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(base::Reason(not_a_number), base::reason::kNotANumber);

  v1::ReplaceRequest replace;
  replace.set_key(Key());
  replace.set_value("new");
  v1::ReplaceResponse replaced;
  ASSERT_TRUE(stub_.Call(&S::Replace, replace, &replaced).ok());
  EXPECT_EQ(replaced.outcome(), v1::OUTCOME_OK);

  v1::CompareAndSwapRequest swap;
  swap.set_key(Key());
  swap.set_value("swapped");
  swap.set_expected_version(replaced.version() + 1);
  v1::CompareAndSwapResponse swapped;
  ASSERT_TRUE(stub_.Call(&S::CompareAndSwap, swap, &swapped).ok());
  EXPECT_EQ(swapped.outcome(), v1::OUTCOME_MISMATCH);
  EXPECT_EQ(swapped.version(), replaced.version());
  swap.set_expected_version(replaced.version());
  ASSERT_TRUE(stub_.Call(&S::CompareAndSwap, swap, &swapped).ok());
  EXPECT_EQ(swapped.outcome(), v1::OUTCOME_OK);

  v1::GetAndTouchRequest get_and_touch;
  get_and_touch.set_key(Key());
  get_and_touch.set_ttl_ms(50'000);
  v1::GetAndTouchResponse touched;
  ASSERT_TRUE(stub_.Call(&S::GetAndTouch, get_and_touch, &touched).ok());
  EXPECT_EQ(touched.entry().value(), "swapped");
  EXPECT_GT(touched.entry().ttl_ms(), 40'000);
  v1::TouchRequest touch;
  touch.set_key(Key());
  touch.set_ttl_ms(0);
  v1::TouchResponse forever;
  ASSERT_TRUE(stub_.Call(&S::Touch, touch, &forever).ok());
  EXPECT_FALSE(stub_.Get(Key()).has_ttl_ms());

  v1::DeleteRequest erase;
  erase.set_key(Key());
  v1::DeleteResponse erased;
  ASSERT_TRUE(stub_.Call(&S::Delete, erase, &erased).ok());
  EXPECT_EQ(erased.outcome(), v1::OUTCOME_OK);
  EXPECT_EQ(stub_.Get(Key()).outcome(), v1::OUTCOME_MISS);
}

// A call whose message is given as bytes.
absl::Status CallRaw(const std::shared_ptr<grpc::Channel>& channel, const char* method,
                     const std::string& request, std::string* response) {
  const grpc::Slice slice(request);
  const grpc::ByteBuffer in(&slice, 1);
  grpc::ByteBuffer out;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  const grpc::internal::RpcMethod rpc(method, grpc::internal::RpcMethod::NORMAL_RPC);
  const grpc::Status status = grpc::internal::BlockingUnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>(
      channel.get(), rpc, &context, in, &out);
  if (!status.ok()) return rpc::FromGrpc(status);
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(out.Dump(&slices).ok());
  response->clear();
  for (const grpc::Slice& piece : slices) {
    response->append(reinterpret_cast<const char*>(piece.begin()), piece.size());
  }
  return absl::OkStatus();
}

// Whatever the bytes are: what the generated parser makes of them is carried out, and what it does
// not take is refused.
TEST_P(CacheService, ARequestCutAnywhereIsWhatTheGeneratedParserMakesOfIt) {
  ASSERT_TRUE(stub_.Set(Key(), "value").ok());
  v1::MultiGetRequest request;
  request.set_namespace_("default");
  request.add_keys(Key());
  request.add_keys("none");
  request.set_consistency(v1::CONSISTENCY_STRICT);
  // And a field that nobody knows yet.
  request.GetReflection()->MutableUnknownFields(&request)->AddVarint(1000, 7);
  request.add_keys(Key());
  const std::string whole = request.SerializeAsString();
  for (size_t size = 0; size <= whole.size(); ++size) {
    SCOPED_TRACE(size);
    const std::string cut = whole.substr(0, size);
    v1::MultiGetRequest parsed;
    const bool legal = parsed.ParseFromString(cut);
    std::string bytes;
    const absl::Status status =
        CallRaw(nodes_.channel(0), "/atoll.v1.CacheService/MultiGet", cut, &bytes);
    if (!legal || parsed.keys_size() == 0) {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
      EXPECT_EQ(base::Reason(status), base::reason::kBadArgument);
      continue;
    }
    ASSERT_TRUE(status.ok()) << status;
    v1::MultiGetResponse response;
    ASSERT_TRUE(response.ParseFromString(bytes));
    ASSERT_EQ(response.results_size(), parsed.keys_size());
    for (const v1::MultiGetResult& item : response.results()) {
      const std::string& key = parsed.keys(static_cast<int>(item.index()));
      EXPECT_EQ(item.has_error(), key.empty());
      EXPECT_EQ(item.result().value(), key == Key() ? "value" : "");
    }
  }
}

TEST_P(CacheService, AnUnchangedValueIsNotSent) {
  v1::SetResponse stored;
  ASSERT_TRUE(stub_.Set(Key(), "value", &stored).ok());
  v1::GetRequest request;
  request.set_key(Key());
  request.set_if_version_not(stored.version());
  v1::GetResponse response;
  ASSERT_TRUE(stub_.Call(&S::Get, request, &response).ok());
  EXPECT_EQ(response.outcome(), v1::OUTCOME_UNCHANGED);
  EXPECT_EQ(response.value(), "");
}

TEST_P(CacheService, AMultiCallAnswersEveryKey) {
  v1::MultiSetRequest set;
  for (int i = 0; i < 100; ++i) {
    auto* entry = set.add_entries();
    entry->set_key("many-" + std::to_string(i));
    entry->set_value(std::to_string(i));
  }
  set.add_entries()->set_key("");
  v1::MultiSetResponse stored;
  ASSERT_TRUE(stub_.Call(&S::MultiSet, set, &stored).ok());
  ASSERT_EQ(stored.results_size(), 101);
  for (const auto& result : stored.results()) {
    EXPECT_EQ(result.has_error(), result.index() == 100) << result.ShortDebugString();
  }
  v1::MultiGetRequest get;
  for (int i = 0; i < 101; ++i) get.add_keys("many-" + std::to_string(i));
  v1::MultiGetResponse found;
  ASSERT_TRUE(stub_.Call(&S::MultiGet, get, &found).ok());
  ASSERT_EQ(found.results_size(), 101);
  for (const auto& result : found.results()) {
    if (result.index() == 100) {
      EXPECT_EQ(result.result().outcome(), v1::OUTCOME_MISS);
    } else {
      EXPECT_EQ(result.result().value(), std::to_string(result.index()));
    }
  }
  v1::MultiDeleteRequest erase;
  for (int i = 0; i < 100; ++i) erase.add_keys("many-" + std::to_string(i));
  v1::MultiDeleteResponse erased;
  ASSERT_TRUE(stub_.Call(&S::MultiDelete, erase, &erased).ok());
  EXPECT_EQ(erased.results_size(), 100);
  for (const auto& result : erased.results()) {
    EXPECT_EQ(result.result().outcome(), v1::OUTCOME_OK) << result.ShortDebugString();
  }
  EXPECT_EQ(stub_.Get("many-7").outcome(), v1::OUTCOME_MISS);
  // One of them is refused, and the others not.
  erase.add_keys("");
  ASSERT_TRUE(stub_.Call(&S::MultiDelete, erase, &erased).ok());
  ASSERT_EQ(erased.results_size(), 101);
  for (const auto& result : erased.results()) {
    EXPECT_EQ(result.has_error(), result.index() == 100) << result.ShortDebugString();
  }
}

TEST_P(CacheService, ARefusalNamesFieldValueAndLimit) {
  struct Case {
    const char* name;
    std::function<absl::Status()> call;
    const char* message;
  };
  v1::SetResponse stored;
  ASSERT_TRUE(stub_.Set("k", "old", &stored).ok());
  const auto set = [this](const std::function<void(v1::SetRequest&)>& edit) {
    v1::SetRequest request;
    request.set_key("k");
    request.set_value("new");
    edit(request);
    v1::SetResponse response;
    return stub_.Call(&S::Set, request, &response);
  };
  const auto multi_get = [this](int keys) {
    v1::MultiGetRequest request;
    for (int i = 0; i < keys; ++i) request.add_keys("k");
    v1::MultiGetResponse response;
    return stub_.Call(&S::MultiGet, request, &response);
  };
  const std::vector<Case> cases = {
      {"empty key", [&] { return set([](auto& r) { r.set_key(""); }); }, "key: empty"},
      {"long key", [&] { return set([](auto& r) { r.set_key(std::string(1300, 'k')); }); },
       "key: 1300 bytes, limit 1024"},
      {"large value",
       [&] { return set([](auto& r) { r.set_value(std::string((1 << 20) + 1, 'v')); }); },
       "value: 1048577 bytes, limit 1048576"},
      {"negative ttl", [&] { return set([](auto& r) { r.set_ttl_ms(-1); }); }, "ttl_ms: -1"},
      {"endless ttl",
       [&] { return set([](auto& r) { r.set_ttl_ms(std::numeric_limits<int64_t>::max()); }); },
       "ttl_ms: 9223372036854775807, limit 3153600000000"},
      {"negative idle", [&] { return set([](auto& r) { r.set_max_idle_ms(-5); }); },
       "max_idle_ms: -5"},
      {"no keys", [&] { return multi_get(0); }, "keys: none"},
      {"too many keys", [&] { return multi_get(10'001); }, "keys: 10001, limit 10000"},
      {"cas of 0",
       [&] {
         v1::CompareAndSwapRequest request;
         request.set_key("k");
         request.set_value("new");
         v1::CompareAndSwapResponse response;
         return stub_.Call(&S::CompareAndSwap, request, &response);
       },
       "expected_version: 0"},
      {"strange cursor",
       [&] {
         v1::ScanRequest request;
         request.set_cursor("abc");
         v1::ScanResponse response;
         return stub_.Call(&S::Scan, request, &response);
       },
       "cursor: "},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const absl::Status status = c.call();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.message));
    EXPECT_EQ(base::Reason(status), base::reason::kBadArgument);
    const v1::GetResponse found = stub_.Get("k");
    EXPECT_EQ(found.value(), "old");
    EXPECT_EQ(found.version(), stored.version());
  }
}

TEST_P(CacheService, AnUnknownNamespaceIsNotFound) {
  v1::GetRequest request;
  request.set_namespace_("nowhere");
  request.set_key("k");
  v1::GetResponse response;
  const absl::Status status = stub_.Call(&S::Get, request, &response);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(base::Reason(status), base::reason::kUnknownNamespace);
  EXPECT_THAT(std::string(status.message()), HasSubstr("nowhere"));
}

TEST_P(CacheService, AScanListsEveryEntryOnce) {
  std::set<std::string> expected;
  for (int i = 0; i < 500; ++i) {
    const std::string key = (i % 2 == 0 ? "even-" : "odd-") + std::to_string(i);
    ASSERT_TRUE(stub_.Set(key, std::string(100, 'x')).ok());
    if (i % 2 == 0) expected.insert(key);
  }
  std::multiset<std::string> found;
  v1::ScanRequest request;
  request.set_prefix("even-");
  request.set_limit(60);
  request.set_with_values(true);
  int pages = 0;
  do {
    v1::ScanResponse response;
    const absl::Status status = stub_.Call(&S::Scan, request, &response);
    ASSERT_TRUE(status.ok()) << status;
    for (const auto& entry : response.entries()) {
      found.insert(entry.key());
      EXPECT_EQ(entry.entry().value().size(), 100u);
    }
    request.set_cursor(response.cursor());
    ASSERT_LT(++pages, 5'000);
  } while (!request.cursor().empty());
  EXPECT_EQ(std::multiset<std::string>(expected.begin(), expected.end()), found);
}

TEST_P(CacheService, AFlushHidesEverythingEverywhere) {
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(stub_.Set("f" + std::to_string(i), "x").ok());
  v1::FlushResponse response;
  const absl::Status status = stub_.Call(&S::Flush, v1::FlushRequest(), &response);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(response.partitions(), base::kPartitionCount);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(stub_.Get("f" + std::to_string(i)).outcome(), v1::OUTCOME_MISS);
  }
  ASSERT_TRUE(stub_.Set("f1", "again").ok());
  EXPECT_EQ(stub_.Get("f1").value(), "again");
}

TEST(CacheServiceLimits, ADrainingNodeRefusesAndSaysSo) {
  test::CacheNodes nodes;
  Stub stub(nodes.channel(0));
  ASSERT_TRUE(stub.Set("k", "v").ok());
  EXPECT_TRUE(nodes.handler(0).Drain(absl::Seconds(10)));
  const absl::Status status = stub.Set("k", "w");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(base::Reason(status), base::reason::kDraining);
}

}  // namespace
}  // namespace atoll::service
