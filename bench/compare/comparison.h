// Contenders side by side under one load: the best setup of each, then interleaved runs.
//
// Thread safety: none.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "bench/compare/contender.h"

namespace atoll::bench {

double Median(std::vector<double> values);

// Of the rounds.
struct Spread {
  double median = 0;
  double least = 0;
  double most = 0;
};
Spread SpreadOf(const std::vector<double>& values);

// One contender under one load, over the rounds.
struct Row {
  std::string load;
  std::string contender;
  std::string setup;
  std::vector<double> scores;
  std::vector<Measurement> measured;

  Spread Of(double Measurement::*member) const;
};

// The first row's scores divided by the other's, round by round.
Spread RatioOf(const Row& first, const Row& other);

struct Effort {
  int rounds = 5;
  absl::Duration duration = absl::Seconds(3);
  // Of each setup that is tried, when there are several.
  absl::Duration trial = absl::Seconds(1);
  // No further round is begun after it, so long as there was one.
  absl::Time until = absl::InfiniteFuture();
};

// A row for each contender that has a part in the load, in their order. Each round runs all of
// them, one after the other, each round beginning with another one: what changes on the machine
// meets all alike.
absl::StatusOr<std::vector<Row>> CompareUnder(const LoadSpec& load,
                                              absl::Span<Contender* const> contenders,
                                              const Effort& effort);

}  // namespace atoll::bench
