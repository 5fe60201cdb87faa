#include "base/clock.h"

#include <gtest/gtest.h>

namespace atoll::base {
namespace {

TEST(Clock, TheFakeMovesOnlyWhenMoved) {
  FakeClock clock(absl::FromUnixSeconds(1'700'000'000));
  const absl::Duration boot = clock.BootTime();
  EXPECT_EQ(clock.Now(), absl::FromUnixSeconds(1'700'000'000));
  clock.Advance(absl::Seconds(5));
  EXPECT_EQ(clock.Now(), absl::FromUnixSeconds(1'700'000'005));
  EXPECT_EQ(clock.BootTime() - boot, absl::Seconds(5));
}

TEST(Clock, SettingTheWallLeavesBootTimeAlone) {
  FakeClock clock;
  const absl::Duration boot = clock.BootTime();
  clock.SetWall(absl::FromUnixSeconds(5));
  EXPECT_EQ(clock.Now(), absl::FromUnixSeconds(5));
  EXPECT_EQ(clock.BootTime(), boot);
}

TEST(Clock, TheRealOneNeverGoesBack) {
  const Clock& clock = Clock::Real();
  absl::Duration last = clock.BootTime();
  for (int i = 0; i < 1000; ++i) {
    const absl::Duration now = clock.BootTime();
    EXPECT_GE(now, last);
    last = now;
  }
  EXPECT_GT(clock.Now(), absl::FromUnixSeconds(kCacheEpochUnixSeconds));
}

TEST(Clock, SecondsOfTheWallClockMayBeginLateButNotEarly) {
  FakeClock fake(absl::FromUnixSeconds(kCacheEpochUnixSeconds + 9));
  EXPECT_EQ(fake.NowSeconds(), 9u);
  const Clock& clock = Clock::Real();
  for (int i = 0; i < 1000; ++i) {
    const CacheSeconds before = ToCacheSeconds(clock.Now());
    const CacheSeconds seconds = clock.NowSeconds();
    EXPECT_GE(seconds + 1, before);
    EXPECT_LE(seconds, ToCacheSeconds(clock.Now()));
  }
}

TEST(Clock, CacheSecondsCountFrom2020AndAreClamped) {
  EXPECT_EQ(ToCacheSeconds(absl::FromUnixSeconds(kCacheEpochUnixSeconds)), 0u);
  EXPECT_EQ(ToCacheSeconds(absl::FromUnixSeconds(kCacheEpochUnixSeconds + 7)), 7u);
  EXPECT_EQ(ToCacheSeconds(absl::FromUnixSeconds(0)), 0u);
  EXPECT_EQ(ToCacheSeconds(absl::InfiniteFuture()), 0xffffffffu);
  EXPECT_EQ(ToCacheSeconds(FromCacheSeconds(0xfffffffeu)), 0xfffffffeu);
}

}  // namespace
}  // namespace atoll::base
