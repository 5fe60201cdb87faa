#include "client/reads.h"

#include <algorithm>
#include <utility>

#include "atoll/v1/cache.pb.h"
#include "base/clock.h"
#include "base/hash.h"
#include "client/translate.h"
#include "rpc/timers.h"
#include "rpc/value_block.h"
#include "rpc/wire/encode.h"

namespace atoll::client {
namespace {

absl::Duration Now() { return base::Clock::Real().BootTime(); }

}  // namespace

void ReadCall::Prepare(const Request& request, bool own) {
  wire::GetRequest get;
  get.ns = WireNamespace(request.ns);
  get.key = request.key;
  get.consistency =
      request.consistency == Consistency::kBounded ? v1::CONSISTENCY_BOUNDED : 0;  // 0: strict
  get.if_version_not = request.if_version_not;
  get.metadata_only = request.metadata_only;
  uint8_t* const start = bytes.Take(wire::kMaxGetHead + get.ns.size() + get.key.size());
  wire::GetRequest kept;
  uint8_t* const end = wire::WriteGetBody(get, start, &kept);
  head = {reinterpret_cast<const char*>(start), static_cast<size_t>(end - start)};
  flight_key.hash = base::HashKey(request.ns, request.key);
  flight_key.bounded = request.consistency == Consistency::kBounded;
  // What was written is a copy as good as any other.
  flight_key.ns = !own ? request.ns : kept.ns.empty() ? kDefaultNamespace : kept.ns;
  flight_key.key = own ? kept.key : request.key;
  if_version_not_ = request.if_version_not;
  metadata_only_ = request.metadata_only;
  expires = request.stream_deadline;
  partition = base::PartitionOfHash(flight_key.hash);
  deadline = request.deadline;
}

void ReadCall::Finish(rpc::BatchEnd& end) { reads_->OnEnd(this, end); }

// Leads those who came while a flight was in the air; nobody's own call.
class Reads::FollowUp final : public ReadCall {
 public:
  void Answer(absl::StatusOr<GetResult>&& /*result*/) override { delete this; }
  // What the flight before it read, if that was a value.
  GetResult previous;
};

void Reads::Get(ReadCall* call) {
  call->reads_ = this;
  if (large_.Has(call->flight_key.hash) && !call->metadata_only_) GoAsLarge(call);
  // Nobody is there to share with.
  if (call->alone && dispatcher_->TryLone(call)) return;
  call->alone = false;
  if (Collapses(*call)) {
    Board(call);
  } else {
    dispatcher_->Start(call);
  }
}

void Reads::Board(ReadCall* call) {
  call->tells_departure = call->in_flight_ = true;
  const absl::Duration expires = call->expires;
  // Not touched any more where it does not lead: it may be answered already.
  if (flights_.Board(call)) {
    dispatcher_->Start(call);
    return;
  }
  collapsed_.fetch_add(1, std::memory_order_relaxed);
  ScheduleExpiry(expires);
}

bool Reads::BoardLate(ReadCall* call) {
  call->in_flight_ = true;
  const absl::Duration expires = call->expires;
  if (flights_.Board(call)) {
    call->Depart();
    return true;
  }
  collapsed_.fetch_add(1, std::memory_order_relaxed);
  ScheduleExpiry(expires);
  return false;
}

void Reads::OnEnd(ReadCall* call, rpc::BatchEnd& end) {
  if (!end.status.ok()) return Land(call, std::move(end.status));
  if (end.result != nullptr) {
    const wire::GetResponse& got = end.result->get;
    if (got.outcome == v1::OUTCOME_USE_STREAM) return OnUseStream(call, got.size);
    return OnResult(call, ToGetResult(got, *end.values));
  }
  v1::GetResponse* const got = end.message->mutable_get();
  if (got->outcome() == v1::OUTCOME_USE_STREAM) return OnUseStream(call, got->size());
  OnResult(call, ToGetResult(got));
}

void Reads::OnResult(ReadCall* call, absl::StatusOr<GetResult>&& result) {
  if (call->large && result.ok() && result->outcome != Outcome::kUnchanged) {
    const bool large = result->value.size() > kMaxInlineBytes;
    large_.Note(call->flight_key.hash, large);
    if (large) streamed_.fetch_add(1, std::memory_order_relaxed);
  }
  Land(call, std::move(result));
}

void Reads::OnUseStream(ReadCall* call, uint64_t size) {
  if (!call->in_flight_ && Collapses(*call) && !BoardLate(call)) return;
  // A node of before such streams answers so there, too.
  if (call->large || size > kMostWholeBytes) return Fetch(call);
  GoAsLarge(call);
  dispatcher_->StartAgain(call);
}

void Reads::GoAsLarge(ReadCall* call) {
  call->large = true;
  call->alone = false;
  call->deadline = call->expires;
}

void Reads::Fetch(ReadCall* call) {
  // One more message is nothing beside its value.
  large_.Note(call->flight_key.hash, false);
  streamed_.fetch_add(1, std::memory_order_relaxed);
  v1::GetRequest get;
  get.set_namespace_(std::string(call->flight_key.ns));
  get.set_key(std::string(call->flight_key.key));
  get.set_consistency(call->flight_key.bounded ? v1::CONSISTENCY_BOUNDED : v1::CONSISTENCY_STRICT);
  get.set_if_version_not(call->if_version_not_);
  transfers_->Get(
      std::move(get), call->partition, call->expires,
      [this, call](absl::StatusOr<GetResult> fetched) { Land(call, std::move(fetched)); });
}

void Reads::Land(ReadCall* leader, absl::StatusOr<GetResult>&& result) {
  if (!leader->in_flight_) {
    leader->Answer(std::move(result));
    return;
  }
  if (leader->follows_up_ && result.ok() && result->outcome == Outcome::kUnchanged) {
    result->outcome = Outcome::kOk;
    result->value = static_cast<FollowUp*>(leader)->previous.value;
  }
  leader->counts = leader->counted = leader->engine != nullptr && result.ok();
  FollowUp* next = nullptr;
  FlightList landed = flights_.Land(leader, [&](const FlightList& waiting) {
    next = new FollowUp;
    ReadCall::Request request{
        .ns = leader->flight_key.ns,
        .key = leader->flight_key.key,
        .consistency = leader->flight_key.bounded ? Consistency::kBounded : Consistency::kStrict};
    if (result.ok()) {
      next->previous = *result;
      if (result->outcome == Outcome::kOk) request.if_version_not = result->version;
    }
    // As long as the most patient of them waits.
    request.deadline = request.stream_deadline = -absl::InfiniteDuration();
    waiting.ForEach([&request](FlightRead* read) {
      request.deadline = std::max(request.deadline, static_cast<ReadCall*>(read)->deadline);
      request.stream_deadline = std::max(request.stream_deadline, read->expires);
    });
    next->Prepare(request, /*own=*/true);
    next->reads_ = this;
    next->tells_departure = next->in_flight_ = next->follows_up_ = true;
    if (large_.Has(next->flight_key.hash)) GoAsLarge(next);
    return next;
  });
  if (next != nullptr) dispatcher_->Start(next);
  if (!landed.empty()) {
    const bool timed_out = absl::IsDeadlineExceeded(result.status()) && !dispatcher_->closed();
    const absl::Duration now = timed_out ? Now() : absl::ZeroDuration();
    while (auto* const read = static_cast<ReadCall*>(landed.PopFront())) {
      // The flight had less time than this caller has.
      if (timed_out && read->deadline > now + absl::Milliseconds(1)) {
        Board(read);
      } else {
        read->Answer(absl::StatusOr<GetResult>(result));
      }
    }
  }
  leader->Answer(std::move(result));
}

void Reads::ScheduleExpiry(absl::Duration when) {
  base::MutexLock lock(mu_);
  if (when >= expiry_at_) return;
  expiry_at_ = when;
  dispatcher_->nodes().io(0).timers->At(when, [this, when] { Expire(when); });
}

void Reads::Expire(absl::Duration scheduled_for) {
  {
    base::MutexLock lock(mu_);
    if (expiry_at_ != scheduled_for) return;  // An earlier one took over.
    expiry_at_ = absl::InfiniteDuration();
  }
  absl::Duration next;
  FlightList expired = flights_.Expire(Now(), &next);
  if (next != absl::InfiniteDuration()) ScheduleExpiry(next);
  while (auto* const read = static_cast<ReadCall*>(expired.PopFront())) {
    read->Answer(absl::DeadlineExceededError("waiting for an identical read under way"));
  }
}

}  // namespace atoll::client
