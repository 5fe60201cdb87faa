#include "base/latency_window.h"

#include <algorithm>
#include <bit>
#include <memory>
#include <vector>

namespace atoll::base {
namespace {

int64_t SecondOf(const Clock& clock) { return absl::ToInt64Seconds(clock.BootTime()); }

}  // namespace

LatencyWindow::LatencyWindow(const Clock& clock) : clock_(clock), start_second_(SecondOf(clock)) {}

size_t LatencyWindow::BucketOf(uint64_t micros) {
  micros = std::min<uint64_t>(micros, UINT32_MAX);
  if (micros < 8) {
    return micros;
  }
  const int top = static_cast<int>(std::bit_width(micros)) - 1;  // 3..31
  return 8 + static_cast<size_t>(top - 3) * 8 + ((micros >> (top - 3)) & 7);
}

uint64_t LatencyWindow::UpperBound(size_t bucket) {
  if (bucket < 8) {
    return bucket;
  }
  const size_t shift = (bucket - 8) / 8;
  return ((8 + (bucket - 8) % 8 + 1) << shift) - 1;
}

LatencyWindow::Slot& LatencyWindow::SlotFor(int64_t second) {
  Slot& slot = slots_[static_cast<size_t>(second % kSlots)];
  if (slot.second.load(std::memory_order_acquire) != second) {
    MutexLock lock(turn_mu_);
    if (slot.second.load(std::memory_order_relaxed) < second) {
      slot.total.store(0, std::memory_order_relaxed);
      for (std::atomic<uint32_t>& bucket : slot.buckets) {
        bucket.store(0, std::memory_order_relaxed);
      }
      slot.second.store(second, std::memory_order_release);
    }
  }
  return slot;
}

void LatencyWindow::Record(absl::Duration latency, uint32_t count) {
  const int64_t micros = std::max<int64_t>(absl::ToInt64Microseconds(latency), 0);
  Slot& slot = SlotFor(SecondOf(clock_));
  slot.total.fetch_add(count, std::memory_order_relaxed);
  slot.buckets[BucketOf(static_cast<uint64_t>(micros))].fetch_add(count, std::memory_order_relaxed);
}

LatencyWindow::Summary LatencyWindow::Summarize() const {
  const int64_t now = SecondOf(clock_);
  std::vector<uint64_t> counts(kBuckets);
  uint64_t total = 0;
  uint64_t sum = 0;
  for (const Slot& slot : slots_) {
    const int64_t second = slot.second.load(std::memory_order_acquire);
    if (second >= now || second < now - kSeconds || second < start_second_) {
      continue;
    }
    total += slot.total.load(std::memory_order_relaxed);
    for (size_t i = 0; i < kBuckets; ++i) {
      const uint64_t count = slot.buckets[i].load(std::memory_order_relaxed);
      counts[i] += count;
      sum += count;
    }
  }
  Summary summary;
  const int64_t seconds = std::min<int64_t>(kSeconds, now - start_second_);
  if (sum == 0 || seconds <= 0) {
    return summary;
  }
  summary.per_second = static_cast<double>(total) / static_cast<double>(seconds);
  uint64_t seen = 0;
  bool have_median = false;
  for (size_t i = 0; i < kBuckets; ++i) {
    seen += counts[i];
    const auto bound = absl::Microseconds(static_cast<int64_t>(UpperBound(i)));
    if (!have_median && seen * 2 >= sum) {
      summary.p50 = bound;
      have_median = true;
    }
    if (seen * 100 >= sum * 99) {
      summary.p99 = bound;
      break;
    }
  }
  return summary;
}

}  // namespace atoll::base
