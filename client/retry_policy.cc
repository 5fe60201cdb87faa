#include "client/retry_policy.h"

#include <algorithm>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace atoll::client {
namespace {

constexpr absl::Duration kFirstPause = absl::Milliseconds(10);
// Pauses double this often, to about 160 ms, while a partition has no primary that serves.
constexpr int kMostDoublings = 4;

}  // namespace

absl::Duration RetryPolicy::Pause(int retry) {
  thread_local absl::BitGen random;
  return kFirstPause * (1 << std::min(retry - 1, kMostDoublings)) * absl::Uniform(random, 0.5, 1.5);
}

bool RetryPolicy::IsPassingRefusal(const absl::Status& status) {
  return status.code() == absl::StatusCode::kUnavailable &&
         !base::HasReason(status, base::reason::kAmbiguous);
}

bool RetryPolicy::Spend() {
  if (!budget_.Spend()) return false;
  retries_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

Decision RetryPolicy::AfterRefusal(Attempts& attempts, const absl::Status& status, bool mended,
                                   absl::Duration left) {
  if (base::HasReason(status, base::reason::kWrongOwner)) {
    --attempts.tries;  // Following the map is no retry.
    if (++attempts.redirects > kMaxRedirects) {
      return {absl::UnavailableError("no node takes the key: ownership is changing"), {}};
    }
    // Not mended: the node is behind this client's map, or the map behind the node's past. One that
    // forwards knows, or holds the operation until it does.
    attempts.through_another = !mended || attempts.redirects == kMaxRedirects;
    const bool pause = !mended && attempts.redirects > 1;
    return {absl::OkStatus(), pause ? Pause(attempts.redirects) : absl::ZeroDuration()};
  }
  if (base::HasReason(status, base::reason::kAmbiguous)) {
    attempts.may_be_applied = true;
    if (attempts.rule != RetryRule::kAlways) return {status, {}};
    return Again(attempts, status, /*pause=*/true, left);
  }
  if (base::HasReason(status, base::reason::kNoPrimary)) {
    // The refusal says that nothing was done, and that it will pass: the operation waits as long as
    // its deadline allows. That costs about six small refusals a second for each caller.
    --attempts.tries;
    const absl::Duration pause = Pause(++attempts.waits);
    if (pause >= left) return {status, {}};
    return {absl::OkStatus(), pause};
  }
  if (IsPassingRefusal(status)) {
    // It stops, and its roles are elsewhere, or soon will be: one that forwards finds them.
    attempts.through_another |= base::HasReason(status, base::reason::kDraining);
    return Again(attempts, status, /*pause=*/true, left);
  }
  return {status, {}};
}

Decision RetryPolicy::AfterBreak(Attempts& attempts, const absl::Status& status, rpc::Fate fate,
                                 bool closed, absl::Duration left) {
  const bool sent = fate == rpc::Fate::kSent;
  absl::Status cause = status;
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kUnimplemented:
      break;
    case absl::StatusCode::kCancelled:
      if (closed) return {status, {}};
      // The link was given up, since its node left the map: no fault of the operation.
      cause = absl::UnavailableError("the node left the cluster");
      break;
    case absl::StatusCode::kDeadlineExceeded:
      attempts.may_be_applied = attempts.may_be_applied || sent;
      return {status, {}};
    default:
      return {status, {}};
  }
  if (sent && attempts.write) attempts.may_be_applied = true;
  if (sent && attempts.rule == RetryRule::kOnlyUnapplied) return {cause, {}};
  // Its own node failed it: the next try takes another way.
  attempts.through_another = true;
  return Again(attempts, cause, /*pause=*/attempts.tries > 1, left);
}

Decision RetryPolicy::Again(const Attempts& attempts, const absl::Status& status, bool pause,
                            absl::Duration left) {
  const absl::Duration delay = pause ? Pause(attempts.tries) : absl::ZeroDuration();
  if (attempts.tries >= max_attempts_ || delay >= left || !Spend()) return {status, {}};
  return {absl::OkStatus(), delay};
}

absl::Status RetryPolicy::Final(const Attempts& attempts, absl::Status status) {
  if (status.ok() || !attempts.write || !attempts.may_be_applied ||
      status.code() == absl::StatusCode::kDeadlineExceeded ||
      status.code() == absl::StatusCode::kCancelled ||
      base::HasReason(status, base::reason::kAmbiguous)) {
    return status;
  }
  return base::WithReason(
      absl::AbortedError(
          absl::StrCat("the write may or may not have been carried out: ", status.message())),
      base::reason::kAmbiguous);
}

}  // namespace atoll::client
