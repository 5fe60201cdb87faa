#include "bench/compare/redis_benchmark.h"

#include <gtest/gtest.h>

#include <string>

namespace atoll::bench {
namespace {

constexpr char kNames[] =
    R"("test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms",)"
    R"("p99_latency_ms","max_latency_ms")";

TEST(RedisBenchmark, ReadsItsTable) {
  const auto figures = ParseRedisBenchmark(
      std::string(kNames) + "\n" +
      R"("GET key:0000__rand_int__","526315.81","0.214","0.040","0.199","0.327","0.423","1.663")" +
      "\n");
  ASSERT_TRUE(figures.ok()) << figures.status();
  EXPECT_DOUBLE_EQ(figures->requests_per_second, 526315.81);
  EXPECT_DOUBLE_EQ(figures->p50_us, 199);
  EXPECT_DOUBLE_EQ(figures->p99_us, 423);
}

TEST(RedisBenchmark, RefusesWhatIsNoTableOfIts) {
  const std::string names = kNames;
  for (const std::string& bad :
       {std::string(), names, names + "\n\"GET\"\n", names + "\n\"GET\",\"0.00\"\n",
        std::string("Could not connect to Redis\nat 127.0.0.1\n"),
        names + "\n\"GET\",\"nan?\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\"\n"}) {
    SCOPED_TRACE(bad);
    EXPECT_EQ(ParseRedisBenchmark(bad).status().code(), absl::StatusCode::kInternal);
  }
}

}  // namespace
}  // namespace atoll::bench
