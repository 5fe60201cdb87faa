// Replays a trace look-aside in batches, for miss ratios: what a cache answers is what it holds,
// however fast it is. Also finds the limit under which a cache takes so much memory.
//
// A batch ends before a key that it has already, so that a key's second request meets what its
// first one stored, as one by one.
//
// Thread safety: none.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "bench/peers/connection.h"
#include "bench/trace.h"

namespace atoll::bench {

// The cache under the replay.
class LookAsideTarget {
 public:
  virtual ~LookAsideTarget() = default;
  // As many places as keys; nullopt is a miss.
  virtual absl::StatusOr<std::vector<std::optional<std::string>>> GetMany(
      absl::Span<const std::string> keys) = 0;
  // How many of them the cache refused for want of memory.
  virtual absl::StatusOr<uint64_t> SetMany(absl::Span<const PeerItem> items) = 0;
};

struct LookAsideOptions {
  size_t batch = 100;
  // Bytes of a value where the trace does not say.
  uint32_t value_bytes = 1000;
  // Called after each batch.
  std::function<void(uint64_t done)> progress;
};

struct LookAsideResult {
  uint64_t requests = 0;
  uint64_t misses = 0;
  // Of the trace's second half, when the cache is full.
  uint64_t late_requests = 0;
  uint64_t late_misses = 0;
  uint64_t refused = 0;
  // Values that were not what was stored under their key.
  uint64_t wrong = 0;

  double miss_ratio() const { return Ratio(misses, requests); }
  double late_miss_ratio() const { return Ratio(late_misses, late_requests); }

 private:
  static double Ratio(uint64_t part, uint64_t of) {
    return of == 0 ? 0 : static_cast<double>(part) / static_cast<double>(of);
  }
};

absl::StatusOr<LookAsideResult> LookAside(absl::Span<const TraceRequest> trace,
                                          const LookAsideOptions& options, LookAsideTarget& target);

// Finds the largest limit, in MiB, under which a cache takes no more than `goal_bytes`, by trying.
//
//     LimitSearch search(goal, least);
//     while (!search.done()) search.Tried(bytes taken with search.next_mib());
class LimitSearch {
 public:
  // What a measurement may be over the goal: memory comes in slabs and segments.
  static constexpr double kTolerance = 1.01;

  LimitSearch(uint64_t goal_bytes, uint64_t least_mib);
  bool done() const { return done_; }
  uint64_t next_mib() const { return next_; }
  // Whether this try is the best one yet.
  bool Tried(uint64_t bytes);

 private:
  static constexpr int kMostTries = 6;
  const uint64_t goal_;
  const uint64_t least_;
  uint64_t next_;
  // The largest that was known to fit, and the least known not to; 0: none.
  uint64_t fits_ = 0;
  uint64_t too_large_ = 0;
  int tries_ = 0;
  bool done_ = false;
};

}  // namespace atoll::bench
