// What the programs tell their operator, on stderr: one line each, bounded in length and rate.
//
// Thread safety: all functions and classes.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"

namespace atoll::base {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarning, kError, kOff };

// `debug`, `info`, `warning`, `error` or `off`; INVALID_ARGUMENT names them.
absl::Status SetLogLevel(std::string_view name);
bool LogEnabled(LogLevel level);

// A line: time, level, text. Text beyond 1 KiB is cut, control characters are escaped (keys and
// names come from strangers). Build the text with absl::StrCat.
void Log(LogLevel level, std::string_view text);
inline void LogDebug(std::string_view text) { Log(LogLevel::kDebug, text); }
inline void LogInfo(std::string_view text) { Log(LogLevel::kInfo, text); }
inline void LogWarning(std::string_view text) { Log(LogLevel::kWarning, text); }
inline void LogError(std::string_view text) { Log(LogLevel::kError, text); }

// Lets one line pass an interval, for what may happen as often as a request does:
//
//   static base::LogLimiter limiter;
//   if (auto skipped = limiter.Pass()) LogWarning(absl::StrCat("...", *skipped, " not logged"));
class LogLimiter {
 public:
  explicit LogLimiter(absl::Duration interval = absl::Seconds(1),
                      const Clock& clock = Clock::Real());
  // How many were held back since the last that passed; nothing if this one is held back too.
  std::optional<uint64_t> Pass();

 private:
  const int64_t interval_ns_;
  const Clock& clock_;
  // Relaxed: only the count of lines depends on it.
  std::atomic<int64_t> next_ns_{0};
  std::atomic<uint64_t> skipped_{0};
};

}  // namespace atoll::base
