#include "bench/compare/loads.h"

namespace atoll::bench {

const std::vector<LoadSpec>& CompareLoads() {
  static const auto* const loads = new std::vector<LoadSpec>{
      {.name = "blocking_64", .outstanding = 64},
      {.name = "async_256", .outstanding = 256, .async = true},
      {.name = "async_1024", .outstanding = 1024, .async = true},
      {.name = "multiget_100", .outstanding = 4, .batch = 100, .async = true},
      {.name = "multiset_100", .outstanding = 4, .batch = 100, .read_share = 0, .async = true},
      {.name = "lone_1", .outstanding = 1, .by_latency = true},
      {.name = "value_1m", .outstanding = 4, .async = true, .large = true},
  };
  return *loads;
}

const std::vector<LoadSpec>& ClusterLoads() {
  static const auto* const loads = new std::vector<LoadSpec>{
      {.name = "cluster_get", .outstanding = 256, .async = true},
      {.name = "cluster_get90", .outstanding = 256, .read_share = 0.9, .async = true},
      {.name = "cluster_set", .outstanding = 256, .read_share = 0, .async = true},
  };
  return *loads;
}

}  // namespace atoll::bench
