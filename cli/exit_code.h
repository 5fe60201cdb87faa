// How `atoll` ends. Documented in docs/operations.md and by `atoll --help`.
#pragma once

#include "absl/status/status.h"
#include "client/include/atoll/value.h"

namespace atoll::cli {

// Where several things were asked for, the worst, that is the greatest, counts.
enum ExitCode : int {
  kExitOk = 0,
  kExitMiss = 1,
  kExitRefused = 2,      // usage, or an argument that was refused
  kExitUnavailable = 3,  // unavailable, timed out or overloaded
  kExitAuth = 4,
  kExitConflict = 5,  // not stored, mismatch, no number, already exists
  kExitOther = 6,
};

ExitCode ExitCodeOf(const absl::Status& status);
ExitCode ExitCodeOf(Outcome outcome);

}  // namespace atoll::cli
