// The loads under which Atoll is compared with memcached and Redis.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace atoll::bench {

struct LoadSpec {
  std::string name;
  // Operations outstanding, and keys in each.
  uint32_t outstanding = 1;
  uint32_t batch = 1;
  double read_share = 1;
  // Atoll: asynchronous instead of a blocking thread for each operation. Others: over few
  // connections instead of a connection and a thread for each.
  bool async = false;
  // A large value instead of the small ones.
  bool large = false;
  // Compared by the inverse of the median latency instead of by throughput.
  bool by_latency = false;

  uint32_t OutstandingKeys() const { return outstanding * batch; }
  bool reads() const { return read_share >= 0.5; }
};

// blocking_64, async_256, async_1024, multiget_100, multiset_100, lone_1, value_1m.
const std::vector<LoadSpec>& CompareLoads();
// cluster_get, cluster_get90, cluster_set: Atoll alone, on three nodes.
const std::vector<LoadSpec>& ClusterLoads();

// Of the keys; names of large ones begin with kLargePrefix.
struct CompareSizes {
  uint64_t keys = 1'000'000;
  uint32_t value_bytes = 100;
  uint64_t large_keys = 64;
  uint32_t large_bytes = 1 << 20;
  // Every entry has one, in every cache.
  uint32_t ttl_seconds = 86'400;
};
inline constexpr char kLargePrefix[] = "large:";

}  // namespace atoll::bench
