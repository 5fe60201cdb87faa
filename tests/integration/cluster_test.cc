// Three real nodes: what is stored through one is found through another.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/test_cluster.h"

namespace atoll {
namespace {

using test::TestCluster;

class ClusterTest : public testing::Test {
 protected:
  // One cluster for all tests of the suite: each uses keys of its own.
  static void SetUpTestSuite() {
    auto cluster = TestCluster::Start();
    if (cluster.ok()) {
      cluster_ = cluster->release();
    }
  }
  static void TearDownTestSuite() {
    delete cluster_;
    cluster_ = nullptr;
  }
  void SetUp() override { ASSERT_NE(cluster_, nullptr); }

  // Knows nothing but this node, which forwards.
  static std::unique_ptr<Client> Through(int node) {
    ClientOptions options = cluster_->client_options();
    options.endpoints = {cluster_->address(node)};
    options.route_to_owners = false;
    return cluster_->MakeClient(options);
  }

  static TestCluster* cluster_;
};
TestCluster* ClusterTest::cluster_ = nullptr;

TEST_F(ClusterTest, WhatIsSetThroughOneNodeIsFoundThroughEveryOther) {
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < cluster_->size(); ++i) {
    clients.push_back(Through(i));
    ASSERT_NE(clients.back(), nullptr);
  }
  for (int i = 0; i < cluster_->size(); ++i) {
    for (int k = 0; k < 100; ++k) {
      const std::string key = absl::StrCat("through/", i, "/", k);
      const auto set = clients[i]->Set(key, absl::StrCat("value ", k), {.flags = 7});
      ASSERT_TRUE(set.ok()) << set.status();
      EXPECT_EQ(set->copies, 2u);
      for (const auto& reader : clients) {
        const auto got = reader->Get(key);
        ASSERT_TRUE(got.ok()) << got.status();
        ASSERT_TRUE(got->found());
        EXPECT_EQ(got->value.view(), absl::StrCat("value ", k));
        EXPECT_EQ(got->version, set->version);
        EXPECT_EQ(got->flags, 7u);
      }
    }
  }
}

TEST_F(ClusterTest, TheSmartClientSendsKeysToTheirOwners) {
  const auto client = cluster_->MakeClient();
  const auto forwarded = [&] {
    uint64_t sum = 0;
    for (int i = 0; i < cluster_->size(); ++i) {
      const auto stats = cluster_->MakeAdminClient(i)->StatsOf(cluster_->address(i));
      EXPECT_TRUE(stats.ok()) << stats.status();
      sum += stats.ok() ? stats->forwarded : 0;
    }
    return sum;
  };
  const uint64_t before = forwarded();
  for (int k = 0; k < 300; ++k) {
    const std::string key = absl::StrCat("smart/", k);
    ASSERT_TRUE(client->Set(key, "v").ok());
    ASSERT_TRUE(client->Get(key)->found());
  }
  EXPECT_EQ(forwarded(), before);
  EXPECT_EQ(client->stats().through_others, 0u);
}

TEST_F(ClusterTest, EveryVerbDoesWhatItSays) {
  const auto client = cluster_->MakeClient();
  const auto other = Through(1);
  EXPECT_EQ(client->Replace("verb", "x")->outcome, Outcome::kNotStored);
  EXPECT_EQ(client->Append("verb", "x")->outcome, Outcome::kNotStored);
  ASSERT_TRUE(client->Add("verb", "b")->ok());
  EXPECT_EQ(client->Add("verb", "c")->outcome, Outcome::kNotStored);
  ASSERT_TRUE(other->Append("verb", "c")->ok());
  ASSERT_TRUE(other->Prepend("verb", "a")->ok());
  const auto got = client->Get("verb");
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->value.view(), "abc");
  EXPECT_EQ(client->Get("verb", {.if_version_not = got->version})->outcome, Outcome::kUnchanged);
  EXPECT_EQ(client->CompareAndSwap("verb", "x", got->version + 1)->outcome, Outcome::kMismatch);
  ASSERT_TRUE(other->CompareAndSwap("verb", "x", got->version)->ok());
  EXPECT_EQ(client->Get("verb")->value.view(), "x");
  ASSERT_TRUE(client->Replace("verb", "y")->ok());
  ASSERT_TRUE(client->Touch("verb", {.ttl = absl::Seconds(100)})->ok());
  const auto touched = other->GetAndTouch("verb", {.ttl = absl::Seconds(1000)});
  ASSERT_TRUE(touched.ok()) << touched.status();
  EXPECT_EQ(touched->value.view(), "y");
  ASSERT_TRUE(touched->ttl.has_value());
  EXPECT_GT(*touched->ttl, absl::Seconds(100));
  EXPECT_TRUE(client->Delete("verb")->ok());
  EXPECT_EQ(client->Delete("verb")->outcome, Outcome::kMiss);
  EXPECT_FALSE(other->Get("verb")->found());

