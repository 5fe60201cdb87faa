// What it costs to find a key's owner, beside hashing the key; and to plan a cluster's placement.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "base/hash.h"
#include "ring/placement.h"
#include "ring/placement_map.h"

namespace atoll::ring {
namespace {

PlacementMap MakeMap(int nodes) {
  PlacementMap map;
  map.replication_factor = 3;
  for (int i = 0; i < nodes; ++i) {
    Member member;
    member.name = "node-" + std::to_string(1000 + i);
    member.incarnation = base::Incarnation(static_cast<uint64_t>(i) + 1);
    map.members.push_back(member);
  }
  return FirstAssignment(map, 1);
}

std::vector<std::string> MakeKeys() {
  constexpr int kKeys = 65'536;
  std::vector<std::string> keys;
  keys.reserve(kKeys);
  for (int i = 0; i < kKeys; ++i) keys.push_back("user:" + std::to_string(i * 7919) + ":profile");
  return keys;
}

void HashOfKey(benchmark::State& state) {
  const std::vector<std::string> keys = MakeKeys();
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(base::HashKey("default", keys[++i & 65'535]));
  }
}
BENCHMARK(HashOfKey);

void HashAndOwnerOfKey(benchmark::State& state) {
  const std::vector<std::string> keys = MakeKeys();
  const PlacementMap map = MakeMap(static_cast<int>(state.range(0)));
  size_t i = 0;
  for (auto _ : state) {
    const uint64_t hash = base::HashKey("default", keys[++i & 65'535]);
    benchmark::DoNotOptimize(map.at(base::PartitionOfHash(hash)).primary);
  }
}
BENCHMARK(HashAndOwnerOfKey)->Arg(3)->Arg(100);

void OwnerOfHash(benchmark::State& state) {
  const PlacementMap map = MakeMap(static_cast<int>(state.range(0)));
  uint64_t hash = 1;
  for (auto _ : state) {
    hash = hash * 6364136223846793005u + 1442695040888963407u;
    benchmark::DoNotOptimize(map.at(base::PartitionOfHash(hash)).primary);
  }
}
BENCHMARK(OwnerOfHash)->Arg(3)->Arg(100);

void FirstAssignmentOfNodes(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(MakeMap(static_cast<int>(state.range(0))));
}
BENCHMARK(FirstAssignmentOfNodes)->Arg(3)->Arg(10)->Arg(100)->Unit(benchmark::kMillisecond);

void RebalanceOfSettledMap(benchmark::State& state) {
  const PlacementMap map = MakeMap(static_cast<int>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(Rebalance(map));
}
BENCHMARK(RebalanceOfSettledMap)->Arg(3)->Arg(100)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace atoll::ring
