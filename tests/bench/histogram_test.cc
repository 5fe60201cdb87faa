#include "bench/histogram.h"

#include <gtest/gtest.h>

namespace atoll::bench {
namespace {

TEST(Histogram, QuantilesAreAtMostASixtyFourthAboveTheTruth) {
  Histogram histogram;
  for (int i = 1; i <= 100'000; ++i) histogram.Record(absl::Microseconds(i));
  for (const double share : {0.001, 0.1, 0.5, 0.9, 0.99, 0.9999}) {
    SCOPED_TRACE(share);
    const double truth = share * 100'000;
    const double got = absl::ToDoubleMicroseconds(histogram.Quantile(share));
    EXPECT_GE(got, truth);
    EXPECT_LE(got, truth * (1 + 1.0 / 64) + 1);
  }
  EXPECT_EQ(histogram.max(), absl::Microseconds(100'000));
  EXPECT_EQ(histogram.count(), 100'000u);
}

TEST(Histogram, MergedPartsAreTheWhole) {
  Histogram whole;
  Histogram left;
  Histogram right;
  for (int i = 0; i < 1000; ++i) {
    whole.Record(absl::Nanoseconds(i * i));
    (i % 2 == 0 ? left : right).Record(absl::Nanoseconds(i * i));
  }
  left.Merge(right);
  EXPECT_EQ(left.count(), whole.count());
  EXPECT_EQ(left.Mean(), whole.Mean());
  EXPECT_EQ(left.Quantile(0.5), whole.Quantile(0.5));
}

TEST(Histogram, NothingRecordedIsZero) {
  EXPECT_EQ(Histogram().Quantile(0.5), absl::ZeroDuration());
  EXPECT_EQ(Histogram().Mean(), absl::ZeroDuration());
}

TEST(Histogram, HoldsTheLongestAndTheNegative) {
  Histogram histogram;
  histogram.Record(absl::InfiniteDuration());
  histogram.Record(absl::Nanoseconds(-5));
  EXPECT_EQ(histogram.count(), 2u);
  EXPECT_EQ(histogram.Quantile(0.5), absl::ZeroDuration());
}

}  // namespace
}  // namespace atoll::bench
