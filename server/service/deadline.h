// The deadline of a call on the clock that the node counts by.
#pragma once

#include <grpcpp/server_context.h>

#include <algorithm>
#include <chrono>

#include "absl/time/time.h"
#include "base/clock.h"

namespace atoll::service {

// For a caller that names none, and the longest that is granted.
inline constexpr absl::Duration kLongestCall = absl::Seconds(30);

// On base::Clock::Real().BootTime(). In the past if the deadline is.
inline absl::Duration DeadlineOf(const grpc::ServerContext& context) {
  const auto left = context.deadline() - std::chrono::system_clock::now();
  // A call without a deadline has one at the end of time, whose nanoseconds overflow: compare in
  // hours.
  const bool endless = left > std::chrono::hours(1);
  const absl::Duration granted =
      endless
          ? kLongestCall
          : std::min(absl::FromChrono(std::chrono::duration_cast<std::chrono::nanoseconds>(left)),
                     kLongestCall);
  return base::Clock::Real().BootTime() + granted;
}

}  // namespace atoll::service
