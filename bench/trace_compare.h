// A trace through several eviction policies, and through the memory engine itself.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "bench/simulated_cache.h"
#include "bench/trace.h"

namespace atoll::bench {

enum class PolicyKind : uint8_t { kAtoll, kMemcached, kRedis, kLru };
inline constexpr PolicyKind kPolicies[] = {PolicyKind::kAtoll, PolicyKind::kMemcached,
                                           PolicyKind::kRedis, PolicyKind::kLru};

std::string_view PolicyName(PolicyKind kind);
std::unique_ptr<CachePolicy> NewPolicy(PolicyKind kind, uint64_t capacity);

// What a request weighs: its bytes, or 1 where the trace knows none.
inline uint64_t WeightOf(const TraceRequest& request) {
  return request.size == 0 ? 1 : request.size;
}

// Of all different keys together, each at its first size.
struct TraceExtent {
  uint64_t keys = 0;
  uint64_t weight = 0;
};
TraceExtent ExtentOf(absl::Span<const TraceRequest> trace);

// Misses over requests, of the requests from `counted_from` on.
double MissRatio(CachePolicy& policy, absl::Span<const TraceRequest> trace,
                 size_t counted_from = 0);

// The same of an engine with `memory_bytes`, which takes its overhead out of them: keys of 8 bytes,
// the rest of a request's size is the value. INVALID_ARGUMENT as Store::Create.
absl::StatusOr<double> EngineMissRatio(uint64_t memory_bytes, absl::Span<const TraceRequest> trace,
                                       size_t counted_from = 0);

}  // namespace atoll::bench
