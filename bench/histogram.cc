#include "bench/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace atoll::bench {

// Below 2^kSubBits a bucket is one nanosecond; above, the leading bit picks the group and the next
// kSubBits bits the bucket in it.
size_t Histogram::BucketOf(uint64_t ns) {
  if (ns < (uint64_t{1} << kSubBits)) return ns;
  const int shift = static_cast<int>(std::bit_width(ns)) - 1 - kSubBits;
  return (static_cast<size_t>(shift) << kSubBits) + (ns >> shift);
}

uint64_t Histogram::UpperBound(size_t bucket) {
  if (bucket < (size_t{1} << kSubBits)) return bucket;
  const size_t shift = (bucket >> kSubBits) - 1;
  const uint64_t mantissa = bucket - (shift << kSubBits);
  return ((mantissa + 1) << shift) - 1;
}

void Histogram::Record(absl::Duration latency) {
  const auto ns = static_cast<uint64_t>(std::max<int64_t>(0, absl::ToInt64Nanoseconds(latency)));
  ++buckets_[BucketOf(ns)];
  ++count_;
  sum_ns_ += ns;
  max_ns_ = std::max(max_ns_, ns);
}

void Histogram::Merge(const Histogram& other) {
  for (size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ns_ += other.sum_ns_;
  max_ns_ = std::max(max_ns_, other.max_ns_);
}

absl::Duration Histogram::Mean() const {
  return count_ == 0 ? absl::ZeroDuration()
                     : absl::Nanoseconds(sum_ns_) / static_cast<int64_t>(count_);
}

absl::Duration Histogram::Quantile(double share) const {
  if (count_ == 0) return absl::ZeroDuration();
  const auto rank = static_cast<uint64_t>(
      std::clamp(std::ceil(share * static_cast<double>(count_)), 1.0, static_cast<double>(count_)));
  uint64_t seen = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    if (seen >= rank) return absl::Nanoseconds(std::min(UpperBound(i), max_ns_));
  }
  return max();
}

}  // namespace atoll::bench
