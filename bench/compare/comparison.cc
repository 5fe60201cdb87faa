#include "bench/compare/comparison.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace atoll::bench {
namespace {

absl::Status Named(const absl::Status& status, const LoadSpec& load, const Contender& contender) {
  return absl::Status(status.code(),
                      absl::StrCat(load.name, ", ", contender.name(), ": ", status.message()));
}

absl::StatusOr<Setup> BestOf(const std::vector<Setup>& setups, const LoadSpec& load,
                             Contender& contender, absl::Duration trial) {
  if (setups.size() == 1) return setups[0];
  size_t best = 0;
  double most = -1;
  for (size_t i = 0; i < setups.size(); ++i) {
    const absl::StatusOr<Measurement> tried = contender.Measure(load, setups[i], trial);
    if (!tried.ok()) return Named(tried.status(), load, contender);
    if (tried->Score(load) > most) {
      most = tried->Score(load);
      best = i;
    }
  }
  return setups[best];
}

struct Entry {
  Contender* contender;
  Setup setup;
  Row row;
};

}  // namespace

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

Spread SpreadOf(const std::vector<double>& values) {
  if (values.empty()) return {};
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  return {.median = Median(values), .least = *least, .most = *most};
}

Spread Row::Of(double Measurement::*member) const {
  std::vector<double> values;
  values.reserve(measured.size());
  for (const Measurement& one : measured) values.push_back(one.*member);
  return SpreadOf(values);
}

Spread RatioOf(const Row& first, const Row& other) {
  std::vector<double> ratios;
  for (size_t i = 0; i < first.scores.size(); ++i) {
    ratios.push_back(first.scores[i] / other.scores.at(i));
  }
  return SpreadOf(ratios);
}

absl::StatusOr<std::vector<Row>> CompareUnder(const LoadSpec& load,
                                              absl::Span<Contender* const> contenders,
                                              const Effort& effort) {
  std::vector<Entry> entries;
  for (Contender* contender : contenders) {
    const std::vector<Setup> setups = contender->Setups(load);
    if (setups.empty()) continue;
    absl::StatusOr<Setup> best = BestOf(setups, load, *contender, effort.trial);
    if (!best.ok()) return best.status();
    Row row{.load = load.name, .contender = contender->name(), .setup = best->name};
    entries.push_back({contender, *std::move(best), std::move(row)});
  }
  absl::Duration one_round;
  for (int round = 0; round < effort.rounds; ++round) {
    const absl::Time begin = absl::Now();
    if (round > 0 && begin + one_round > effort.until) break;
    for (size_t i = 0; i < entries.size(); ++i) {
      Entry& entry = entries[(i + static_cast<size_t>(round)) % entries.size()];
      const absl::StatusOr<Measurement> one =
          entry.contender->Measure(load, entry.setup, effort.duration);
      if (!one.ok()) return Named(one.status(), load, *entry.contender);
      entry.row.scores.push_back(one->Score(load));
      entry.row.measured.push_back(*one);
    }
    one_round = absl::Now() - begin;
  }
  std::vector<Row> rows;
  rows.reserve(entries.size());
  for (Entry& entry : entries) rows.push_back(std::move(entry.row));
  return rows;
}

}  // namespace atoll::bench
