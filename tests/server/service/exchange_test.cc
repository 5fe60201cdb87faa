// CacheService.Exchange: every kind of operation on one stream, on one node and on two.
#include <gmock/gmock.h>
#include <google/protobuf/unknown_field_set.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/status.h"
#include "rpc/status.h"
#include "tests/server/service/exchange_caller.h"
#include "tests/support/cache_nodes.h"

namespace atoll::service {
namespace {

using ::testing::HasSubstr;

// Keys of the node that is called, or of another one.
class Exchange : public ::testing::TestWithParam<bool> {
 protected:
  Exchange()
      : nodes_({.nodes = GetParam() ? 2 : 1}),
        caller_(nodes_.channel(0)),
        owner_(GetParam() ? 1 : 0) {}

  std::string Key(int salt = 0) const { return nodes_.KeyOf(owner_, salt); }

  test::CacheNodes nodes_;
  Caller caller_;
  const int owner_;
};

INSTANTIATE_TEST_SUITE_P(Nodes, Exchange, ::testing::Bool(),
                         [](const auto& nodes) { return nodes.param ? "Forwarded" : "Local"; });

TEST_P(Exchange, AnswersAreThoseOfTheGeneratedClasses) {
  v1::ExchangeRequest request;
  // Around every boundary: none, small, the largest that is copied, the largest that is sent.
  const std::vector<size_t> sizes = {0, 1, 127, 128, 8192, 8193, 20'000, 65'536};
  for (size_t i = 0; i < sizes.size(); ++i) {
    v1::Operation& operation = *request.add_operations();
    operation.set_id(i);
    v1::SetRequest& set = *operation.mutable_set();
    set.set_key(Key(static_cast<int>(i)));
    set.set_value(std::string(sizes[i], static_cast<char>('a' + i)));
    set.set_flags(static_cast<uint32_t>(i));
    if (i % 2 == 0) set.set_ttl_ms(100'000);
    if (i % 3 == 0) set.set_max_idle_ms(50'000);
  }
  Results stored = caller_.Call(request);
  ASSERT_EQ(stored.size(), sizes.size());
  request.Clear();
  for (size_t i = 0; i <= sizes.size(); ++i) {
    v1::Operation& operation = *request.add_operations();
    operation.set_id(uint64_t{1} << (7 * i));
    operation.mutable_get()->set_key(Key(static_cast<int>(i)));
  }
  Results found = caller_.Call(request);
  ASSERT_EQ(found.size(), sizes.size() + 1);
  for (size_t i = 0; i < sizes.size(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(stored[i].set().outcome(), v1::OUTCOME_OK);
    EXPECT_EQ(stored[i].set().copies(), 1u);
    const v1::GetResponse& get = found[uint64_t{1} << (7 * i)].get();
    EXPECT_EQ(get.outcome(), v1::OUTCOME_OK);
    EXPECT_EQ(get.value(), std::string(sizes[i], static_cast<char>('a' + i)));
    EXPECT_EQ(get.version(), stored[i].set().version());
    EXPECT_EQ(get.flags(), i);
    EXPECT_EQ(get.size(), sizes[i]);
    EXPECT_EQ(get.max_idle_ms(), i % 3 == 0 ? 50'000 : 0);
    EXPECT_EQ(get.has_ttl_ms(), i % 2 == 0);
    if (get.has_ttl_ms()) {
      EXPECT_GT(get.ttl_ms(), 90'000);
      EXPECT_LE(get.ttl_ms(), 101'000);
    }
  }
  const v1::OperationResult& miss = found[uint64_t{1} << (7 * sizes.size())];
  EXPECT_EQ(miss.kind_case(), v1::OperationResult::kGet);
  EXPECT_EQ(miss.get().outcome(), v1::OUTCOME_MISS);
  EXPECT_EQ(miss.get().ByteSizeLong(), 2u);
  EXPECT_TRUE(caller_.Finish().ok());
}

TEST_P(Exchange, OperationsOfAMessageAreCarriedOutInTheirOrder) {
  v1::ExchangeRequest request;
  uint64_t id = 0;
  const auto add = [&] {
    v1::Operation* operation = request.add_operations();
    operation->set_id(++id);
    return operation;
  };
  const std::string key = Key();
  add()->mutable_get()->set_key(key);
  v1::SetRequest* set = add()->mutable_set();
  set->set_key(key);
  set->set_value("41");
  if (!GetParam()) {
    // Another node's stream is its own: there the answers come in any order.
    add()->mutable_get()->set_key(key);
    v1::IncrementRequest* increment = add()->mutable_increment();
    increment->set_key(key);
    increment->set_delta(1);
    add()->mutable_get()->set_key(key);
    add()->mutable_delete_()->set_key(key);
    add()->mutable_get()->set_key(key);
    add()->mutable_delete_()->set_key(key);
  }
  Results results = caller_.Call(request);
  EXPECT_EQ(results[1].get().outcome(), v1::OUTCOME_MISS);
  EXPECT_EQ(results[2].set().outcome(), v1::OUTCOME_OK);
  if (GetParam()) return;
  EXPECT_EQ(results[3].get().value(), "41");
  EXPECT_EQ(results[4].increment().number(), 42);
  EXPECT_EQ(results[5].get().value(), "42");
  EXPECT_EQ(results[6].delete_().outcome(), v1::OUTCOME_OK);
  EXPECT_EQ(results[7].get().outcome(), v1::OUTCOME_MISS);
  EXPECT_EQ(results[8].delete_().outcome(), v1::OUTCOME_MISS);
}

TEST_P(Exchange, AMultiCallOnTheStreamAnswersEveryKey) {
  v1::ExchangeRequest request;
  v1::Operation& sets = *request.add_operations();
  sets.set_id(7);
  for (int i = 0; i < 300; ++i) {
    v1::MultiSetEntry& entry = *sets.mutable_multi_set()->add_entries();
    // Of both nodes, where there are two.
    entry.set_key(nodes_.KeyOf(i % nodes_.size(), i));
    entry.set_value(std::string(static_cast<size_t>(i * 40), 'v'));
  }
  Results results = caller_.Call(request);
  ASSERT_EQ(results[7].multi_set().results_size(), 300);
  std::set<uint32_t> seen;
  for (const v1::MultiSetResult& item : results[7].multi_set().results()) {
    EXPECT_FALSE(item.has_error());
    EXPECT_EQ(item.result().outcome(), v1::OUTCOME_OK);
    EXPECT_TRUE(seen.insert(item.index()).second);
  }
  request.Clear();
  v1::Operation gets;
  gets.set_id(8);
  for (int i = 0; i < 301; ++i) {
    gets.mutable_multi_get()->add_keys(nodes_.KeyOf(i % nodes_.size(), i));
  }
  *request.add_operations() = gets;
  // The same, of which one is refused and the others not.
  v1::Operation& mixed = *request.add_operations();
  mixed = gets;
  mixed.set_id(9);
  mixed.mutable_multi_get()->set_keys(5, std::string(1300, 'k'));
  results = caller_.Call(request);
  for (const uint64_t id : {8u, 9u}) {
    SCOPED_TRACE(id);
    ASSERT_EQ(results[id].multi_get().results_size(), 301);
    seen.clear();
    for (const v1::MultiGetResult& item : results[id].multi_get().results()) {
      EXPECT_TRUE(seen.insert(item.index()).second);
      if (id == 9 && item.index() == 5) {
        EXPECT_THAT(item.error().message(), HasSubstr("key: 1300 bytes, limit 1024"));
        continue;
      }
      EXPECT_FALSE(item.has_error());
      if (item.index() == 300) {
        EXPECT_EQ(item.result().outcome(), v1::OUTCOME_MISS);
      } else {
        EXPECT_EQ(item.result().value().size(), item.index() * 40);
      }
    }
  }
  request.Clear();
  v1::Operation& deletes = *request.add_operations();
  deletes.set_id(10);
  *deletes.mutable_multi_delete()->mutable_keys() = gets.multi_get().keys();
  results = caller_.Call(request);
  ASSERT_EQ(results[10].multi_delete().results_size(), 301);
  seen.clear();
  for (const v1::MultiDeleteResult& item : results[10].multi_delete().results()) {
    EXPECT_TRUE(seen.insert(item.index()).second);
    EXPECT_FALSE(item.has_error());
    EXPECT_EQ(item.result().outcome(), item.index() == 300 ? v1::OUTCOME_MISS : v1::OUTCOME_OK);
  }
  request.mutable_operations(0)->set_id(11);
  request.mutable_operations(0)->mutable_multi_delete()->set_keys(5, std::string(1300, 'k'));
  results = caller_.Call(request);
  ASSERT_EQ(results[11].multi_delete().results_size(), 301);
  for (const v1::MultiDeleteResult& item : results[11].multi_delete().results()) {
    EXPECT_EQ(item.has_error(), item.index() == 5);
    EXPECT_EQ(item.result().outcome(),
              item.has_error() ? v1::OUTCOME_UNSPECIFIED : v1::OUTCOME_MISS);
  }
}

TEST_P(Exchange, ARefusalConcernsItsOperationAlone) {
  v1::ExchangeRequest request;
  uint64_t id = 0;
  const auto add = [&] {
    v1::Operation* operation = request.add_operations();
    operation->set_id(++id);
    return operation;
  };
  add()->mutable_get();
  add()->mutable_set()->set_key(std::string(1025, 'k'));
  v1::SetRequest* set = add()->mutable_set();
  set->set_key("k");
  set->set_ttl_ms(-1);
  set = add()->mutable_set();
  set->set_key("k");
  set->set_max_idle_ms(-5);
  v1::GetRequest* get = add()->mutable_get();
  get->set_key("k");
  get->set_namespace_("nowhere");
  add()->mutable_multi_get();
  add()->mutable_multi_set();
  for (int i = 0; i < 10'001; ++i) {
    if (i == 0) add();
    request.mutable_operations(7)->mutable_multi_get()->add_keys("k");
  }
  add();
  set = add()->mutable_set();
  set->set_key(Key());
  set->set_value("v");
  add()->mutable_multi_delete();
  Results results = caller_.Call(request);
  ASSERT_EQ(results.size(), 11u);
  const std::map<uint64_t, std::string> wanted = {{1, "key: empty"},
                                                  {2, "key: 1025 bytes, limit 1024"},
                                                  {3, "ttl_ms: -1"},
                                                  {4, "max_idle_ms: -5"},
                                                  {5, "namespace: nowhere does not exist"},
                                                  {6, "keys: none"},
                                                  {7, "entries: none"},
                                                  {8, "keys: 10001, limit 10000"},
                                                  {9, "operation: of no kind"},
                                                  {11, "keys: none"}};
  for (const auto& [at, message] : wanted) {
    SCOPED_TRACE(at);
    EXPECT_THAT(results[at].error().message(), HasSubstr(message));
    EXPECT_EQ(results[at].kind_case(), v1::OperationResult::KIND_NOT_SET);
    EXPECT_FALSE(base::Reason(rpc::FromProto(results[at].error())).empty());
  }
  EXPECT_EQ(results[10].set().outcome(), v1::OUTCOME_OK);
}

TEST_P(Exchange, AVersionThatIsKnownAndMetadataAloneBringNoValue) {
  v1::ExchangeRequest request;
  v1::SetRequest* set = request.add_operations()->mutable_set();
  set->set_key(Key());
  set->set_value("value");
  const uint64_t version = caller_.Call(request)[0].set().version();
  request.Clear();
  for (uint64_t id = 0; id < 3; ++id) {
    v1::Operation& operation = *request.add_operations();
    operation.set_id(id);
    operation.mutable_get()->set_key(Key());
    if (id == 0) operation.mutable_get()->set_if_version_not(version);
    if (id == 1) operation.mutable_get()->set_if_version_not(version + 1);
    if (id == 2) operation.mutable_get()->set_metadata_only(true);
  }
  Results results = caller_.Call(request);
  EXPECT_EQ(results[0].get().outcome(), v1::OUTCOME_UNCHANGED);
  EXPECT_EQ(results[0].get().value(), "");
  EXPECT_EQ(results[0].get().version(), version);
  EXPECT_EQ(results[1].get().value(), "value");
  EXPECT_EQ(results[2].get().outcome(), v1::OUTCOME_OK);
  EXPECT_EQ(results[2].get().value(), "");
  EXPECT_EQ(results[2].get().size(), 5u);
}

// What the codec does not read by hand means what the generated parser makes of it.
TEST_P(Exchange, UnknownFieldsArePassedOver) {
  v1::ExchangeRequest request;
  for (uint64_t id = 0; id < 3; ++id) {
    v1::Operation& operation = *request.add_operations();
    operation.set_id(id);
    operation.mutable_set()->set_key(Key(static_cast<int>(id)));
    operation.mutable_set()->set_value("v");
  }
  const auto add_unknown = [](google::protobuf::Message* message) {
    message->GetReflection()->MutableUnknownFields(message)->AddLengthDelimited(1000, "later");
  };
  add_unknown(request.mutable_operations(1)->mutable_set());
  EXPECT_EQ(caller_.Call(request).size(), 3u);
  add_unknown(&request);
  for (v1::Operation& operation : *request.mutable_operations()) {
    const std::string key = operation.set().key();
    operation.mutable_get()->set_key(key);
  }
  Results results = caller_.Call(request);
  ASSERT_EQ(results.size(), 3u);
  for (const auto& [id, result] : results) EXPECT_EQ(result.get().value(), "v") << id;
}

TEST_P(Exchange, LargeValuesAreAnsweredWhereTheFirstMessageAsksForThem) {
  const auto stub = v1::CacheService::NewStub(nodes_.channel(owner_));
  const std::vector<size_t> sizes = {65'536, 65'537, 1 << 20, 300'000, 100};
  for (size_t i = 0; i < sizes.size(); ++i) {
    Store(*stub, Key(static_cast<int>(i)), std::string(sizes[i], static_cast<char>('a' + i)));
  }
  const auto gets = [&] {
    v1::ExchangeRequest request;
    for (size_t i = 0; i < sizes.size(); ++i) {
      v1::Operation& operation = *request.add_operations();
      operation.set_id(i + 1);
      operation.mutable_get()->set_key(Key(static_cast<int>(i)));
    }
    return request;
  };
  // What it asks for, and what it is answered at the most.
  const std::pair<uint64_t, size_t> limits[] = {{0, 65'536},
                                                {1, 65'536},
                                                {65'537, 65'537},
                                                {1 << 20, 1 << 20},
                                                {std::numeric_limits<uint64_t>::max(), 1 << 20}};
  for (const auto& [asked, most] : limits) {
    SCOPED_TRACE(asked);
    Caller caller(nodes_.channel(0));
    v1::ExchangeRequest request = gets();
    request.set_max_value_bytes(asked);
    // In the second message it means nothing.
    for (const uint64_t later : {uint64_t{0}, uint64_t{1} << 20}) {
      Results results = caller.Call(request);
      ASSERT_EQ(results.size(), sizes.size());
      for (size_t i = 0; i < sizes.size(); ++i) {
        const v1::GetResponse& get = results[i + 1].get();
        EXPECT_EQ(get.size(), sizes[i]);
        EXPECT_EQ(get.outcome(), sizes[i] <= most ? v1::OUTCOME_OK : v1::OUTCOME_USE_STREAM);
        EXPECT_TRUE(get.value() ==
                    std::string(sizes[i] <= most ? sizes[i] : 0, static_cast<char>('a' + i)));
      }
      request.set_max_value_bytes(later);
    }
    EXPECT_TRUE(caller.Finish().ok());
    // Who keeps a large value keeps its message: small ones may come before it, but none behind it.
    for (const std::vector<size_t>& message : caller.messages()) {
      for (size_t at = 0; at + 1 < message.size(); ++at) {
        EXPECT_LE(most > 65'536 ? message[at] : 0, 65'536u - 1);
      }
    }
  }
}

}  // namespace
}  // namespace atoll::service
