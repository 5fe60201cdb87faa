#include "base/latency_window.h"

#include <gtest/gtest.h>

namespace atoll::base {
namespace {

TEST(LatencyWindow, IsZeroWhereNothingHappened) {
  FakeClock clock;
  const LatencyWindow window(clock);
  EXPECT_EQ(window.Summarize().p50, absl::ZeroDuration());
  EXPECT_EQ(window.Summarize().per_second, 0);
}

TEST(LatencyWindow, QuantilesAreWithinAnEighthAboveTheTruth) {
  FakeClock clock;
  LatencyWindow window(clock);
  for (int64_t micros = 1; micros <= 10'000; ++micros) {
    window.Record(absl::Microseconds(micros));
  }
  clock.Advance(absl::Seconds(1));
  const LatencyWindow::Summary summary = window.Summarize();
  EXPECT_GE(summary.p50, absl::Microseconds(5000));
  EXPECT_LE(summary.p50, absl::Microseconds(5625));
  EXPECT_GE(summary.p99, absl::Microseconds(9900));
  EXPECT_LE(summary.p99, absl::Microseconds(11'138));
  EXPECT_EQ(summary.per_second, 10'000);
}

TEST(LatencyWindow, ForgetsAfterTenSeconds) {
  FakeClock clock;
  LatencyWindow window(clock);
  window.Record(absl::Milliseconds(1), 50);
  clock.Advance(absl::Seconds(10));
  EXPECT_EQ(window.Summarize().per_second, 5);
  clock.Advance(absl::Seconds(1));
  EXPECT_EQ(window.Summarize().per_second, 0);
  // The slot is used anew.
  window.Record(absl::Milliseconds(1), 10);
  clock.Advance(absl::Seconds(1));
  EXPECT_EQ(window.Summarize().per_second, 1);
}

TEST(LatencyWindow, TakesAnyDuration) {
  FakeClock clock;
  LatencyWindow window(clock);
  window.Record(absl::Seconds(-1));
  window.Record(absl::InfiniteDuration());
  clock.Advance(absl::Seconds(1));
  EXPECT_EQ(window.Summarize().p50, absl::ZeroDuration());
  EXPECT_GE(window.Summarize().p99, absl::Hours(1));
}

}  // namespace
}  // namespace atoll::base
