#include "client/dispatcher.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "base/clock.h"
#include "base/status.h"
#include "rpc/batch_stream.h"
#include "rpc/lone_stream.h"
#include "rpc/status.h"
#include "rpc/timers.h"
#include "rpc/wake_group.h"

namespace atoll::client {
namespace {

// A time-out of an operation that had less time than this says nothing about the node.
constexpr absl::Duration kTellingTimeout = absl::Milliseconds(250);

absl::Duration Left(const Call& call) { return call.deadline - base::Clock::Real().BootTime(); }

// What a poller's last call that was answered had for a link. The next one, which the callback
// starts, mostly goes the same way: it takes it over, so that nothing is counted. Nothing else is
// to hold a link for long, but a poller ends before them.
thread_local LinkPtr spare_link;
thread_local rpc::BatchStream* spare_stream = nullptr;  // of it

constexpr size_t kPartitions = size_t{1} << base::kPartitionBits;

}  // namespace

Dispatcher::Dispatcher(const ClientOptions& options, Nodes* nodes, RouteTable* routes)
    : options_(options),
      nodes_(nodes),
      routes_(routes),
      policy_(options.max_attempts, options.retry_budget),
      ways_(kPartitions),
      seen_(std::make_unique<std::atomic<const NodeLink*>[]>(kPartitions)) {}

void Call::OnEnd(rpc::BatchEnd& end) {
  if (end.status.ok()) {
    dispatcher_->OnSuccess(this, end);
  } else {
    dispatcher_->OnError(this, end);
  }
}

bool Dispatcher::MendFrom(const absl::Status& status) {
  const std::optional<v1::WrongOwner> detail = rpc::WrongOwnerOf(status);
  if (!detail.has_value()) return false;
  counters_.wrong_owner.fetch_add(1, std::memory_order_relaxed);
  const auto entry = ring::DecodePlacement(detail->placement(), detail->nodes());
  return entry.ok() && routes_->Mend(*entry);
}

LinkPtr Dispatcher::OwnersLink(base::PartitionId partition) {
  if (!options_.route_to_owners) return nullptr;
  // Before the look at the table, so that a change meanwhile is found by the next call.
  const uint64_t version = routes_->version();
  {
    base::BriefLockHold lock(ways_mu_);
    const Way& way = ways_[partition.value()];
    if (way.link != nullptr && way.version == version && way.link->untroubled()) return way.link;
  }
  const std::string owner = routes_->AddressOf(partition);
  if (owner.empty()) return nullptr;
  LinkPtr link = nodes_->LinkIfAllowed(owner);
  LinkPtr before;  // Let go of without the lock.
  base::BriefLockHold lock(ways_mu_);
  before = std::exchange(ways_[partition.value()].link, link);
  ways_[partition.value()].version = version;
  if (seen_version_.load(std::memory_order_relaxed) < version) {
    for (size_t i = 0; i < kPartitions; ++i) seen_[i].store(nullptr, std::memory_order_relaxed);
    seen_version_.store(version, std::memory_order_release);
  }
  if (seen_version_.load(std::memory_order_relaxed) == version) {
    seen_[partition.value()].store(link.get(), std::memory_order_relaxed);
  }
  return link;
}

void Dispatcher::WaysOf(absl::Span<const base::PartitionId> partitions, const NodeLink** ways) {
  if (!options_.route_to_owners) {
    std::fill_n(ways, partitions.size(), nullptr);
    return;
  }
  const uint64_t version = routes_->version();
  bool all = true;
  {
    base::BriefLockHold lock(ways_mu_);
    for (size_t i = 0; i < partitions.size(); ++i) {
      const Way& way = ways_[partitions[i].value()];
      ways[i] = way.version == version ? way.link.get() : nullptr;
      all = all && ways[i] != nullptr;
    }
  }
  if (all) return;
  for (size_t i = 0; i < partitions.size(); ++i) {
    if (ways[i] == nullptr) ways[i] = OwnersLink(partitions[i]).get();
  }
}

void Dispatcher::ForgetWays() {
  std::vector<Way> before(kPartitions);
  base::BriefLockHold lock(ways_mu_);
  ways_.swap(before);
}

LinkPtr Dispatcher::Choose(Call& call, bool* forward) {
  *forward = false;
  if (!call.attempts.through_another) {
    if (call.link_ != nullptr) return std::move(call.link_);
    if (LinkPtr link = OwnersLink(call.partition)) return link;
  }
  *forward = true;
  counters_.through_others.fetch_add(1, std::memory_order_relaxed);
  return nodes_->AnyLink(call.failed_at_.empty() ? OwnerOf(call.partition) : call.failed_at_);
}

bool Dispatcher::TryAlike(Call* call) {
  NodeLink* const link = spare_link.get();
  if (link == nullptr || call->link_ != nullptr || call->attempts.through_another || closed() ||
      seen_version_.load(std::memory_order_acquire) != routes_->version() ||
      seen_[call->partition.value()].load(std::memory_order_relaxed) != link ||
      !link->untroubled()) {
    return false;
  }
  // By its stream, which has one operation less: if it was not too full it is not now.
  rpc::BatchStream* const stream = spare_stream;
  if (call->large != (stream == &link->large())) return false;
  if (!stream->PutsOff()) return false;
  ++call->attempts.tries;
  call->dispatcher_ = this;
  call->stream_ = stream;
  call->link_ = std::move(spare_link);
  stream->StartSoon(call);
  return true;
}

void Dispatcher::Try(Call* call) {
  if (TryAlike(call)) return;
  bool forward = false;
  // Held until Start returns: the call may be over by then, and another thread have let it go.
  LinkPtr link = closed() ? nullptr : Choose(*call, &forward);
  if (link == nullptr) {
    End(call, absl::CancelledError("the client is closed"));
    return;
  }
  ++call->attempts.tries;
  call->dispatcher_ = this;
  rpc::BatchStream& stream = call->large ? link->large()
                             : forward   ? link->forwarding()
                                         : link->Direct();
  call->stream_ = &stream;
  if (stream.PutsOff()) {
    call->link_ = std::move(link);
    stream.StartSoon(call);
    return;
  }
  call->link_ = link;
  stream.StartSoon(call);
  link->RecallPoller();
}

void Dispatcher::SlowDown(const Call& call, NodeLink& link, const absl::Status& status) {
  if (!base::HasReason(status, base::reason::kOverload)) return;
  const base::Metadata metadata = base::ReasonMetadata(status);
  const auto asked = metadata.find(std::string(base::kRetryAfterMs));
  int64_t ms = 0;
  if (asked == metadata.end() || !absl::SimpleAtoi(asked->second, &ms)) ms = 0;
  const absl::Duration pause = absl::Milliseconds(ms);
  if (call.stream_ != nullptr) {
    call.stream_->Overloaded(call.message(), pause);
  } else {
    link.Direct().Overloaded(0, pause);
  }
}

bool Dispatcher::TryLone(Call* call) {
  if (closed()) return false;
  LinkPtr link = OwnersLink(call->partition);
  if (link == nullptr) return false;
  if (!link->CallerIsAlone()) {
    call->link_ = link;
    if (call->waiter != nullptr) {
      // Who asks while one message is under way goes by the next.
      call->waiter->JoinGroup(link->next_message());
      rpc::BatchStream* const stream = &link->Direct();
      if (stream->crowded()) call->waiter->JoinCrowd({std::move(link), stream});
    }
    return false;
  }
  ++call->attempts.tries;
  call->dispatcher_ = this;
  call->link_ = link;
  call->stream_ = nullptr;
  nodes_->LoneCall();
  policy_.Earn();
  // Afterwards nothing but the link is sure to be there: the client may be closed by then.
  if (link->lone().Run(call)) return true;
  --call->attempts.tries;
  call->link_ = nullptr;
  return false;
}

void Dispatcher::OnSuccess(Call* call, rpc::BatchEnd& end) {
  nodes_->Record(*call->link_, true);
  if (call->stream_ == nullptr || !call->stream_->PutsOff()) {
    const LinkPtr link = std::move(call->link_);
    call->Finish(end);
    return;
  }
  // The stream is there for as long as this thread hands out its answers.
  if (spare_link != call->link_) spare_link = std::move(call->link_);
  spare_stream = call->stream_;
  call->Finish(end);
}

void Dispatcher::OnError(Call* call, rpc::BatchEnd& end) {
  const LinkPtr link = std::move(call->link_);
  if (end.fate == rpc::Fate::kAnswered) {
    nodes_->Record(*link, true);
    if (absl::IsResourceExhausted(end.status)) SlowDown(*call, *link, end.status);
    const bool mended = MendFrom(end.status);
    if (RetryPolicy::IsPassingRefusal(end.status)) call->failed_at_ = link->address();
    Follow(call, policy_.AfterRefusal(call->attempts, end.status, mended, Left(*call)));
    return;
  }
  switch (end.status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kUnimplemented:
      nodes_->Record(*link, false);
      break;
    case absl::StatusCode::kDeadlineExceeded:
      // Nor does one of a large value: it may have been another's turn for all of its time.
      if (!call->large && options_.timeout >= kTellingTimeout) nodes_->Record(*link, false);
      break;
    default:
      break;
  }
  call->failed_at_ = link->address();
  Follow(call, policy_.AfterBreak(call->attempts, end.status, end.fate, closed(), Left(*call)));
}

void Dispatcher::Follow(Call* call, Decision decision) {
  if (!decision.end.ok()) {
    End(call, std::move(decision.end));
  } else if (decision.pause == absl::ZeroDuration()) {
    Try(call);
  } else {
    RunAfter(decision.pause, [this, call] { Try(call); });
  }
}

void Dispatcher::End(Call* call, absl::Status error) {
  rpc::BatchEnd end{.status = RetryPolicy::Final(call->attempts, std::move(error))};
  call->Finish(end);
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
