// Replays a trace look-aside: get, and on a miss set. Every value that comes back is checked
// against what was stored.
//
// Thread safety: Replay starts its own threads and joins them; the target is called by all of them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "bench/histogram.h"
#include "bench/trace.h"

namespace atoll::bench {

// The cache under the replay.
class ReplayTarget {
 public:
  virtual ~ReplayTarget() = default;
  // nullopt is a miss.
  virtual absl::StatusOr<std::optional<std::string>> Get(std::string_view key) = 0;
  virtual absl::Status Set(std::string_view key, std::string_view value) = 0;
};

struct ReplayOptions {
  int threads = 8;
  // Bytes of a value where the trace does not say.
  uint32_t value_bytes = 1000;
  // Stands before every key, so that two replays do not meet.
  std::string key_prefix;
  // Called now and then by one thread.
  std::function<void(uint64_t done, uint64_t hits)> progress;
};

struct ReplayResult {
  uint64_t requests = 0;
  uint64_t hits = 0;
  uint64_t misses = 0;
  // Values that were not what was stored under their key.
  uint64_t wrong = 0;
  // Gets and sets that failed, and the first of their errors.
  uint64_t errors = 0;
  absl::Status first_error;
  absl::Duration elapsed;
  Histogram gets;
  Histogram sets;

  double hit_ratio() const {
    return hits + misses == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(hits + misses);
  }
};

// Requests are taken in the order of the trace, each by whichever thread is free.
ReplayResult Replay(absl::Span<const TraceRequest> trace, const ReplayOptions& options,
                    ReplayTarget& target);

// The name and value of a trace's key: the value is made from the key alone, so that it can be
// checked.
std::string ReplayKey(std::string_view prefix, uint64_t key);
std::string ReplayValue(uint64_t key, uint32_t bytes);

}  // namespace atoll::bench
