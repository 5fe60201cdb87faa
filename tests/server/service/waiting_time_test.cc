#include "server/service/waiting_time.h"

#include <gtest/gtest.h>

namespace atoll::service {
namespace {

constexpr absl::Duration kStart = absl::Seconds(1000);
constexpr absl::Duration kNone = absl::ZeroDuration();

TEST(WaitingTime, IsWhatTheDistanceOfTheClocksIsAboveItsLeast) {
  // Clocks far apart either way, and one that begins at 1.
  for (const uint64_t clock : {uint64_t{1}, uint64_t{1} << 62, ~uint64_t{0} - 10'000'000}) {
    SCOPED_TRACE(clock);
    WaitingTime time;
    EXPECT_EQ(time.Observe(clock, kStart), kNone);
    EXPECT_EQ(time.Observe(clock + 5000, kStart + absl::Milliseconds(5)), kNone);
    EXPECT_EQ(time.Observe(clock + 6000, kStart + absl::Milliseconds(306)),
              absl::Milliseconds(300));
    // One that was quicker makes all before it slower.
    EXPECT_EQ(time.Observe(clock + 402'000, kStart + absl::Milliseconds(400)), kNone);
    EXPECT_EQ(time.Observe(clock + 500'000, kStart + absl::Milliseconds(500)),
              absl::Milliseconds(2));
  }
}

TEST(WaitingTime, WhoDoesNotTellDidNotWait) {
  WaitingTime time;
  time.Observe(1, kStart);
  EXPECT_EQ(time.Observe(0, kStart + absl::Seconds(5)), kNone);
}

TEST(WaitingTime, ClocksMayDrift) {
  // A second in an hour.
  WaitingTime time;
  for (int64_t second = 0; second < 3600; ++second) {
    const auto sent = static_cast<uint64_t>(1 + second * 1'000'000 - second * 278);
    EXPECT_LE(time.Observe(sent, kStart + absl::Seconds(second)), absl::Milliseconds(6));
  }
}

TEST(WaitingTime, AClockThatWasSetIsForgivenAfterTwoSpans) {
  WaitingTime time;
  time.Observe(10'000'000'000, kStart);
  EXPECT_EQ(time.Observe(9'000'000'000, kStart), absl::Seconds(1000));
  EXPECT_EQ(time.Observe(9'025'000'000, kStart + absl::Seconds(25)), kNone);
}

TEST(WaitingTime, NoSenderMakesItOverflow) {
  WaitingTime time;
  EXPECT_EQ(time.Observe(~uint64_t{0}, kStart), kNone);
  EXPECT_LE(time.Observe(1, kStart), absl::Hours(24));
  EXPECT_LE(time.Observe(uint64_t{1} << 63, kStart), absl::Hours(24));
  EXPECT_GE(time.Observe((uint64_t{1} << 63) + 1, kStart), kNone);
}

TEST(WaitingTime, IsAnOverloadOnceItHasLastedAndThenAtOnceUntilItIsForgotten) {
  WaitingTime time;
  const absl::Duration limit = absl::Milliseconds(100);
  const absl::Duration late = absl::Milliseconds(101);
  const auto at = [&](int64_t ms, absl::Duration waited) {
    return time.IsOverload(waited, limit, kStart + absl::Milliseconds(ms));
  };
  // A hold-up: what it kept waiting is read quickly.
  EXPECT_FALSE(at(0, absl::Seconds(3)));
  EXPECT_FALSE(at(199, late));
  EXPECT_FALSE(at(200, limit));
  EXPECT_FALSE(at(300, late));
  EXPECT_TRUE(at(500, late));
  EXPECT_FALSE(at(600, limit));
  EXPECT_TRUE(at(601, late));
  EXPECT_FALSE(at(602, limit));
  EXPECT_FALSE(at(1601, late));
}

}  // namespace
}  // namespace atoll::service
