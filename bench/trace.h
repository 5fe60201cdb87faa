// Request traces on disk.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace atoll::bench {

struct TraceRequest {
  uint64_t key = 0;
  // Bytes of key and value together; 0 where the trace does not say.
  uint32_t size = 0;
};

// Reads a whole trace, by the end of its name:
//   .trace.xz, .trace   keys of 4 bytes, big endian, packed by xz or plain
//   anything else       records of 16 bytes, little endian: key u64, size u32, zero u32
// NOT_FOUND, or INVALID_ARGUMENT for a file that is damaged or whose length does not fit.
absl::StatusOr<std::vector<TraceRequest>> ReadTrace(const std::string& path);

}  // namespace atoll::bench
