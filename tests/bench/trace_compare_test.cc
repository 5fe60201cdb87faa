#include "bench/trace_compare.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "bench/trace_peers.h"

namespace atoll::bench {
namespace {

TEST(CachePolicies, HoldNoMoreThanTheirCapacityAndWhatFits) {
  for (const PolicyKind kind : kPolicies) {
    SCOPED_TRACE(PolicyName(kind));
    const auto small = NewPolicy(kind, 10);
    for (uint64_t key = 0; key < 10; ++key) EXPECT_FALSE(small->Access(key, 1));
    for (uint64_t key = 0; key < 10; ++key) EXPECT_TRUE(small->Access(key, 1));
    EXPECT_FALSE(small->Access(100, 11));
    EXPECT_EQ(small->used(), 10u);

    const auto busy = NewPolicy(kind, 1000);
    std::mt19937_64 random(1);
    for (int i = 0; i < 50'000; ++i) {
      const uint64_t key = random() % 5000;
      busy->Access(key, 1 + key % 50);
      ASSERT_LE(busy->used(), 1000u);
    }
    EXPECT_GE(busy->used(), 950u);
  }
}

TEST(CachePolicies, LruDropsTheLeastRecentlyRead) {
  LruCache cache(2);
  cache.Access(1, 1);
  cache.Access(2, 1);
  EXPECT_TRUE(cache.Access(1, 1));
  cache.Access(3, 1);
  EXPECT_TRUE(cache.Access(1, 1));
  EXPECT_FALSE(cache.Access(2, 1));
}

TEST(CachePolicies, SegmentedLruKeepsWhatWasReadTwiceThroughAScan) {
  SegmentedLruCache cache(100);
  for (int round = 0; round < 3; ++round) {
    for (uint64_t key = 0; key < 10; ++key) cache.Access(key, 1);
  }
  for (uint64_t key = 1000; key < 1150; ++key) cache.Access(key, 1);
  // One or two age out of WARM, as long as COLD is young itself.
  int kept = 0;
  for (uint64_t key = 0; key < 10; ++key) kept += cache.Access(key, 1) ? 1 : 0;
  EXPECT_GE(kept, 8);
}

TEST(CachePolicies, SampledLruComesCloseToLru) {
  std::mt19937_64 random(2);
  LruCache lru(1000);
  SampledLruCache sampled(1000);
  int lru_misses = 0;
  int sampled_misses = 0;
  for (int i = 0; i < 200'000; ++i) {
    const double u = static_cast<double>(random() >> 11) / 9007199254740992.0;
    const auto key = static_cast<uint64_t>(std::exp(u * std::log(1e5)));
    lru_misses += lru.Access(key, 1) ? 0 : 1;
    sampled_misses += sampled.Access(key, 1) ? 0 : 1;
  }
  EXPECT_NEAR(static_cast<double>(sampled_misses) / lru_misses, 1.0, 0.03);
}

// The figures that the policy stands for, on what of the traces takes a second. They are exact: a
// policy and a trace have no noise.
TEST(StorePolicy, MissesLessThanItsPeersOverWebTraces) {
  double fewer_than_memcached = 0;
  double fewer_than_redis = 0;
  int cells = 0;
  for (const char* name : {"/cache2k_web07.trace.xz", "/cache2k_web12.trace.xz"}) {
    SCOPED_TRACE(name);
    const auto trace = ReadTrace(std::string(ATOLL_TRACES) + name);
    ASSERT_TRUE(trace.ok()) << trace.status();
    const TraceExtent extent = ExtentOf(*trace);
    for (const uint64_t percent : {1, 5, 10, 20}) {
      const auto miss_ratio = [&](PolicyKind kind) {
        return MissRatio(*NewPolicy(kind, extent.weight * percent / 100), *trace);
      };
      const double ours = miss_ratio(PolicyKind::kAtoll);
      fewer_than_memcached += 1 - ours / miss_ratio(PolicyKind::kMemcached);
      fewer_than_redis += 1 - ours / miss_ratio(PolicyKind::kRedis);
      EXPECT_LE(ours, miss_ratio(PolicyKind::kLru) * 1.035);
      ++cells;
    }
  }
  EXPECT_GE(fewer_than_memcached / cells, 0.03);
  EXPECT_GE(fewer_than_redis / cells, 0.07);
}

TEST(StorePolicy, AtTheGrainOfSegmentsMissesAsAtTheGrainOfEntries) {
  constexpr uint64_t kMemory = uint64_t{64} << 20;
  std::mt19937_64 random(3);
  std::vector<TraceRequest> trace;
  for (int i = 0; i < 1'500'000; ++i) {
    const double u = static_cast<double>(random() >> 11) / 9007199254740992.0;
    const auto key = static_cast<uint64_t>(std::exp(u * std::log(3e6)));
    trace.push_back({key, static_cast<uint32_t>(100 + key * 7919 % 900)});
  }
  const double policy = MissRatio(*NewPolicy(PolicyKind::kAtoll, kMemory), trace, 500'000);
  const auto engine = EngineMissRatio(kMemory, trace, 500'000);
  ASSERT_TRUE(engine.ok()) << engine.status();
  // The engine's headers and index come out of the same memory.
  EXPECT_LE(*engine, policy + 0.01);
  EXPECT_GE(*engine, policy);
}

}  // namespace
}  // namespace atoll::bench
