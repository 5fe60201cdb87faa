// Look-ups and writes of the memory engine beside a hash map behind shard mutexes.
//
// store_benchmark --benchmark_filter=... ; figures in docs/performance.md are medians of one run.
#include <benchmark/benchmark.h>

#include <array>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/hash.h"
#include "base/strings.h"
#include "bench/nanos.h"
#include "server/store/store.h"

namespace atoll::store {
namespace {

constexpr size_t kItems = 1'000'000;
constexpr size_t kBatch = 100;
constexpr base::NamespaceId kNamespace{1};

std::string KeyOf(size_t i) {
  std::string key = "key:" + std::to_string(i * 2654435761u % 1'000'000'007u);
  key.resize(24, '.');
  return key;
}

const std::vector<std::string>& Keys() {
  static const auto* const keys = [] {
    auto* all = new std::vector<std::string>;
    for (size_t i = 0; i < kItems; ++i) all->push_back(KeyOf(i));
    return all;
  }();
  return *keys;
}

Key Make(const std::string& key) { return {kNamespace, key, base::HashKey("default", key)}; }

std::unique_ptr<Store> NewStore(uint64_t memory_bytes) {
  StoreOptions options;
  options.memory_bytes = memory_bytes;
  options.clock = &base::Clock::Real();
  auto store = *Store::Create(options);
  store->NameNamespace(kNamespace, "default");
  for (uint32_t p = 0; p < base::kPartitionCount; ++p) {
    store->OpenPartition(base::PartitionId(static_cast<uint16_t>(p)));
    store->SetCommitted(base::PartitionId(static_cast<uint16_t>(p)), base::Version(~uint64_t{0}));
  }
  return store;
}

std::unique_ptr<Store> FilledStore() {
  auto store = NewStore(uint64_t{512} << 20);
  const std::string value(100, 'v');
  const std::string_view piece = value;
  uint64_t version = 0;
  for (const std::string& key : Keys()) {
    store->Put(Make(key), {.version = base::Version(++version)}, absl::MakeConstSpan(&piece, 1));
    // As a node's housekeeping thread does.
    if (version % 64 == 0) store->Maintain();
  }
  return store;
}

Store& Filled() {
  static Store* const store = FilledStore().release();
  return *store;
}

using StringMap = absl::flat_hash_map<std::string, std::string>;
struct MapShard {
  std::mutex mu;
  StringMap map;
};
using Map = std::array<MapShard, 1024>;

size_t HashOf(std::string_view key) { return StringMap::hasher()(base::AsAbsl(key)); }
MapShard& ShardOf(Map& map, size_t hash) { return map[hash >> 54]; }

Map& FilledMap() {
  static Map* const map = [] {
    auto* filled = new Map;
    for (const std::string& key : Keys()) {
      ShardOf(*filled, HashOf(key)).map.emplace(key, std::string(100, 'v'));
    }
    return filled;
  }();
  return *map;
}

// Times look-ups of batches, in CPU time of the thread, hashing among it, and not what it takes to
// draw the keys: they lie in a message that was just read.
using Bytes = std::vector<std::string>;
template <typename FindAll>
void FindBatches(benchmark::State& state, FindAll find_all) {
  std::mt19937_64 random(static_cast<uint64_t>(state.thread_index()));
  ReadBuffer buffer;
  std::vector<std::string> bytes(kBatch);
  std::vector<Found> found(kBatch);
  for (auto _ : state) {
    for (std::string& key : bytes) key = Keys()[random() % kItems];
    buffer.Reset();
    const int64_t begin = bench::ThreadNanos();
    find_all(bytes, buffer, absl::MakeSpan(found));
    state.SetIterationTime(static_cast<double>(bench::ThreadNanos() - begin) * 1e-9);
    benchmark::DoNotOptimize(found.data());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kBatch));
}

void BM_StoreFindBatch(benchmark::State& state) {
  Store& store = Filled();
  std::vector<Key> keys(kBatch);
  FindBatches(state, [&](const Bytes& bytes, ReadBuffer& buffer, absl::Span<Found> found) {
    for (size_t i = 0; i < kBatch; ++i) keys[i] = Make(bytes[i]);
    store.FindBatch(keys, {}, buffer, found);
  });
}
BENCHMARK(BM_StoreFindBatch)->UseManualTime();

void BM_FlatHashMapFindBatch(benchmark::State& state) {
  Map& map = FilledMap();
  FindBatches(state, [&](const Bytes& keys, ReadBuffer& buffer, absl::Span<Found> found) {
    for (size_t i = 0; i < keys.size(); ++i) {
      const size_t hash = HashOf(keys[i]);
      MapShard& shard = ShardOf(map, hash);
      const std::lock_guard<std::mutex> lock(shard.mu);
      const auto it = shard.map.find(base::AsAbsl(keys[i]), hash);
      if (it != shard.map.end()) found[i].value = Value(buffer.Copy(it->second));
    }
  });
}
BENCHMARK(BM_FlatHashMapFindBatch)->UseManualTime();

void Mixed(benchmark::State& state, Store& store) {
  std::mt19937_64 random(static_cast<uint64_t>(state.thread_index()) + 5);
  ReadBuffer buffer;
  std::vector<Key> keys(kBatch);
  std::vector<Found> found(kBatch);
  const std::string value(100, 'w');
  const std::string_view piece = value;
  static std::atomic<uint64_t> version{kItems};
  for (auto _ : state) {
    for (Key& key : keys) key = Make(Keys()[random() % kItems]);
    buffer.Reset();
    const auto reads = absl::MakeConstSpan(keys).subspan(5);
    store.FindBatch(reads, {}, buffer, absl::MakeSpan(found).subspan(5));
    const uint64_t from = version.fetch_add(5, std::memory_order_relaxed);
    for (size_t i = 0; i < 5; ++i) {
      store.Put(keys[i], {.version = base::Version(from + i)}, absl::MakeConstSpan(&piece, 1));
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kBatch));
}

// 95% reads, two threads: one engine, and one for each.
void BM_MixedOneEngine(benchmark::State& state) { Mixed(state, Filled()); }
BENCHMARK(BM_MixedOneEngine)->Threads(1)->Threads(2)->UseRealTime();

void BM_MixedOwnEngine(benchmark::State& state) {
  static std::array<Store*, 2> stores = {&Filled(), FilledStore().release()};
  Mixed(state, *stores[static_cast<size_t>(state.thread_index())]);
}
BENCHMARK(BM_MixedOwnEngine)->Threads(2)->UseRealTime();

void BM_PutWithEviction(benchmark::State& state) {
  static Store* const store = NewStore(uint64_t{64} << 20).release();
  const std::string value(100, 'v');
  const std::string_view piece = value;
  static uint64_t n = 0;
  std::string key(24, 'k');
  for (auto _ : state) {
    ++n;
    std::memcpy(key.data(), &n, sizeof(n));
    store->Put(Make(key), {.version = base::Version(n)}, absl::MakeConstSpan(&piece, 1));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_PutWithEviction);

}  // namespace
}  // namespace atoll::store
