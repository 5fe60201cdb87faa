// What a request must be, checked before anything else looks at it. The message of an
// INVALID_ARGUMENT names the field, what was sent and the limit.
//
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/status.h"

namespace atoll::service {

inline constexpr size_t kMaxKeyBytes = 1024;
inline constexpr int kMaxMultiKeys = 10'000;
inline constexpr uint32_t kMaxScanLimit = 10'000;
// A hundred years.
inline constexpr int64_t kMaxTtlMs = int64_t{100} * 365 * 24 * 3600 * 1000;

absl::Status CheckKey(std::string_view key);
absl::Status CheckValue(uint64_t size, uint64_t limit);
// Of the field of that name: ttl_ms, max_idle_ms.
absl::Status CheckDuration(std::string_view field, int64_t ms);
// Name of the field: keys, entries.
absl::Status CheckCount(std::string_view field, int count);

}  // namespace atoll::service
