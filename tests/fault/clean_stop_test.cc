// SIGTERM: a node leaves without a lost write, and a cluster that was stopped comes back with
// every live entry and none that is old (G4, R9).
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/ledger.h"
#include "tests/support/test_cluster.h"

namespace atoll {
namespace {

using test::Ledger;
using test::TestCluster;

TEST(CleanStop, ANodeLeavesAndReturnsWithoutALostWrite) {
  auto started = TestCluster::Start();
  ASSERT_TRUE(started.ok());
  TestCluster& cluster = **started;
  const auto client = cluster.MakeClient();
  ASSERT_NE(client, nullptr);
  Ledger ledger("leave/", 1'000);
  std::atomic<bool> stop{false};
  std::atomic<int> failed{0};
  std::thread writer([&] {
    for (int key = 0; !stop; key = (key + 1) % ledger.size()) {
      failed += ledger.Set(*client, key) ? 0 : 1;
    }
  });
  for (int node = 0; node < cluster.size(); ++node) {
    SCOPED_TRACE(TestCluster::NameOf(node));
    const auto code = cluster.Stop(node);
    EXPECT_TRUE(code.ok()) << code.status();
    EXPECT_EQ(*code, 0);
    EXPECT_TRUE(cluster.Restart(node).ok());
    const absl::Status healthy = cluster.WaitHealthy(absl::Minutes(2));
    EXPECT_TRUE(healthy.ok()) << healthy;
    if (HasFailure()) {
      break;
    }
  }
  stop = true;
  writer.join();
  EXPECT_EQ(failed.load(), 0) << "roles are handed over with what is under way";
  EXPECT_EQ(ledger.CheckAll(*client), "");
}

TEST(CleanStop, TheWholeClusterComesBackWithEveryLiveEntryAndNoneThatIsOld) {
  auto started = TestCluster::Start();
  ASSERT_TRUE(started.ok());
  TestCluster& cluster = **started;
  Ledger ledger("warm/", 3'000, /*padding=*/500);
  Ledger large("large/", 4, /*padding=*/1'500'000);
  uint64_t version = 0;
  {
    const auto client = cluster.MakeClient();
    ASSERT_TRUE(cluster.MakeAdminClient()
                    ->CreateNamespace("volatile", {.persistence = Persistence::kOff})
                    .ok());
    ASSERT_TRUE(test::WaitUntil([&] { return client->Set("k", "v", {.ns = "volatile"}).ok(); },
                                absl::Seconds(10)));
    ASSERT_TRUE(client->Set("short", "v", {.ttl = absl::Seconds(2)}).ok());
    ASSERT_TRUE(client->Set("long", "v", {.ttl = absl::Hours(1), .flags = 5}).ok());
    for (int key = 0; key < large.size(); ++key) {
      ASSERT_TRUE(large.Set(*client, key, {.timeout = absl::Seconds(30)}));
    }
    version = client->Get("long")->version;
  }
  // More than one generation: what came from disk changes and goes to disk again.
  for (int generation = 0; generation < 3; ++generation) {
    SCOPED_TRACE(absl::StrCat("generation ", generation));
    {
      const auto client = cluster.MakeClient();
      ASSERT_NE(client, nullptr);
      for (int key = generation; key < ledger.size(); key += generation + 1) {
        ASSERT_TRUE(key % 7 == 3 ? ledger.Delete(*client, key) : ledger.Set(*client, key));
      }
      ASSERT_EQ(ledger.CheckAll(*client), "");
    }
    const auto code = cluster.StopAll();
    ASSERT_TRUE(code.ok()) << code.status();
    ASSERT_EQ(*code, 0);
    ASSERT_TRUE(cluster.RestartAll().ok());
    const absl::Status healthy = cluster.WaitHealthy(absl::Minutes(2));
    ASSERT_TRUE(healthy.ok()) << healthy;
    const auto client = cluster.MakeClient();
    ASSERT_NE(client, nullptr);
    EXPECT_EQ(ledger.CheckAll(*client), "");
    EXPECT_EQ(large.CheckAll(*client), "");
    const auto kept = client->Get("long");
    ASSERT_TRUE(kept.ok()) << kept.status();
    EXPECT_TRUE(kept->found());
    EXPECT_EQ(kept->version, version);
    EXPECT_EQ(kept->flags, 5u);
    EXPECT_TRUE(kept->ttl.has_value());
    EXPECT_FALSE(client->Get("short")->found());
    EXPECT_FALSE(client->Get("k", {.ns = "volatile"})->found());
  }
}

// Stopped again before everything was revived: what nobody asked for yet, and what was on its way
// from disk, is as good as before. Nodes 1 and 2 wait for partitions that node 0 led last, and in
// the end their copies are all that there is.
TEST(CleanStop, AClusterThatIsStoppedWhileItComesBackLosesNothing) {
  auto started = TestCluster::Start();
  ASSERT_TRUE(started.ok());
  TestCluster& cluster = **started;
  Ledger ledger("again/", 3'000, /*padding=*/500);
  {
    const auto client = cluster.MakeClient();
    ASSERT_NE(client, nullptr);
    for (int key = 0; key < ledger.size(); ++key) ASSERT_TRUE(ledger.Set(*client, key));
  }
  // Without etcd no ISR shrinks while they stop: each has its backup in it to the end.
  cluster.etcd().Kill();
  ASSERT_EQ(cluster.StopAll().value_or(-1), 0);
  ASSERT_TRUE(cluster.etcd().Restart().ok());
  const std::vector<std::vector<int>> up = {{1, 2}, {2}, {1, 2}};
  for (const std::vector<int>& nodes : up) {
    for (const int node : nodes) ASSERT_TRUE(cluster.Restart(node).ok());
    ASSERT_EQ(cluster.StopAll().value_or(-1), 0);
  }
  std::filesystem::remove_all(cluster.data_folder(0));
  ASSERT_TRUE(cluster.RestartAll().ok());
  const absl::Status healthy = cluster.WaitHealthy(absl::Minutes(2));
  ASSERT_TRUE(healthy.ok()) << healthy;
  const auto client = cluster.MakeClient();
  ASSERT_NE(client, nullptr);
  EXPECT_EQ(ledger.CheckAll(*client), "");
}

TEST(CleanStop, ANodeThatStoppedEarlierDoesNotBringBackWhatItHas) {
  auto started = TestCluster::Start();
  ASSERT_TRUE(started.ok());
  TestCluster& cluster = **started;
  Ledger ledger("earlier/", 1'000);
  {
    const auto client = cluster.MakeClient();
    for (int key = 0; key < ledger.size(); ++key) {
      ASSERT_TRUE(ledger.Set(*client, key));
    }
    ASSERT_EQ(*cluster.Stop(0), 0);
    // n1's folder is clean and whole, and now it is out of date.
    for (int key = 0; key < ledger.size(); ++key) {
      ASSERT_TRUE(key % 2 == 0 ? ledger.Set(*client, key) : ledger.Delete(*client, key));
    }
  }
  ASSERT_EQ(*cluster.Stop(1), 0);
  ASSERT_EQ(*cluster.Stop(2), 0);
  // It is the first to return.
  ASSERT_TRUE(cluster.Restart(0).ok());
  ASSERT_TRUE(cluster.Restart(1).ok());
  ASSERT_TRUE(cluster.Restart(2).ok());
  const absl::Status healthy = cluster.WaitHealthy(absl::Minutes(2));
  ASSERT_TRUE(healthy.ok()) << healthy;
  const auto client = cluster.MakeClient();
  EXPECT_EQ(ledger.CheckAll(*client), "");
}

TEST(CleanStop, AStandaloneNodeComesBackWarm) {
  auto started = TestCluster::Start({.standalone = true});
  ASSERT_TRUE(started.ok());
  TestCluster& cluster = **started;
  Ledger ledger("alone/", 1'000);
  for (int generation = 0; generation < 3; ++generation) {
    {
      const auto client = cluster.MakeClient();
      ASSERT_EQ(ledger.CheckAll(*client), "");
      for (int key = generation; key < ledger.size(); key += 2) {
        ASSERT_TRUE(key % 5 == 0 ? ledger.Delete(*client, key) : ledger.Set(*client, key));
      }
    }
    ASSERT_EQ(*cluster.StopAll(), 0);
    ASSERT_TRUE(cluster.RestartAll().ok());
    const absl::Status healthy = cluster.WaitHealthy();
    ASSERT_TRUE(healthy.ok()) << healthy;
  }
  EXPECT_EQ(ledger.CheckAll(*cluster.MakeClient()), "");
}

}  // namespace
}  // namespace atoll
