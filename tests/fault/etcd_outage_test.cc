// etcd stopped: the data path goes on (G5); back, control returns and nobody was declared dead.
#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "tests/support/ledger.h"
#include "tests/support/test_cluster.h"

namespace atoll {
namespace {

using test::Ledger;
using test::TestCluster;

// Longer than the node lease (3 s) and a controller's patience together.
constexpr absl::Duration kOutage = absl::Seconds(8);

std::map<uint32_t, std::pair<uint32_t, uint32_t>> Owners(AdminClient& admin) {
  std::map<uint32_t, std::pair<uint32_t, uint32_t>> owners;
  const auto topology = admin.GetTopology();
  EXPECT_TRUE(topology.ok()) << topology.status();
  if (topology.ok()) {
    for (const Partition& partition : topology->partitions) {
      owners[partition.partition] = {partition.epoch, partition.primary.value_or(~0u)};
    }
  }
  return owners;
}

class EtcdOutage : public testing::Test {
 protected:
  void SetUp() override {
    auto started = TestCluster::Start();
    ASSERT_TRUE(started.ok());
    cluster_ = *std::move(started);
    client_ = cluster_->MakeClient();
    ASSERT_NE(client_, nullptr);
  }
  // Writes and reads for so long; how many failed.
  int Work(Ledger& ledger, absl::Duration length) {
    int failed = 0;
    const absl::Time until = absl::Now() + length;
    for (int key = 0; absl::Now() < until; key = (key + 1) % ledger.size()) {
      failed += ledger.Set(*client_, key) ? 0 : 1;
      const std::string verdict = ledger.Check(*client_, key, absl::ZeroDuration());
      EXPECT_EQ(verdict, "");
      failed += verdict.empty() ? 0 : 1;
    }
    return failed;
  }

  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<Client> client_;
};

TEST_F(EtcdOutage, ReadsAndWritesGoOnAndNobodyIsDeclaredDead) {
  Ledger ledger("outage/", 1'000);
  EXPECT_EQ(Work(ledger, absl::Seconds(1)), 0);
  const auto before = Owners(*cluster_->MakeAdminClient());
  ASSERT_EQ(before.size(), 4096u);

  cluster_->etcd().Kill();
  EXPECT_EQ(Work(ledger, kOutage), 0);
  EXPECT_TRUE(test::WaitUntil(
      [&] {
        const auto health = cluster_->MakeAdminClient(0)->Health();
        return health.ok() && !health->coordinator_up && health->serving;
      },
      absl::Seconds(20)));

  const absl::Status restarted = cluster_->etcd().Restart();
  ASSERT_TRUE(restarted.ok()) << restarted;
  // Through the time in which a mass death would be declared.
  EXPECT_EQ(Work(ledger, kOutage), 0);
  const absl::Status healthy = cluster_->WaitHealthy();
  ASSERT_TRUE(healthy.ok()) << healthy;
  EXPECT_EQ(Owners(*cluster_->MakeAdminClient()), before);

  // Control is back: a death is seen and mended.
  cluster_->Kill(0);
  const absl::Status serving = cluster_->WaitServing();
  ASSERT_TRUE(serving.ok()) << serving;
  EXPECT_EQ(ledger.CheckAll(*client_, absl::Seconds(30)), "");
}

TEST_F(EtcdOutage, AClusterWhoseEtcdIsGoneStopsCleanlyAndComesBackWarm) {
  Ledger ledger("stop/", 500);
  for (int key = 0; key < ledger.size(); ++key) {
    ASSERT_TRUE(ledger.Set(*client_, key));
  }
  client_.reset();
  cluster_->etcd().Kill();
  const auto code = cluster_->StopAll();
  ASSERT_TRUE(code.ok()) << code.status();
  EXPECT_EQ(*code, 0);
  ASSERT_TRUE(cluster_->etcd().Restart().ok());
  ASSERT_TRUE(cluster_->RestartAll().ok());
  const absl::Status healthy = cluster_->WaitHealthy(absl::Minutes(2));
  ASSERT_TRUE(healthy.ok()) << healthy;
  EXPECT_EQ(ledger.CheckAll(*cluster_->MakeClient()), "");
}

}  // namespace
}  // namespace atoll
