#include "client/reads.h"

#include <string>
#include <utility>

#include "atoll/v1/cache.pb.h"
#include "base/clock.h"
#include "base/hash.h"
#include "client/translate.h"
#include "rpc/timers.h"

namespace atoll::client {
namespace {

absl::Duration Now() { return base::Clock::Real().BootTime(); }

v1::GetRequest ToMessage(const ReadRequest& request) {
  v1::GetRequest message;
  message.set_namespace_(request.ns);
  message.set_key(request.key);
  message.set_consistency(request.consistency == Consistency::kBounded ? v1::CONSISTENCY_BOUNDED
                                                                       : v1::CONSISTENCY_STRICT);
  message.set_if_version_not(request.if_version_not);
  message.set_metadata_only(request.metadata_only);
  return message;
}

}  // namespace

void Reads::Get(ReadRequest request, Callback done) {
  // What asks for other than the value is not for sharing.
  if (!options_.collapse_reads || request.if_version_not != 0 || request.metadata_only) {
    Send(request, nullptr, std::move(done));
    return;
  }
  auto waiter = std::make_shared<Waiter>();
  waiter->request = std::move(request);
  waiter->done = std::move(done);
  Board(std::move(waiter));
}

void Reads::Board(WaiterPtr waiter) {
  const ReadRequest& request = waiter->request;
  const FlightKey key{request.ns, request.key, request.consistency};
  const absl::Duration deadline = request.deadline;
  const absl::Duration stream_deadline = request.stream_deadline;
  const bool lead = request.consistency == Consistency::kBounded ? flights_.BoardAny(key, waiter)
                                                                 : flights_.Board(key, waiter);
  if (lead) {
    Launch(key, deadline, stream_deadline, GetResult());
    return;
  }
  collapsed_.fetch_add(1, std::memory_order_relaxed);
  // Others' requests have others' deadlines.
  waiter->timer = Timers().At(stream_deadline, [weak = std::weak_ptr(waiter)] {
    if (const WaiterPtr waiting = weak.lock()) {
      waiting->End(absl::DeadlineExceededError("waiting for an identical read under way"));
    }
  });
}

rpc::Timers& Reads::Timers() { return *dispatcher_->nodes().io(0).timers; }

void Reads::Launch(const FlightKey& key, absl::Duration deadline, absl::Duration stream_deadline,
                   GetResult previous) {
  ReadRequest request;
  request.ns = key.ns;
  request.key = key.key;
  request.consistency = key.consistency;
  request.if_version_not = previous.outcome == Outcome::kOk ? previous.version : 0;
  request.deadline = deadline;
  request.stream_deadline = stream_deadline;
  Send(
      request, [this, key] { flights_.Depart(key); },
      [this, key, previous = std::move(previous)](absl::StatusOr<GetResult> result) {
        if (result.ok() && result->outcome == Outcome::kUnchanged) {
          result->outcome = Outcome::kOk;
          result->value = previous.value;
        }
        Land(key, result);
      });
}

void Reads::Land(const FlightKey& key, const absl::StatusOr<GetResult>& result) {
  auto landing = flights_.Land(key);
  if (landing.next) {
    // Whoever boarded meanwhile keeps its own deadline.
    const absl::Duration now = Now();
    Launch(key, now + options_.timeout, now + options_.stream_timeout,
           result.ok() ? *result : GetResult());
  }
  const bool timed_out = absl::IsDeadlineExceeded(result.status());
  const absl::Duration now = Now();
  for (WaiterPtr& waiter : landing.waiters) {
    // The flight had less time than this caller has.
    if (timed_out && waiter->request.deadline > now + absl::Milliseconds(1) &&
        !dispatcher_->closed()) {
      Board(std::move(waiter));
    } else {
      waiter->End(result);
      if (const uint64_t timer = waiter->timer; timer != 0) Timers().Cancel(timer);
    }
  }
}

void Reads::Send(const ReadRequest& request, absl::AnyInvocable<void()> departs, Callback done) {
  v1::Operation operation;
  *operation.mutable_get() = ToMessage(request);
  auto call = std::make_shared<Call>();
  call->operation = rpc::EncodeOperation(operation);
  call->partition = base::PartitionOfHash(base::HashKey(request.ns, request.key));
  call->deadline = request.deadline;
  call->departs = std::move(departs);
  call->done = [this, partition = call->partition, request = std::move(*operation.mutable_get()),
                stream_deadline = request.stream_deadline,
                done = std::move(done)](absl::Status status, v1::OperationResult* result) mutable {
    if (!status.ok()) {
      done(std::move(status));
      return;
    }
    if (result->get().outcome() == v1::OUTCOME_USE_STREAM) {
      streamed_.fetch_add(1, std::memory_order_relaxed);
      transfers_->Get(std::move(request), partition, stream_deadline, std::move(done));
      return;
    }
    done(ToGetResult(result->mutable_get()));
  };
  dispatcher_->Start(std::move(call));
}

}  // namespace atoll::client
