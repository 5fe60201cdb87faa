#include "bench/replay_look_aside.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "bench/replay.h"

namespace atoll::bench {
namespace {

uint32_t ValueBytes(const TraceRequest& request, size_t key_bytes, uint32_t otherwise) {
  if (request.size == 0) return otherwise;
  return request.size > key_bytes ? request.size - static_cast<uint32_t>(key_bytes) : 1;
}

// How many requests from `from` on have keys of their own, `most` at most.
size_t DistinctFrom(absl::Span<const TraceRequest> trace, size_t from, size_t most) {
  absl::flat_hash_set<uint64_t> seen;
  size_t count = 0;
  while (count < most && from + count < trace.size() && seen.insert(trace[from + count].key).second)
    ++count;
  return count;
}

}  // namespace

absl::StatusOr<LookAsideResult> LookAside(absl::Span<const TraceRequest> trace,
                                          const LookAsideOptions& options,
                                          LookAsideTarget& target) {
  LookAsideResult result;
  for (size_t from = 0; from < trace.size();) {
    const size_t count = DistinctFrom(trace, from, options.batch);
    std::vector<std::string> keys(count);
    for (size_t i = 0; i < count; ++i) keys[i] = ReplayKey("", trace[from + i].key);
    const auto got = target.GetMany(keys);
    if (!got.ok()) return got.status();
    std::vector<std::string> values(count);
    std::vector<PeerItem> missing;
    missing.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      const TraceRequest& request = trace[from + i];
      const bool late = from + i >= trace.size() / 2;
      const std::optional<std::string>& found = (*got)[i];
      values[i] =
          ReplayValue(request.key, ValueBytes(request, keys[i].size(), options.value_bytes));
      ++result.requests;
      result.late_requests += late ? 1 : 0;
      if (found.has_value()) {
        result.wrong += *found != values[i] ? 1 : 0;
        continue;
      }
      ++result.misses;
      result.late_misses += late ? 1 : 0;
      missing.push_back({keys[i], values[i]});
    }
    if (!missing.empty()) {
      const absl::StatusOr<uint64_t> refused = target.SetMany(missing);
      if (!refused.ok()) return refused.status();
      result.refused += *refused;
    }
    from += count;
    if (options.progress) options.progress(from);
  }
  return result;
}

LimitSearch::LimitSearch(uint64_t goal_bytes, uint64_t least_mib)
    : goal_(goal_bytes), least_(least_mib), next_(std::max(goal_bytes >> 20, least_mib)) {}

bool LimitSearch::Tried(uint64_t bytes) {
  const auto taken = static_cast<double>(std::max<uint64_t>(bytes, 1));
  const bool fits = taken <= kTolerance * static_cast<double>(goal_);
  // The least that is allowed counts even where it is too large: there is nothing smaller.
  const bool best = fits ? next_ > fits_ : next_ == least_ && fits_ == 0;
  if (fits) fits_ = std::max(fits_, next_);
  if (!fits) too_large_ = too_large_ == 0 ? next_ : std::min(too_large_, next_);
  // In proportion, but never back beyond what is known.
  auto guess =
      static_cast<uint64_t>(static_cast<double>(next_) * static_cast<double>(goal_) / taken);
  guess = std::max({guess, fits_ + 1, least_});
  if (too_large_ != 0) guess = std::min(guess, too_large_ - 1);
  done_ = ++tries_ == kMostTries || guess <= fits_ || guess < least_ || guess == next_;
  next_ = guess;
  return best;
}

}  // namespace atoll::bench
