#include "bench/trace_compare.h"

#include <algorithm>
#include <array>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "base/hash.h"
#include "bench/trace_peers.h"
#include "server/store/store.h"

namespace atoll::bench {

std::string_view PolicyName(PolicyKind kind) {
  switch (kind) {
    case PolicyKind::kAtoll:
      return "atoll";
    case PolicyKind::kMemcached:
      return "memcached";
    case PolicyKind::kRedis:
      return "redis";
    case PolicyKind::kLru:
      return "lru";
  }
  return "";
}

std::unique_ptr<CachePolicy> NewPolicy(PolicyKind kind, uint64_t capacity) {
  switch (kind) {
    case PolicyKind::kAtoll:
      return std::make_unique<SimulatedCache>(capacity);
    case PolicyKind::kMemcached:
      return std::make_unique<SegmentedLruCache>(capacity);
    case PolicyKind::kRedis:
      return std::make_unique<SampledLruCache>(capacity);
    case PolicyKind::kLru:
      return std::make_unique<LruCache>(capacity);
  }
  return nullptr;
}

TraceExtent ExtentOf(absl::Span<const TraceRequest> trace) {
  absl::flat_hash_set<uint64_t> seen;
  TraceExtent extent;
  for (const TraceRequest& request : trace) {
    if (seen.insert(request.key).second) extent.weight += WeightOf(request);
  }
  extent.keys = seen.size();
  return extent;
}

double MissRatio(CachePolicy& policy, absl::Span<const TraceRequest> trace, size_t counted_from) {
  uint64_t misses = 0;
  for (size_t i = 0; i < trace.size(); ++i) {
    const bool hit = policy.Access(trace[i].key, WeightOf(trace[i]));
    misses += !hit && i >= counted_from ? 1 : 0;
  }
  return static_cast<double>(misses) /
         static_cast<double>(std::max<size_t>(trace.size() - counted_from, 1));
}

absl::StatusOr<double> EngineMissRatio(uint64_t memory_bytes, absl::Span<const TraceRequest> trace,
                                       size_t counted_from) {
  base::FakeClock clock;  // nothing expires
  auto store = store::Store::Create({.memory_bytes = memory_bytes, .clock = &clock});
  if (!store.ok()) return store.status();
  (*store)->NameNamespace(base::NamespaceId(1), "trace");
  for (uint32_t p = 0; p < base::kPartitionCount; ++p) {
    const base::PartitionId id(static_cast<uint16_t>(p));
    (*store)->OpenPartition(id);
    (*store)->SetCommitted(id, base::Version(~uint64_t{0}));
  }
  uint64_t misses = 0;
  uint64_t version = 0;
  store::ReadBuffer buffer;
  const std::string bytes(store::kMaxValueBytes, 'v');
  for (size_t i = 0; i < trace.size(); ++i) {
    const std::string_view name(reinterpret_cast<const char*>(&trace[i].key), sizeof(uint64_t));
    const store::Key key{base::NamespaceId(1), name, base::HashKey("trace", name)};
    buffer.Reset();
    if ((*store)->Find(key, {}, buffer).presence == store::Presence::kPresent) continue;
    misses += i >= counted_from ? 1 : 0;
    const uint64_t size = WeightOf(trace[i]);
    const std::string_view value(bytes.data(),
                                 std::min(size - std::min(size, name.size()), bytes.size()));
    (*store)->Put(key, {.version = base::Version(++version)}, absl::MakeConstSpan(&value, 1));
  }
  return static_cast<double>(misses) /
         static_cast<double>(std::max<size_t>(trace.size() - counted_from, 1));
}

}  // namespace atoll::bench
