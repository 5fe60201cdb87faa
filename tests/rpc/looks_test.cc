#include "rpc/looks.h"

#include <gtest/gtest.h>

namespace atoll::rpc {
namespace {

constexpr absl::Duration kShort = absl::Microseconds(30);
constexpr absl::Duration kLong = absl::Milliseconds(1);

// Waits that were slept through, until looking is worthwhile; so many at the most.
int SleptUntilItLooks(Looks& looks, absl::Duration wait, int most = 10'000) {
  int waits = 0;
  while (!looks.worthwhile() && waits < most) {
    looks.Slept(wait);
    ++waits;
  }
  return waits;
}

// Misses until it sleeps again.
int MissedUntilItSleeps(Looks& looks) {
  int misses = 0;
  while (looks.worthwhile()) {
    looks.Missed();
    ++misses;
  }
  return misses;
}

TEST(LooksTest, ItSleepsAtFirst) { EXPECT_FALSE(Looks().worthwhile()); }

TEST(LooksTest, ManyShortWaitsAreASign) {
  Looks looks;
  EXPECT_EQ(SleptUntilItLooks(looks, kShort), Looks::kFewest);
}

TEST(LooksTest, WhoHasLittleToDoNeverLooks) {
  Looks looks;
  for (int i = 0; i < 10'000; ++i) looks.Slept(kLong);
  EXPECT_FALSE(looks.worthwhile());
}

TEST(LooksTest, WhatWasThereAlreadySaysNothing) {
  Looks looks;
  for (int i = 0; i < 10'000; ++i) looks.Slept(absl::Microseconds(1));
  EXPECT_FALSE(looks.worthwhile());
  // It takes nothing away either: the end of a write comes between two waits.
  for (int i = 0; i < Looks::kFewest; ++i) {
    looks.Slept(absl::ZeroDuration());
    looks.Slept(kShort);
  }
  EXPECT_TRUE(looks.worthwhile());
}

TEST(LooksTest, ALongWaitNowAndThenIsForgiven) {
  Looks looks;
  for (int i = 0; i < 100 && !looks.worthwhile(); ++i) looks.Slept(i % 8 == 7 ? kLong : kShort);
  EXPECT_TRUE(looks.worthwhile());
}

TEST(LooksTest, AThirdOfLongWaitsIsTooMuch) {
  Looks looks;
  for (int i = 0; i < 10'000; ++i) looks.Slept(i % 3 == 2 ? kLong : kShort);
  EXPECT_FALSE(looks.worthwhile());
}

TEST(LooksTest, LooksInVainEndIt) {
  Looks looks;
  SleptUntilItLooks(looks, kShort);
  EXPECT_EQ(MissedUntilItSleeps(looks), Looks::kCredit / Looks::kFindsPerMiss);
}

TEST(LooksTest, AMissInFiveIsPaidFor) {
  Looks looks;
  SleptUntilItLooks(looks, kShort);
  for (int i = 0; i < 10'000; ++i) {
    for (int find = 0; find < Looks::kFindsPerMiss; ++find) looks.Found();
    looks.Missed();
    ASSERT_TRUE(looks.worthwhile());
  }
}

TEST(LooksTest, OneInFourIsNot) {
  Looks looks;
  SleptUntilItLooks(looks, kShort);
  int rounds = 0;
  for (; rounds < 1000 && looks.worthwhile(); ++rounds) {
    for (int find = 0; find < Looks::kFindsPerMiss - 1; ++find) looks.Found();
    looks.Missed();
  }
  EXPECT_LT(rounds, 1000);
}

// Waits that look short to a sleeper and are too long for a look cost ever less.
TEST(LooksTest, WhoLookedInVainTriesLessOften) {
  Looks looks;
  int expected = Looks::kFewest;
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(SleptUntilItLooks(looks, kShort), expected);
    MissedUntilItSleeps(looks);
    expected = std::min(expected * 2, Looks::kMany);
  }
  // Until it pays.
  SleptUntilItLooks(looks, kShort);
  for (int i = 0; i < Looks::kPaid; ++i) looks.Found();
  MissedUntilItSleeps(looks);
  EXPECT_EQ(SleptUntilItLooks(looks, kShort), Looks::kFewest);
}

}  // namespace
}  // namespace atoll::rpc
