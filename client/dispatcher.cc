#include "client/dispatcher.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/status.h"
#include "rpc/status.h"
#include "rpc/timers.h"

namespace atoll::client {
namespace {

// Refusals by ownership that one operation follows. While a partition moves the map and the nodes
// may point at each other for a moment; past this, a node that forwards sorts it out.
constexpr int kMaxRedirects = 3;
constexpr absl::Duration kFirstPause = absl::Milliseconds(10);
// Pauses double this often, to about 160 ms, while a partition has no primary that serves.
constexpr int kMostDoublings = 4;
// A time-out of an operation that had less time than this says nothing about the node.
constexpr absl::Duration kTellingTimeout = absl::Milliseconds(250);

absl::Status Ambiguous(const absl::Status& cause) {
  return base::WithReason(absl::AbortedError(absl::StrCat(
                              "the write may or may not have been carried out: ", cause.message())),
                          base::reason::kAmbiguous);
}

absl::Duration Now() { return base::Clock::Real().BootTime(); }

}  // namespace

absl::Duration Dispatcher::Pause(int retry) {
  thread_local absl::BitGen random;
  return kFirstPause * (1 << std::min(retry - 1, kMostDoublings)) * absl::Uniform(random, 0.5, 1.5);
}

bool Dispatcher::IsPassingRefusal(const absl::Status& status) {
  return status.code() == absl::StatusCode::kUnavailable &&
         !base::HasReason(status, base::reason::kAmbiguous);
}

bool Dispatcher::MendFrom(const absl::Status& status) {
  const std::optional<v1::WrongOwner> detail = rpc::WrongOwnerOf(status);
  if (!detail.has_value()) return false;
  counters_.wrong_owner.fetch_add(1, std::memory_order_relaxed);
  const auto entry = ring::DecodePlacement(detail->placement(), detail->nodes());
  return entry.ok() && routes_->Mend(*entry);
}

bool Dispatcher::SpendRetry() {
  if (!budget_.Spend()) return false;
  counters_.retries.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void Dispatcher::Start(CallPtr call) {
  budget_.Earn();
  Try(std::move(call));
}

LinkPtr Dispatcher::Choose(Call& call, bool* forward) {
  *forward = false;
  const std::string owner = OwnerOf(call.partition);
  if (!owner.empty() && !call.through_another) {
    if (LinkPtr link = nodes_->LinkIfAllowed(owner)) return link;
  }
  *forward = true;
  counters_.through_others.fetch_add(1, std::memory_order_relaxed);
  return nodes_->AnyLink(call.failed_at.empty() ? owner : call.failed_at);
}

void Dispatcher::Try(CallPtr call) {
  bool forward = false;
  const LinkPtr link = closed() ? nullptr : Choose(*call, &forward);
  if (link == nullptr) {
    End(call, absl::CancelledError("the client is closed"), nullptr);
    return;
  }
  ++call->tries;
  rpc::BatchStream::Departs departs;
  if (call->departs != nullptr) {
    departs = [call] { call->departs(); };
  }
  rpc::BatchStream& stream = forward ? link->forwarding() : link->direct();
  // The link outlives the try in its own callback: a stream must not end on its poller.
  stream.Start(
      call->operation, call->deadline,
      [this, call, link](rpc::BatchReply reply) {
        OnReply(call, link->address(), std::move(reply));
      },
      std::move(departs));
}

void Dispatcher::OnReply(const CallPtr& call, const std::string& address, rpc::BatchReply reply) {
  if (reply.status.ok()) {
    nodes_->Record(address, true);
    End(call, absl::OkStatus(), reply.result);
  } else if (reply.fate == rpc::Fate::kAnswered) {
    OnRefused(call, address, std::move(reply.status));
  } else {
    OnBroken(call, address, std::move(reply.status), reply.fate);
  }
}

void Dispatcher::OnRefused(const CallPtr& call, const std::string& address, absl::Status status) {
  nodes_->Record(address, true);
  if (base::HasReason(status, base::reason::kWrongOwner)) {
    const bool mended = MendFrom(status);
    --call->tries;  // Following the map is no retry.
    if (++call->redirects > kMaxRedirects) {
      End(call, absl::UnavailableError("no node takes the key: ownership is changing"), nullptr);
      return;
    }
    // Not mended: the node is behind this client's map, or the map behind the node's past. One that
    // forwards knows, or holds the operation until it does.
    call->through_another = !mended || call->redirects == kMaxRedirects;
    if (!mended && call->redirects > 1) {
      RunAfter(Pause(call->redirects), [this, call] { Try(call); });
    } else {
      Try(call);
    }
    return;
  }
  if (base::HasReason(status, base::reason::kAmbiguous)) {
    call->may_be_applied = true;
    if (call->rule == RetryRule::kAlways) {
      Again(call, std::move(status), /*pause=*/true);
      return;
    }
  } else if (base::HasReason(status, base::reason::kNoPrimary)) {
    Await(call, std::move(status));
    return;
  } else if (IsPassingRefusal(status)) {
    call->failed_at = address;
    // It stops, and its roles are elsewhere, or soon will be: one that forwards finds them.
    call->through_another |= base::HasReason(status, base::reason::kDraining);
    Again(call, std::move(status), /*pause=*/true);
    return;
  }
  End(call, std::move(status), nullptr);
}

void Dispatcher::OnBroken(const CallPtr& call, const std::string& address, absl::Status status,
                          rpc::Fate fate) {
  const bool sent = fate == rpc::Fate::kSent;
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kUnimplemented:
      nodes_->Record(address, false);
      break;
    case absl::StatusCode::kCancelled:
      // The link was given up, since its node left the map: no fault of the operation.
      if (closed()) {
        End(call, std::move(status), nullptr);
        return;
      }
      status = absl::UnavailableError("the node left the cluster");
      break;
    case absl::StatusCode::kDeadlineExceeded:
      if (options_.timeout >= kTellingTimeout) nodes_->Record(address, false);
      call->may_be_applied = call->may_be_applied || sent;
      End(call, std::move(status), nullptr);
      return;
    default:
      End(call, std::move(status), nullptr);
      return;
  }
  call->failed_at = address;
  if (sent && call->write) call->may_be_applied = true;
  if (sent && call->rule == RetryRule::kOnlyUnapplied) {
    End(call, std::move(status), nullptr);
    return;
  }
  // Its own node failed it: the next try takes another way.
  call->through_another = true;
  Again(call, std::move(status), /*pause=*/call->tries > 1);
}

void Dispatcher::Await(const CallPtr& call, absl::Status status) {
  --call->tries;  // The refusal says that nothing was done, and that it will pass.
  const absl::Duration delay = Pause(++call->waits);
  if (Now() + delay >= call->deadline) {
    End(call, std::move(status), nullptr);
    return;
  }
  RunAfter(delay, [this, call] { Try(call); });
}

void Dispatcher::Again(const CallPtr& call, absl::Status status, bool pause) {
  const absl::Duration delay = pause ? Pause(call->tries) : absl::ZeroDuration();
  if (call->tries >= options_.max_attempts || Now() + delay >= call->deadline || !SpendRetry()) {
    End(call, std::move(status), nullptr);
    return;
  }
  if (delay == absl::ZeroDuration()) {
    Try(call);
  } else {
    RunAfter(delay, [this, call] { Try(call); });
  }
}

void Dispatcher::End(const CallPtr& call, absl::Status status, v1::OperationResult* result) {
  // What an earlier try may have done is not undone by the refusal of a later one.
  if (!status.ok() && call->write && call->may_be_applied &&
      status.code() != absl::StatusCode::kDeadlineExceeded &&
      status.code() != absl::StatusCode::kCancelled &&
      !base::HasReason(status, base::reason::kAmbiguous)) {
    status = Ambiguous(status);
  }
  auto done = std::move(call->done);
  done(std::move(status), result);
}

void Dispatcher::RunAfter(absl::Duration delay, absl::AnyInvocable<void()> task) {
  auto waiting = std::make_shared<Waiting>();
  waiting->task = std::move(task);
  bool run_now = false;
  {
    base::MutexLock lock(mu_);
    run_now = closed();
    if (!run_now) waiting_.insert(waiting);
  }
  if (run_now) {
    waiting->task();
    return;
  }
  nodes_->io(0).timers->After(delay, [this, waiting] {
    {
      base::MutexLock lock(mu_);
      if (waiting_.erase(waiting) == 0) return;  // Close ran it.
    }
    waiting->task();
  });
}

void Dispatcher::Close() {
  std::vector<std::shared_ptr<Waiting>> waiting;
  {
    base::MutexLock lock(mu_);
    closed_.store(true, std::memory_order_release);
    waiting.assign(waiting_.begin(), waiting_.end());
    waiting_.clear();
  }
  for (const auto& one : waiting) one->task();
}

}  // namespace atoll::client
