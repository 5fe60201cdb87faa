#include "bench/workload.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"

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
  if (max_value_bytes != 0 && max_value_bytes < value_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("largest value: ", max_value_bytes,
                                                   " bytes, not below the least, ", value_bytes));
  }
  if (LargestValue() > 64u << 20) {
    return absl::InvalidArgumentError(
        absl::StrCat("value: ", LargestValue(), " bytes, limit 67108864"));
  }
  if (key_prefix.size() > 1000) {
    return absl::InvalidArgumentError(
        absl::StrCat("key prefix: ", key_prefix.size(), " bytes, limit 1000"));
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

// Without the division of std::uniform_int_distribution; what it lacks in evenness is below 2^-32
// for as many keys as a cache can hold.
uint64_t Workload::Below(uint64_t limit) {
  return static_cast<uint64_t>((static_cast<unsigned __int128>(random_()) * limit) >> 64);
}

bool Workload::NextIsRead() {
  if (options_.read_share >= 1) return true;
  return static_cast<double>(random_() >> 11) * 0x1p-53 < options_.read_share;
}

uint64_t Workload::NextKey() {
  return options_.distribution == Distribution::kZipf ? NextZipf() : Below(options_.keys);
}

uint32_t Workload::NextValueBytes() {
  if (options_.max_value_bytes <= options_.value_bytes) return options_.value_bytes;
  return options_.value_bytes +
         static_cast<uint32_t>(Below(options_.max_value_bytes - options_.value_bytes + 1));
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

namespace {

// The hexadecimal digits of a number, the first one lowest, all eight at once.
uint64_t HexDigits(uint32_t number) {
  constexpr uint64_t kEach = 0x0101010101010101;
  uint64_t digits = number;
  digits = (digits | digits << 16) & 0x0000FFFF0000FFFF;
  digits = (digits | digits << 8) & 0x00FF00FF00FF00FF;
  digits = (digits | digits << 4) & (kEach * 0x0F);
  const uint64_t letters = ((digits + kEach * 6) >> 4) & kEach;
  return __builtin_bswap64(digits + kEach * '0' + letters * ('a' - '0' - 10));
}

}  // namespace

void WriteWorkloadKey(uint64_t index, char* out) {
  // An odd multiplier permutes the 64-bit numbers.
  const uint64_t number = index * 0x9E3779B97F4A7C15;
  const uint64_t digits[] = {HexDigits(static_cast<uint32_t>(number >> 32)),
                             HexDigits(static_cast<uint32_t>(number))};
  static_assert(kWorkloadKeyBytes == 4 + sizeof digits);
  std::string_view("key:").copy(out, 4);
  std::memcpy(out + 4, digits, sizeof digits);
}

std::string WorkloadKey(uint64_t index) {
  std::string key(kWorkloadKeyBytes, '\0');
  WriteWorkloadKey(index, key.data());
  return key;
}

OperationDrawer::OperationDrawer(const WorkloadOptions& options, uint64_t stream,
                                 std::string_view value)
    : workload_(options, stream), value_(value), prefix_bytes_(options.key_prefix.size()) {
  const size_t key_bytes = prefix_bytes_ + kWorkloadKeyBytes;
  bytes_.reserve(options.batch * key_bytes);
  for (uint32_t i = 0; i < options.batch; ++i) {
    bytes_.append(options.key_prefix).append(kWorkloadKeyBytes, '0');
    keys_.push_back({bytes_.data() + i * key_bytes, key_bytes});
  }
}

DrawnOperation OperationDrawer::Next() {
  const size_t key_bytes = prefix_bytes_ + kWorkloadKeyBytes;
  for (size_t i = 0; i < keys_.size(); ++i) {
    WriteWorkloadKey(workload_.NextKey(), bytes_.data() + i * key_bytes + prefix_bytes_);
  }
  DrawnOperation drawn{.read = workload_.NextIsRead(), .keys = keys_};
  if (!drawn.read) drawn.value = value_.substr(0, workload_.NextValueBytes());
  return drawn;
}

}  // namespace atoll::bench
