#include "server/routing/attempt.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "rpc/status.h"
#include "server/routing/wire.h"

namespace atoll::routing {
namespace {

using replication::Operation;
using replication::OperationResult;
using replication::OpKind;

constexpr absl::Duration kFirstPause = absl::Milliseconds(5);
constexpr absl::Duration kLongestPause = absl::Milliseconds(100);

bool SafeTwice(const Operation& operation) {
  return !replication::IsWrite(operation.kind) || operation.request_id.client != 0;
}

absl::Status NoOwner(base::PartitionId partition) {
  return base::WithReason(
      absl::UnavailableError(absl::StrCat("partition ", partition.value(), ": nobody owns it now")),
      base::reason::kNoPrimary);
}

OperationResult Failed(absl::Status status) {
  OperationResult result;
  result.status = std::move(status);
  return result;
}

}  // namespace

Verdict Judge(const Operation& operation, const absl::Status& status, rpc::Fate fate) {
  if (status.ok()) return Verdict::kFinish;
  switch (fate) {
    case rpc::Fate::kAnswered: {
      const std::string reason = base::Reason(status);
      const bool not_now = reason == base::reason::kWrongOwner ||
                           reason == base::reason::kNoPrimary || reason == base::reason::kDraining;
      return not_now ? Verdict::kRetry : Verdict::kFinish;
    }
    case rpc::Fate::kNotSent:
      return absl::IsUnavailable(status) ? Verdict::kRetry : Verdict::kFinish;
    case rpc::Fate::kSent:
      if (SafeTwice(operation)) {
        return absl::IsUnavailable(status) ? Verdict::kRetry : Verdict::kFinish;
      }
      return Verdict::kAmbiguous;
  }
  return Verdict::kFinish;
}

Router::Attempt::Attempt(Router* router, const Operation& operation, replication::Done done,
                         rpc::BatchStream::Departs departs)
    : router_(router),
      operation_(operation),
      done_(std::move(done)),
      departs_(std::move(departs)),
      pause_(kFirstPause) {}

Router::Attempt::~Attempt() {
  if (done_ == nullptr) return;
  Finish(Failed(
      base::WithReason(absl::UnavailableError("this node is stopping"), base::reason::kDraining)));
}

void Router::Attempt::Finish(OperationResult result) {
  auto done = std::exchange(done_, nullptr);
  done(std::move(result));
}

void Router::Attempt::Run(bool by_stream) {
  by_stream_ = by_stream;
  if (hint_.has_value()) {
    const ring::Member owner = *std::exchange(hint_, std::nullopt);
    if (owner.incarnation != router_->view_->self()) return Send(owner);
  }
  const cluster::MapPtr map = router_->view_->map();
  const base::PartitionId partition = operation_.key.partition();
  if (map->partitions.empty() || map->at(partition).primary.value() == 0) {
    return OnResult(Failed(NoOwner(partition)), rpc::Fate::kAnswered);
  }
  const base::Incarnation primary = map->at(partition).primary;
  if (primary == router_->view_->self()) {
    if (departs_ != nullptr) std::exchange(departs_, nullptr)();
    router_->replicator_->Execute(operation_, [self = shared_from_this()](OperationResult result) {
      self->OnResult(std::move(result), rpc::Fate::kAnswered);
    });
    return;
  }
  const ring::Member* owner = map->FindMember(primary);
  if (owner == nullptr || router_->forwarder_ == nullptr) {
    return OnResult(Failed(NoOwner(partition)), rpc::Fate::kAnswered);
  }
  Send(*owner);
}

void Router::Attempt::Send(const ring::Member& owner) {
  if (!std::exchange(counted_, true)) {
    router_->counters_.forwarded.fetch_add(1, std::memory_order_relaxed);
  }
  auto on_stream = [self = shared_from_this()](Forwarder::StreamReply reply) {
    self->OnResult(std::move(reply.result), reply.fate);
  };
  if (by_stream_) {
    router_->counters_.value_fetches.fetch_add(1, std::memory_order_relaxed);
    return router_->forwarder_->Fetch(owner, operation_, std::move(on_stream));
  }
  uint64_t size = 0;
  for (const std::string_view piece : operation_.value) size += piece.size();
  if (operation_.kind == OpKind::kSet && size > kExchangeValueBytes) {
    return router_->forwarder_->Store(owner, operation_, std::move(on_stream));
  }
  if (bytes_ == nullptr) bytes_ = rpc::EncodeOperation(EncodeOperation(operation_));
  rpc::BatchStream::Departs departs;
  if (departs_ != nullptr) {
    departs = [self = shared_from_this()] {
      if (self->departs_ != nullptr) std::exchange(self->departs_, nullptr)();
    };
  }
  router_->forwarder_->Forward(
      owner, bytes_, operation_.deadline,
      [self = shared_from_this()](rpc::BatchReply reply) {
        if (!reply.status.ok()) return self->OnResult(Failed(std::move(reply.status)), reply.fate);
        self->OnResult(
            DecodeResult(self->operation_.kind, self->router_->clock_->Now(), reply.result),
            rpc::Fate::kAnswered);
      },
      std::move(departs));
}

void Router::Attempt::OnResult(OperationResult result, rpc::Fate fate) {
  const Verdict verdict = Judge(operation_, result.status, fate);
  if (verdict == Verdict::kFinish) return Finish(std::move(result));
  if (verdict == Verdict::kAmbiguous) {
    return Finish(
        Failed(base::WithReason(absl::AbortedError(absl::StrCat("the write may have been applied: ",
                                                                result.status.message())),
                                base::reason::kAmbiguous)));
  }
  if (const auto detail = rpc::WrongOwnerOf(result.status); detail.has_value()) {
    const auto decoded = ring::DecodePlacement(detail->placement(), detail->nodes());
    if (decoded.ok() && detail->map_version() > router_->view_->map()->version) {
      for (const ring::Member& member : decoded->members) {
        if (member.incarnation == decoded->placement.primary) hint_ = member;
      }
    }
  }
  const absl::Duration now = base::Clock::Real().BootTime();
  if (now + pause_ >= operation_.deadline || router_->stopped_.load(std::memory_order_relaxed)) {
    // A plain caller has no use for a map entry.
    if (base::HasReason(result.status, base::reason::kWrongOwner)) {
      return Finish(Failed(NoOwner(operation_.key.partition())));
    }
    return Finish(std::move(result));
  }
  router_->counters_.retries.fetch_add(1, std::memory_order_relaxed);
  // The hint says more than time could.
  const absl::Duration pause = hint_.has_value() ? absl::ZeroDuration() : pause_;
  pause_ = std::min(pause_ * 2, kLongestPause);
  router_->timers_->After(
      pause, [self = shared_from_this(), by_stream = by_stream_] { self->Run(by_stream); });
}

}  // namespace atoll::routing
