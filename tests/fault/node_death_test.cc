// kill -9: no acknowledged write is lost while one in-sync copy lives (G1), and nothing old comes
// back (G2, G4).
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/support/ledger.h"
#include "tests/support/test_cluster.h"

namespace atoll {
namespace {

using test::Ledger;
using test::TestCluster;

constexpr int kWriters = 4;

// Each writer has the keys that are its number modulo kWriters. Calls `at` once so many writes have
// been made, on this thread, while they go on.
template <typename At>
void WriteAll(Client& client, Ledger& ledger, int rounds, uint64_t when, At at) {
  std::atomic<uint64_t> made{0};
  std::vector<std::thread> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      for (int round = 0; round < rounds; ++round) {
        for (int key = w; key < ledger.size(); key += kWriters) {
          ledger.Set(client, key);
          ++made;
        }
      }
    });
  }
  EXPECT_TRUE(test::WaitUntil([&] { return made >= when; }, absl::Minutes(5)));
  at();
  for (std::thread& writer : writers) {
    writer.join();
  }
}

TEST(NodeDeath, TwentyThousandWritesSurviveAKillInTheirMiddleAndAnotherLater) {
  auto started = TestCluster::Start();
  ASSERT_TRUE(started.ok());
  TestCluster& cluster = **started;
  const auto client = cluster.MakeClient();
  ASSERT_NE(client, nullptr);

  Ledger ledger("kill/", 10'000);
  WriteAll(*client, ledger, 2, 10'000, [&] { cluster.Kill(0); });
  RecordProperty("acknowledged", static_cast<int>(ledger.acknowledged()));
  EXPECT_EQ(ledger.attempted(), 20'000u);
  // The rest may have met the takeover; a client with patience sees nearly none of it.
  EXPECT_GE(ledger.acknowledged(), 19'900u);
  EXPECT_EQ(ledger.CheckAll(*client), "");

  ASSERT_TRUE(cluster.Restart(0).ok());
  const absl::Status healthy = cluster.WaitHealthy(absl::Minutes(2));
  ASSERT_TRUE(healthy.ok()) << healthy;
  EXPECT_EQ(ledger.CheckAll(*client), "");

  cluster.Kill(1);
  EXPECT_EQ(ledger.CheckAll(*client, absl::Seconds(30)), "");
}

TEST(NodeDeath, ADeadNodeThatComesBackAfterChangesHasNoneOfItsOldEntries) {
  auto started = TestCluster::Start();
  ASSERT_TRUE(started.ok());
  TestCluster& cluster = **started;
  const auto client = cluster.MakeClient();
  Ledger ledger("back/", 2'000);
  for (int key = 0; key < ledger.size(); ++key) {
    ASSERT_TRUE(ledger.Set(*client, key));
  }
  cluster.Kill(2);
  const absl::Status serving = cluster.WaitServing();
  ASSERT_TRUE(serving.ok()) << serving;
  for (int key = 0; key < ledger.size(); ++key) {
    // Not every one: some stay as they were.
    if (key % 3 == 0) {
      ledger.Delete(*client, key);
    } else if (key % 3 == 1) {
      ledger.Set(*client, key);
    }
  }
  ASSERT_TRUE(cluster.Restart(2).ok());
  absl::Status healthy = cluster.WaitHealthy(absl::Minutes(2));
  ASSERT_TRUE(healthy.ok()) << healthy;
  // Now its copies answer.
  cluster.Kill(0);
  EXPECT_EQ(ledger.CheckAll(*client, absl::Seconds(30)), "");
}

TEST(NodeDeath, WhenAllDieAtOnceTheClusterStartsColdAndNothingOldIsServed) {
  auto started = TestCluster::Start();
  ASSERT_TRUE(started.ok());
  TestCluster& cluster = **started;
  Ledger ledger("all/", 500);
  {
    const auto client = cluster.MakeClient();
    for (int round = 0; round < 2; ++round) {
      for (int key = 0; key < ledger.size(); ++key) {
        ASSERT_TRUE(ledger.Set(*client, key));
      }
    }
  }
  for (int node = 0; node < cluster.size(); ++node) {
    cluster.Kill(node);
  }
  ASSERT_TRUE(cluster.RestartAll().ok());
  const absl::Status healthy = cluster.WaitHealthy(absl::Minutes(2));
  ASSERT_TRUE(healthy.ok()) << healthy;
  const auto client = cluster.MakeClient();
  EXPECT_EQ(ledger.CheckAll(*client, absl::Seconds(30), /*miss_is_legal=*/true), "");
  EXPECT_TRUE(ledger.Set(*client, 0));
  EXPECT_EQ(ledger.Check(*client, 0), "");
}

}  // namespace
}  // namespace atoll
