// How long operations took, and how many there were, over the last ten seconds.
//
// Buckets grow by an eighth, so a quantile is at most 12.5% above the truth. A record is two atomic
// additions; at the turn of a second a few records of racing threads may be counted a second off or
// lost, which figures bear.
//
// Thread safety: all methods.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"

namespace atoll::base {

class LatencyWindow {
 public:
  static constexpr int kSeconds = 10;

  // `clock` must outlive it.
  explicit LatencyWindow(const Clock& clock = Clock::Real());

  // `count` operations that took so long each.
  void Record(absl::Duration latency, uint32_t count = 1);

  struct Summary {
    absl::Duration p50;  // zero if there was nothing
    absl::Duration p99;
    double per_second = 0;
  };
  // Of the ten whole seconds before the current one (of those since the start, if fewer).
  Summary Summarize() const;

 private:
  // Microseconds: 0-7 exact, then eight buckets to each doubling, up to 2^32.
  static constexpr size_t kBuckets = 8 + 29 * 8;
  static constexpr int kSlots = kSeconds + 2;
  struct Slot {
    // The second that the slot counts.
    std::atomic<int64_t> second{-1};
    std::atomic<uint64_t> total{0};
    std::array<std::atomic<uint32_t>, kBuckets> buckets{};
  };

  static size_t BucketOf(uint64_t micros);
  static uint64_t UpperBound(size_t bucket);
  Slot& SlotFor(int64_t second);

  const Clock& clock_;
  const int64_t start_second_;
  Mutex turn_mu_;  // held while a slot is emptied
  std::array<Slot, kSlots> slots_;
};

}  // namespace atoll::base