  EXPECT_EQ(client->Increment("counter", 5)->outcome, Outcome::kMiss);
  EXPECT_EQ(client->Increment("counter", 5, {.initial = 10})->number, 10);
  EXPECT_EQ(other->Increment("counter", 5)->number, 15);
  EXPECT_EQ(client->Decrement("counter", 20)->number, -5);
  ASSERT_TRUE(client->Set("text", "not a number").ok());
  const auto refused = client->Increment("text", 1);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition) << refused.status();
  EXPECT_EQ(ErrorReason(refused.status()), "NOT_A_NUMBER");
  ASSERT_TRUE(client->Set("limit", "9223372036854775807").ok());
  EXPECT_EQ(client->Increment("limit", 1).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(client->Get("limit")->value.view(), "9223372036854775807");
}

TEST_F(ClusterTest, AnEmptyValueIsAValueAndKeysHoldAnyByte) {
  const auto client = cluster_->MakeClient();
  const std::string key("\0\xff\n", 3);
  ASSERT_TRUE(client->Set(key, "").ok());
  const auto got = Through(2)->Get(key);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_TRUE(got->found());
  EXPECT_EQ(got->size, 0u);
}

TEST_F(ClusterTest, ATimeToLiveEnds) {
  const auto client = cluster_->MakeClient();
  ASSERT_TRUE(client->Set("short", "v", {.ttl = absl::Seconds(1)}).ok());
  ASSERT_TRUE(client->Set("long", "v", {.ttl = absl::Hours(1)}).ok());
  EXPECT_TRUE(client->Get("short")->found());
  EXPECT_TRUE(test::WaitUntil([&] { return !client->Get("short")->found(); }, absl::Seconds(20)));
  EXPECT_TRUE(client->Get("long")->found());
}

TEST_F(ClusterTest, ManyKeysAreAnsweredOneByOne) {
  const auto client = cluster_->MakeClient();
  std::vector<std::string> keys;
  std::vector<std::string> values;
  for (int k = 0; k < 3000; ++k) {
    keys.push_back(absl::StrCat("many/", k));
    values.push_back(absl::StrCat("value ", k));
  }
  std::vector<SetEntry> entries;
  for (size_t k = 0; k < keys.size(); ++k) {
    entries.push_back({.key = keys[k], .value = values[k]});
  }
  entries[17].key = "";  // refused alone
  const auto stored = client->MultiSet(entries);
  ASSERT_EQ(stored.size(), entries.size());
  for (size_t k = 0; k < stored.size(); ++k) {
    EXPECT_EQ(stored[k].ok(), k != 17) << k << stored[k].status();
  }
  std::vector<std::string_view> wanted(keys.begin(), keys.end());
  const auto got = client->MultiGet(wanted);
  ASSERT_EQ(got.size(), keys.size());
  for (size_t k = 0; k < got.size(); ++k) {
    ASSERT_TRUE(got[k].ok()) << k << " " << got[k].status();
    ASSERT_EQ(got[k]->found(), k != 17) << k;
    if (k != 17) {
      ASSERT_EQ(got[k]->value.view(), values[k]);
    }
  }
  wanted.resize(100);
  for (const auto& deleted : client->MultiDelete(wanted)) {
    EXPECT_TRUE(deleted.ok()) << deleted.status();
  }
  EXPECT_FALSE(client->Get(keys[50])->found());
  EXPECT_TRUE(client->Get(keys[100])->found());
}

