// Which keys a load asks for, how large its values are, and how many of its operations are reads.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace atoll::bench {

enum class Distribution : uint8_t { kUniform, kZipf };

struct WorkloadOptions {
  uint64_t keys = 100'000;
  // Before every key; 0-1,000 bytes.
  std::string key_prefix;
  Distribution distribution = Distribution::kUniform;
  // Exponent of the zipf distribution, in (0, 5]; 0.99 is what YCSB uses.
  double zipf_exponent = 0.99;
  // Values have between these, each size as often as another; `max_value_bytes` 0: all have
  // `value_bytes`. To 64 MiB.
  uint32_t value_bytes = 100;
  uint32_t max_value_bytes = 0;
  // Of operations, 0-1.
  double read_share = 0.9;
  // Keys in one operation; above 1 they are multi operations. 1-10,000.
  uint32_t batch = 1;
  uint64_t seed = 1;

  // INVALID_ARGUMENT names the option and its limit.
  absl::Status Validate() const;
  uint32_t LargestValue() const {
    return max_value_bytes > value_bytes ? max_value_bytes : value_bytes;
  }
};

// Draws the parts of operations. One for each thread.
//
// Thread safety: none.
class Workload {
 public:
  // `stream` tells the draws of several workloads apart.
  Workload(const WorkloadOptions& options, uint64_t stream);

  bool NextIsRead();
  uint64_t NextKey();
  uint32_t NextValueBytes();

 private:
  uint64_t Below(uint64_t limit);
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
inline constexpr size_t kWorkloadKeyBytes = 20;
// Writes so many bytes.
void WriteWorkloadKey(uint64_t index, char* out);

struct DrawnOperation {
  bool read = true;
  absl::Span<const std::string_view> keys;
  // Of each key, for a write.
  std::string_view value;
};

// Draws whole operations, and allocates nothing for them: a load generator's own cost is not the
// cache's.
//
// Thread safety: none.
class OperationDrawer {
 public:
  // Values are the first bytes of `value`, which has LargestValue() bytes and outlives the drawer.
  OperationDrawer(const WorkloadOptions& options, uint64_t stream, std::string_view value);
  OperationDrawer(const OperationDrawer&) = delete;
  OperationDrawer& operator=(const OperationDrawer&) = delete;

  // Its views live until the next one is drawn.
  DrawnOperation Next();

 private:
  Workload workload_;
  const std::string_view value_;
  const size_t prefix_bytes_;
  // Every key with its prefix, one behind the other, and where they are.
  std::string bytes_;
  std::vector<std::string_view> keys_;
};

}  // namespace atoll::bench
