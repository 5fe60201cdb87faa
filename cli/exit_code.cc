#include "cli/exit_code.h"

namespace atoll::cli {

ExitCode ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:  // a namespace or a node; a missing key is no error
      return kExitRefused;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
      return kExitUnavailable;
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return kExitAuth;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kOutOfRange:          // a counter would overflow
    case absl::StatusCode::kFailedPrecondition:  // the entry is no counter
      return kExitConflict;
    default:
      return kExitOther;
  }
}

ExitCode ExitCodeOf(Outcome outcome) {
  switch (outcome) {
    case Outcome::kOk:
    case Outcome::kUnchanged:
      return kExitOk;
    case Outcome::kMiss:
      return kExitMiss;
    case Outcome::kNotStored:
    case Outcome::kMismatch:
      return kExitConflict;
  }
  return kExitOther;
}

}  // namespace atoll::cli
