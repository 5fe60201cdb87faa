#include "bench/report.h"

#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace atoll::bench {
namespace {

double Micros(absl::Duration duration) { return absl::ToDoubleMicroseconds(duration); }

}  // namespace

nlohmann::json LatencyJson(const Histogram& histogram) {
  return {{"count", histogram.count()},
          {"mean_us", Micros(histogram.Mean())},
          {"p50_us", Micros(histogram.Quantile(0.5))},
          {"p90_us", Micros(histogram.Quantile(0.9))},
          {"p99_us", Micros(histogram.Quantile(0.99))},
          {"p999_us", Micros(histogram.Quantile(0.999))},
          {"p9999_us", Micros(histogram.Quantile(0.9999))},
          {"max_us", Micros(histogram.max())}};
}

void PrintLatency(const char* name, const Histogram& histogram) {
  if (histogram.count() == 0) return;
  absl::PrintF(
      "%-6s %10d  p50 %.1f us  p90 %.1f us  p99 %.1f us  p99.9 %.1f us  p99.99 %.1f us  max %.1f "
      "us\n",
      name, histogram.count(), Micros(histogram.Quantile(0.5)), Micros(histogram.Quantile(0.9)),
      Micros(histogram.Quantile(0.99)), Micros(histogram.Quantile(0.999)),
      Micros(histogram.Quantile(0.9999)), Micros(histogram.max()));
}

absl::Status WriteJson(const std::string& path, const nlohmann::json& json) {
  std::ofstream file(path);
  file << json.dump(2) << '\n';
  if (!file.good()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be written"));
  }
  return absl::OkStatus();
}

}  // namespace atoll::bench