TEST_F(ClusterTest, AScanListsEveryEntryOfItsNamespaceOnce) {
  const auto admin = cluster_->MakeAdminClient();
  ASSERT_TRUE(admin->CreateNamespace("scanned").ok());
  const auto client = cluster_->MakeClient();
  for (int k = 0; k < 500; ++k) {
    const auto set =
        client->Set(absl::StrCat(k % 2 == 0 ? "even/" : "odd/", k), "v", {.ns = "scanned"});
    ASSERT_TRUE(set.ok()) << set.status();
  }
  for (const auto& [prefix, count] :
       std::map<std::string, size_t>{{"", 500}, {"even/", 250}, {"none/", 0}}) {
    std::map<std::string, int> seen;
    ScanOptions options{.ns = "scanned", .prefix = prefix, .limit = 60};
    do {
      const auto page = client->Scan(options);
      ASSERT_TRUE(page.ok()) << page.status();
      for (const ScanEntry& entry : page->entries) {
        ++seen[entry.key];
        EXPECT_TRUE(entry.key.starts_with(prefix));
      }
      options.cursor = page->cursor;
    } while (!options.cursor.empty());
    EXPECT_EQ(seen.size(), count) << prefix;
    for (const auto& [key, times] : seen) {
      EXPECT_EQ(times, 1) << key;
    }
  }
}

TEST_F(ClusterTest, AFlushHidesItsNamespaceAndNoOther) {
  const auto admin = cluster_->MakeAdminClient();
  ASSERT_TRUE(admin->CreateNamespace("flushed").ok());
  const auto client = cluster_->MakeClient();
  for (int k = 0; k < 100; ++k) {
    ASSERT_TRUE(client->Set(absl::StrCat(k), "v", {.ns = "flushed"}).ok());
    ASSERT_TRUE(client->Set(absl::StrCat("flush/", k), "v").ok());
  }
  const absl::Status flushed = client->Flush({.ns = "flushed"});
  ASSERT_TRUE(flushed.ok()) << flushed;
  for (int k = 0; k < 100; ++k) {
    EXPECT_FALSE(client->Get(absl::StrCat(k), {.ns = "flushed"})->found());
    EXPECT_TRUE(client->Get(absl::StrCat("flush/", k))->found());
  }
  ASSERT_TRUE(client->Set("1", "again", {.ns = "flushed"}).ok());
  EXPECT_EQ(client->Get("1", {.ns = "flushed"})->value.view(), "again");
}

TEST_F(ClusterTest, ADroppedNamespaceComesBackEmpty) {
  const auto admin = cluster_->MakeAdminClient();
  const auto client = cluster_->MakeClient();
  const auto made = admin->CreateNamespace("dropped");
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(admin->CreateNamespace("dropped").status().code(), absl::StatusCode::kAlreadyExists);
  ASSERT_TRUE(client->Set("k", "v", {.ns = "dropped"}).ok());
  ASSERT_TRUE(admin->DropNamespace("dropped").ok());
  // Every node learns of it by watch.
  EXPECT_TRUE(test::WaitUntil(
      [&] { return absl::IsNotFound(client->Get("k", {.ns = "dropped"}).status()); },
      absl::Seconds(10)));
  const auto again = admin->CreateNamespace("dropped");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_NE(again->id, made->id);
  absl::StatusOr<GetResult> got;
  EXPECT_TRUE(test::WaitUntil(
      [&] {
        got = client->Get("k", {.ns = "dropped"});
        return got.ok();
      },
      absl::Seconds(10)));
  EXPECT_FALSE(got->found());
  EXPECT_FALSE(admin->DropNamespace("default").ok());
}

// Calls of the client listener, which was bound already, are asked for on the peers' queue.
TEST_F(ClusterTest, ANodeWhosePeerPortIsTakenSaysSoAndEnds) {
  const std::string log = test::FreshFolder("taken_port") + "/log";
  auto node = test::ChildProcess::Start(
      {ATOLL_BIN_FOLDER "/atolld", "--node-name=late", "--listen=client=127.0.0.1:0",
       absl::StrCat("--listen=peer=", cluster_->peer_address(0)), "--listen=admin=127.0.0.1:0",
       absl::StrCat("--etcd=", cluster_->etcd().endpoint()), "--memory=64MiB"},
      log);
  ASSERT_TRUE(node.ok()) << node.status();
  const absl::StatusOr<int> code = (*node)->Wait(absl::Seconds(30));
  ASSERT_TRUE(code.ok()) << code.status() << test::TailOf(log);
  EXPECT_NE(*code, 0);
  EXPECT_THAT(test::ContentOf(log), testing::HasSubstr("cannot be bound"));
}

}  // namespace
}  // namespace atoll
