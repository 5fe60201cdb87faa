#include "base/logging.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <memory>
#include <string>
#include <utility>

#include "base/status.h"

namespace atoll::base {
namespace {

constexpr size_t kMaxTextBytes = 1024;
constexpr std::array<std::string_view, 5> kLevelNames = {"debug", "info", "warning", "error",
                                                         "off"};

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      break;
  }
  return spdlog::level::off;
}

// Never destroyed: threads may log until the process ends.
spdlog::logger& Logger() {
  static spdlog::logger* const logger = [] {
    auto* made = new spdlog::logger("atoll", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %L %v");
    made->set_level(spdlog::level::info);
    made->flush_on(spdlog::level::trace);
    return made;
  }();
  return *logger;
}

std::string Printable(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  const bool cut = text.size() > kMaxTextBytes;
  std::string out;
  out.reserve(text.size());
  for (const char c : text.substr(0, kMaxTextBytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      out.push_back(c);
    } else {
      out.append("\\x");
      out.push_back(kHex[byte >> 4]);
      out.push_back(kHex[byte & 15]);
    }
  }
  if (cut) {
    out.append("...");
  }
  return out;
}

}  // namespace

absl::Status SetLogLevel(std::string_view name) {
  for (size_t i = 0; i < kLevelNames.size(); ++i) {
    if (kLevelNames[i] == name) {
      Logger().set_level(ToSpdlog(static_cast<LogLevel>(i)));
      return absl::OkStatus();
    }
  }
  return InvalidArgument("log-level", name, "one of debug, info, warning, error, off");
}

bool LogEnabled(LogLevel level) {
  return level != LogLevel::kOff && Logger().should_log(ToSpdlog(level));
}

void Log(LogLevel level, std::string_view text) {
  if (LogEnabled(level)) {
    Logger().log(ToSpdlog(level), Printable(text));
  }
}

LogLimiter::LogLimiter(absl::Duration interval, const Clock& clock)
    : interval_ns_(absl::ToInt64Nanoseconds(interval)), clock_(clock) {}

std::optional<uint64_t> LogLimiter::Pass() {
  const int64_t now = absl::ToInt64Nanoseconds(clock_.BootTime());
  int64_t next = next_ns_.load(std::memory_order_relaxed);
  if (now < next ||
      !next_ns_.compare_exchange_strong(next, now + interval_ns_, std::memory_order_relaxed)) {
    skipped_.fetch_add(1, std::memory_order_relaxed);
    return std::nullopt;
  }
  return skipped_.exchange(0, std::memory_order_relaxed);
}

}  // namespace atoll::base
