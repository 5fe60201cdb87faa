#include "bench/workload.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace atoll::bench {
namespace {

// Zipf by rejection-inversion, exact for any number of keys and without a table.
// Source: Hoermann and Derflinger, "Rejection-inversion to generate variates from monotone discrete
// distributions", ACM TOMACS 6 (1996).
double HIntegral(double x, double exponent) {
  const double log_x = std::log(x);
  const double y = (1 - exponent) * log_x;
  // expm1(y)/y, which tends to 1 as the exponent tends to 1.
  return (std::abs(y) > 1e-8 ? std::expm1(y) / y : 1 + y / 2) * log_x;
}

double HIntegralInverse(double x, double exponent) {
  const double t = std::max(x * (1 - exponent), -1.0);
  return std::exp((std::abs(t) > 1e-8 ? std::log1p(t) / t : 1 - t / 2) * x);
}

double H(double x, double exponent) { return std::exp(-exponent * std::log(x)); }

}  // namespace

absl::Status WorkloadOptions::Validate() const {
  if (keys < 1) return absl::InvalidArgumentError("keys: 0, at least 1");
  if (!(zipf_exponent > 0 && zipf_exponent <= 5)) {
    return absl::InvalidArgumentError(absl::StrCat("zipf exponent: ", zipf_exponent, ", (0, 5]"));
  }
  if (!(read_share >= 0 && read_share <= 1)) {
    return absl::InvalidArgumentError(absl::StrCat("read share: ", read_share, ", 0-1"));
  }
  if (batch < 1 || batch > 10'000) {
    return absl::InvalidArgumentError(absl::StrCat("batch: ", batch, ", 1-10,000"));
  }
  return absl::OkStatus();
}

Workload::Workload(const WorkloadOptions& options, uint64_t stream)
    : options_(options), random_(options.seed * 0x9E3779B97F4A7C15 + stream) {
  const double exponent = options_.zipf_exponent;
  h_x1_ = HIntegral(1.5, exponent) - 1;
  h_n_ = HIntegral(static_cast<double>(options_.keys) + 0.5, exponent);
  s_ = 2 - HIntegralInverse(HIntegral(2.5, exponent) - H(2, exponent), exponent);
}

bool Workload::NextIsRead() {
  return std::uniform_real_distribution<double>(0, 1)(random_) < options_.read_share;
}

uint64_t Workload::NextKey() {
  return options_.distribution == Distribution::kZipf
             ? NextZipf()
             : std::uniform_int_distribution<uint64_t>(0, options_.keys - 1)(random_);
}

uint64_t Workload::NextZipf() {
  const double exponent = options_.zipf_exponent;
  const auto n = static_cast<double>(options_.keys);
  for (;;) {
    const double u = h_n_ + std::uniform_real_distribution<double>(0, 1)(random_) * (h_x1_ - h_n_);
    const double x = HIntegralInverse(u, exponent);
    const double k = std::fmin(std::fmax(std::floor(x + 0.5), 1.0), n);
    if (k - x <= s_ || u >= HIntegral(k + 0.5, exponent) - H(k, exponent)) {
      return static_cast<uint64_t>(k) - 1;
    }
  }
}

std::string WorkloadKey(uint64_t index) {
  // An odd multiplier permutes the 64-bit numbers.
  return absl::StrFormat("key:%016x", index * 0x9E3779B97F4A7C15);
}

}  // namespace atoll::bench
