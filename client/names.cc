// The words and small questions of the public types.
#include "base/status.h"
#include "client/include/atoll/admin.h"
#include "client/include/atoll/status.h"
#include "client/include/atoll/value.h"

namespace atoll {

std::string_view OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kOk:
      return "ok";
    case Outcome::kMiss:
      return "miss";
    case Outcome::kNotStored:
      return "not_stored";
    case Outcome::kMismatch:
      return "mismatch";
    case Outcome::kUnchanged:
      return "unchanged";
  }
  return "unknown";
}

std::string_view NodeStateName(NodeState state) {
  switch (state) {
    case NodeState::kUnknown:
      return "unknown";
    case NodeState::kUp:
      return "up";
    case NodeState::kDraining:
      return "draining";
    case NodeState::kLeaving:
      return "leaving";
    case NodeState::kDown:
      return "down";
  }
  return "unknown";
}

std::string_view TierName(Tier tier) {
  switch (tier) {
    case Tier::kUnknown:
      return "unknown";
    case Tier::kAbsent:
      return "absent";
    case Tier::kMemory:
      return "memory";
    case Tier::kDisk:
      return "disk";
  }
  return "unknown";
}

std::string ErrorReason(const absl::Status& status) { return base::Reason(status); }

bool MayHaveBeenApplied(const absl::Status& status) {
  return status.code() == absl::StatusCode::kDeadlineExceeded ||
         status.code() == absl::StatusCode::kCancelled ||
         base::HasReason(status, base::reason::kAmbiguous);
}

}  // namespace atoll
