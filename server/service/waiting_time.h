// How long messages of a stream wait before they are read: in sockets and buffers, where nothing
// counts them. Their sender says when, by a clock of its own, it wrote each. The difference to this
// node's clock is the two clocks' distance plus the way; what it is above its least of the last
// seconds was spent waiting.
//
// Thread safety: none. Pure: times come in.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "absl/time/time.h"

namespace atoll::service {

class WaitingTime {
 public:
  // The least is that of one to two such spans: so much drift of clocks, and no more, is taken for
  // waiting.
  static constexpr absl::Duration kSpan = absl::Seconds(10);
  // A wait is an overload once it has lasted for kStanding; from then on each that is too long is
  // one, until there was none for kRemembered. A single hold-up of either process ends sooner.
  static constexpr absl::Duration kStanding = absl::Milliseconds(200);
  static constexpr absl::Duration kRemembered = absl::Seconds(1);

  // A message that was written at `sent_us`, 0: not told, is read now. Returns how long it waited.
  absl::Duration Observe(uint64_t sent_us, absl::Duration now) {
    if (sent_us == 0) return absl::ZeroDuration();
    // Wraps as the sender's clock does, from wherever it counts.
    const auto distance =
        static_cast<int64_t>(static_cast<uint64_t>(absl::ToInt64Microseconds(now)) - sent_us);
    if (now - span_start_ >= kSpan) {
      // After a long rest both spans are over.
      before_ = now - span_start_ < 2 * kSpan ? least_ : kNone;
      least_ = kNone;
      span_start_ = now;
    }
    least_ = std::min(least_, distance);
    const int64_t nearest = std::min(least_, before_);
    // No overflow: a distance from the least is not negative, and cut to a day.
    const uint64_t waited = static_cast<uint64_t>(distance) - static_cast<uint64_t>(nearest);
    return absl::Microseconds(static_cast<int64_t>(std::min(waited, kDayUs)));
  }

  // Whether what waited so long, as observed at `now`, is to be refused.
  bool IsOverload(absl::Duration waited, absl::Duration limit, absl::Duration now) {
    if (waited <= limit) {
      too_long_since_ = absl::InfiniteDuration();
      return false;
    }
    too_long_since_ = std::min(too_long_since_, now);
    if (now >= overloaded_until_ && now - too_long_since_ < kStanding) return false;
    overloaded_until_ = now + kRemembered;
    return true;
  }

 private:
  static constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
  static constexpr uint64_t kDayUs = uint64_t{86'400} * 1'000'000;

  absl::Duration span_start_ = -absl::InfiniteDuration();
  int64_t least_ = kNone;
  int64_t before_ = kNone;
  absl::Duration too_long_since_ = absl::InfiniteDuration();
  absl::Duration overloaded_until_ = -absl::InfiniteDuration();
};

}  // namespace atoll::service
