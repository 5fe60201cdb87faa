// Errors that a caller can act on: an absl::Status that says why, by a word of a short list.
//
// The reason travels as a payload in the wire format of google.rpc.ErrorInfo {reason, domain
// "atoll", metadata}, under its type URL. So whoever turns a status into a gRPC one copies payloads
// as details and knows nothing of their content.
//
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/time/time.h"

namespace atoll::base {

inline constexpr std::string_view kErrorDomain = "atoll";
inline constexpr std::string_view kTypeUrlPrefix = "type.googleapis.com/";
inline constexpr std::string_view kErrorInfoUrl = "type.googleapis.com/google.rpc.ErrorInfo";

// The reasons. A wire contract: clients of all versions compare these words.
namespace reason {
inline constexpr std::string_view kBadArgument = "BAD_ARGUMENT";
inline constexpr std::string_view kUnknownNamespace = "UNKNOWN_NAMESPACE";
// Whether the write was applied is not known (docs/consistency.md); never to be retried blindly.
inline constexpr std::string_view kAmbiguous = "AMBIGUOUS";
// Refused before anything was done: safe to retry, elsewhere.
inline constexpr std::string_view kWrongOwner = "WRONG_OWNER";
// The partition has no primary that serves now: safe to retry, later.
inline constexpr std::string_view kNoPrimary = "NO_PRIMARY";
inline constexpr std::string_view kTooFewCopies = "TOO_FEW_COPIES";
inline constexpr std::string_view kDraining = "DRAINING";
inline constexpr std::string_view kOverload = "OVERLOAD";
inline constexpr std::string_view kNotController = "NOT_CONTROLLER";
inline constexpr std::string_view kNotANumber = "NOT_A_NUMBER";
inline constexpr std::string_view kOverflow = "OVERFLOW";
}  // namespace reason

// Metadata of an OVERLOAD: after how many milliseconds another try has a chance.
inline constexpr char kRetryAfterMs[] = "retry_after_ms";

using Metadata = std::map<std::string, std::string>;

// `status`, which is not OK, with a reason. One that it already has is replaced.
absl::Status WithReason(absl::Status status, std::string_view reason,
                        const Metadata& metadata = {});
// Empty if the status carries none (or one of another domain).
std::string Reason(const absl::Status& status);
bool HasReason(const absl::Status& status, std::string_view reason);
// Empty if there is none.
Metadata ReasonMetadata(const absl::Status& status);

// RESOURCE_EXHAUSTED, OVERLOAD. What is under way ends soon, as a rule: a few round trips to a
// replica are the default.
absl::Status Overloaded(std::string_view message,
                        absl::Duration retry_after = absl::Milliseconds(20));

// INVALID_ARGUMENT, BAD_ARGUMENT, `key: 1300 bytes, limit 1024`. `what` is what was sent.
absl::Status InvalidArgument(std::string_view field, std::string_view what, std::string_view limit);
absl::Status InvalidArgument(std::string_view field, std::string_view what, uint64_t limit);
// Without a limit: `ttl: negative`.
absl::Status InvalidArgument(std::string_view field, std::string_view what);

}  // namespace atoll::base
