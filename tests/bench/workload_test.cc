#include "bench/workload.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace atoll::bench {
namespace {

TEST(Workload, ZipfDrawsEachRankAsOftenAsItsWeight) {
  for (const double exponent : {0.5, 0.99, 1.0, 1.3}) {
    SCOPED_TRACE(exponent);
    constexpr uint64_t kKeys = 1000;
    constexpr int kDraws = 400'000;
    Workload workload(
        {.keys = kKeys, .distribution = Distribution::kZipf, .zipf_exponent = exponent, .seed = 42},
        0);
    std::vector<int> drawn(kKeys);
    for (int i = 0; i < kDraws; ++i) ++drawn.at(workload.NextKey());
    double sum = 0;
    for (uint64_t rank = 1; rank <= kKeys; ++rank) {
      sum += std::pow(static_cast<double>(rank), -exponent);
    }
    for (const uint64_t rank : {1, 2, 10, 100}) {
      const double expected = kDraws * std::pow(static_cast<double>(rank), -exponent) / sum;
      EXPECT_NEAR(drawn[rank - 1], expected, 6 * std::sqrt(expected)) << "rank " << rank;
    }
  }
}

TEST(Workload, UniformStaysWithinTheKeysAndReachesThemAll) {
  Workload workload({.keys = 10, .seed = 1}, 0);
  std::vector<int> drawn(10);
  for (int i = 0; i < 1000; ++i) ++drawn.at(workload.NextKey());
  for (const int count : drawn) EXPECT_GT(count, 0);
}

TEST(Workload, TheSameSeedDrawsTheSame) {
  Workload a({.keys = 1000, .seed = 5}, 3);
  Workload b({.keys = 1000, .seed = 5}, 3);
  Workload other({.keys = 1000, .seed = 5}, 4);
  int same = 0;
  for (int i = 0; i < 100; ++i) {
    const uint64_t key = a.NextKey();
    EXPECT_EQ(key, b.NextKey());
    same += key == other.NextKey() ? 1 : 0;
  }
  EXPECT_LT(same, 20);
}

TEST(OperationDrawer, DrawsAsManyDifferentKeysAsTheWorkloadHasUnderTheirPrefix) {
  const std::string value(8, 'v');
  OperationDrawer drawer({.keys = 3,
                          .key_prefix = "p:",
                          .value_bytes = 5,
                          .max_value_bytes = 8,
                          .read_share = 0.5,
                          .batch = 4},
                         0, value);
  const std::set<std::string> names = {"p:" + WorkloadKey(0), "p:" + WorkloadKey(1),
                                       "p:" + WorkloadKey(2)};
  std::set<std::string> drawn;
  int reads = 0;
  for (int i = 0; i < 100; ++i) {
    const DrawnOperation operation = drawer.Next();
    ASSERT_EQ(operation.keys.size(), 4u);
    drawn.insert(operation.keys.begin(), operation.keys.end());
    reads += operation.read ? 1 : 0;
    if (operation.read) continue;
    EXPECT_GE(operation.value.size(), 5u);
    EXPECT_LE(operation.value.size(), 8u);
  }
  EXPECT_EQ(drawn, names);
  EXPECT_GT(reads, 20);
  EXPECT_LT(reads, 80);
}

TEST(WorkloadKey, IsScatteredAndHasTwentyBytes) {
  EXPECT_EQ(WorkloadKey(0), "key:0000000000000000");
  EXPECT_EQ(WorkloadKey(1), "key:9e3779b97f4a7c15");
}

TEST(WorkloadOptions, ValidateNamesTheOptionAndItsLimit) {
  EXPECT_TRUE(WorkloadOptions().Validate().ok());
  EXPECT_EQ(WorkloadOptions{.batch = 10'001}.Validate().message(), "batch: 10001, 1-10,000");
  EXPECT_FALSE(WorkloadOptions{.read_share = 1.5}.Validate().ok());
  EXPECT_FALSE(WorkloadOptions{.keys = 0}.Validate().ok());
  EXPECT_FALSE(WorkloadOptions{.zipf_exponent = 0}.Validate().ok());
  EXPECT_FALSE((WorkloadOptions{.value_bytes = 9, .max_value_bytes = 8}).Validate().ok());
  EXPECT_FALSE(WorkloadOptions{.value_bytes = (64 << 20) + 1}.Validate().ok());
  EXPECT_FALSE(WorkloadOptions{.key_prefix = std::string(1001, 'p')}.Validate().ok());
}

}  // namespace
}  // namespace atoll::bench
