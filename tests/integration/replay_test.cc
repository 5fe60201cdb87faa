// A real trace, look-aside, against three real nodes: every value is right, and the hit ratio is
// the one that a plain simulation of the same capacity has.
#include "bench/replay.h"

#include <gtest/gtest.h>

#include "absl/status/statusor.h"
#include "bench/client_target.h"
#include "bench/simulated_cache.h"
#include "bench/trace.h"
#include "client/include/atoll/admin.h"
#include "client/include/atoll/client.h"
#include "tests/support/test_cluster.h"

namespace atoll {
namespace {

double Simulate(const std::vector<bench::TraceRequest>& trace, uint64_t entries) {
  bench::SimulatedCache cache(entries);
  uint64_t hits = 0;
  for (const bench::TraceRequest& request : trace) hits += cache.Access(request.key, 1) ? 1 : 0;
  return static_cast<double>(hits) / static_cast<double>(trace.size());
}

class ReplayAgainstACluster : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<std::vector<bench::TraceRequest>> trace =
        bench::ReadTrace(ATOLL_TRACES "/cache2k_web07.trace.xz");
    ASSERT_TRUE(trace.ok()) << trace.status();
    trace_ = *std::move(trace);
    absl::StatusOr<std::unique_ptr<test::TestCluster>> cluster =
        test::TestCluster::Start({.data_folders = false});
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    client_ = cluster_->MakeClient();
    ASSERT_NE(client_, nullptr);
  }

  bench::ReplayResult Replay(uint32_t value_bytes) {
    bench::ClientTarget target(*client_, "", std::nullopt);
    return bench::Replay(trace_, {.threads = 4, .value_bytes = value_bytes}, target);
  }

  // Different keys that the cluster holds: each is there as often as it has copies.
  uint64_t DifferentItems() {
    std::unique_ptr<AdminClient> admin = cluster_->MakeAdminClient();
    const absl::StatusOr<std::vector<NodeAnswer>> answers = admin->Stats();
    EXPECT_TRUE(answers.ok()) << answers.status();
    if (!answers.ok()) return 0;
    uint64_t items = 0;
    for (const NodeAnswer& answer : *answers) {
      EXPECT_TRUE(answer.stats.ok()) << answer.stats.status();
      if (answer.stats.ok()) items += answer.stats->items;
    }
    return items / 2;
  }

  std::vector<bench::TraceRequest> trace_;
  std::unique_ptr<test::TestCluster> cluster_;
  std::unique_ptr<Client> client_;
};

TEST_F(ReplayAgainstACluster, EverythingFitsAndEveryRepeatedRequestIsAHit) {
  const bench::ReplayResult result = Replay(200);
  EXPECT_EQ(result.errors, 0u) << result.first_error;
  EXPECT_EQ(result.wrong, 0u);
  EXPECT_NEAR(result.hit_ratio(), Simulate(trace_, trace_.size()), 0.02);
  EXPECT_EQ(DifferentItems(), 20'484u);
}

TEST_F(ReplayAgainstACluster, UnderEvictionItHitsAsOftenAsASimulationOfTheSameCapacity) {
  // 20,484 keys of 8,000 B are 156 MiB; three nodes of 64 MiB with two copies hold less than 96.
  const bench::ReplayResult result = Replay(8000);
  EXPECT_EQ(result.errors, 0u) << result.first_error;
  EXPECT_EQ(result.wrong, 0u);
  const uint64_t capacity = DifferentItems();
  EXPECT_LT(capacity, 13'000u);
  EXPECT_GT(capacity, 5'000u);
  EXPECT_NEAR(result.hit_ratio(), Simulate(trace_, capacity), 0.02)
      << "with room for " << capacity << " entries";
}

}  // namespace
}  // namespace atoll
