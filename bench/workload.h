// Which keys a load asks for, how large its values are, and how many of its operations are reads.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace atoll::bench {

enum class Distribution : uint8_t { kUniform, kZipf };

struct WorkloadOptions {
  uint64_t keys = 100'000;
  Distribution distribution = Distribution::kUniform;
  // Exponent of the zipf distribution, in (0, 5]; 0.99 is what YCSB uses.
  double zipf_exponent = 0.99;
  uint32_t value_bytes = 100;
  // Of operations, 0-1.
  double read_share = 0.9;
  // Keys in one operation; above 1 they are multi operations. 1-10,000.
  uint32_t batch = 1;
  uint64_t seed = 1;

  // INVALID_ARGUMENT names the option and its limit.
  absl::Status Validate() const;
};

// Draws operations. One for each thread.
//
// Thread safety: none.
class Workload {
 public:
  // `stream` tells the draws of several workloads apart.
  Workload(const WorkloadOptions& options, uint64_t stream);

  bool NextIsRead();
  uint64_t NextKey();

 private:
  uint64_t NextZipf();

  const WorkloadOptions options_;
  std::mt19937_64 random_;
  // Of rejection-inversion sampling.
  double h_x1_ = 0;
  double h_n_ = 0;
  double s_ = 0;
};

// "key:" and 16 hexadecimal digits, scattered so that neighbours in rank are not neighbours in
// name: 20 bytes.
std::string WorkloadKey(uint64_t index);

}  // namespace atoll::bench
