// Latencies of a whole run, in a fixed amount of memory.
//
// Buckets are 1/64 of a power of two wide, so a quantile is at most 1.6% above the truth. Each
// thread of a run keeps its own and they are merged at the end.
//
// Thread safety: none.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace atoll::bench {

class Histogram {
 public:
  void Record(absl::Duration latency);
  void Merge(const Histogram& other);

  uint64_t count() const { return count_; }
  absl::Duration max() const { return absl::Nanoseconds(max_ns_); }
  absl::Duration Mean() const;
  // The least latency that `share` (0-1) of the records do not exceed; zero if there are none.
  absl::Duration Quantile(double share) const;

 private:
  static constexpr int kSubBits = 6;
  static constexpr size_t kBuckets = (64 - kSubBits + 1) << kSubBits;
  static size_t BucketOf(uint64_t ns);
  static uint64_t UpperBound(size_t bucket);

  std::array<uint64_t, kBuckets> buckets_{};
  uint64_t count_ = 0;
  uint64_t sum_ns_ = 0;
  uint64_t max_ns_ = 0;
};

}  // namespace atoll::bench
