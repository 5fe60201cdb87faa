// How a command of atoll-bench ends: exit codes as the CLI `atoll` has them.
#pragma once

#include <cstdio>
#include <string_view>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"

namespace atoll::bench {

// 2 refused argument, 3 unavailable or timed out, 6 other.
inline int ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return 0;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
      return 2;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
      return 3;
    default:
      return 6;
  }
}

// Prints `atoll-bench: COMMAND: message` and ends the program through CLI11.
[[noreturn]] inline void Fail(std::string_view command, const absl::Status& status) {
  std::fprintf(stderr, "atoll-bench: %.*s: %s\n", static_cast<int>(command.size()), command.data(),
               std::string(status.message()).c_str());
  throw CLI::RuntimeError(ExitCodeOf(status));
}

}  // namespace atoll::bench
