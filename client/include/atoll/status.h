/// \file
/// What the errors of Atoll's calls mean.
///
/// - INVALID_ARGUMENT: refused as given; the message names the field, what was sent, and the limit.
/// - NOT_FOUND: no such namespace or node (never a missing key: that is Outcome::kMiss).
/// - ALREADY_EXISTS: the namespace exists.
/// - OUT_OF_RANGE: a counter would overflow; nothing was changed.
/// - FAILED_PRECONDITION, reason NOT_A_NUMBER: the entry is no counter; nothing was changed.
/// - RESOURCE_EXHAUSTED: overload, of a node or of this client's queue; not carried out.
/// - UNAVAILABLE: no node could be reached or take the call; not carried out.
/// - DEADLINE_EXCEEDED: no answer in time. A write may have been carried out, or be later.
/// - ABORTED, reason AMBIGUOUS: a write may or may not have been carried out.
/// - CANCELLED: the client was closed; a write may have been carried out.
/// - UNAUTHENTICATED, PERMISSION_DENIED: refused for who the caller is.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "atoll/namespace.h"  // must be the first

namespace atoll {

/// The machine-readable reason (google.rpc.ErrorInfo.reason), such as "AMBIGUOUS"; empty where the
/// status has none.
std::string ErrorReason(const absl::Status& status);

/// True if a write that ended so may nevertheless have been carried out.
bool MayHaveBeenApplied(const absl::Status& status);

}  // namespace atoll
