#include "client/reads.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "atoll/v1/cache.pb.h"
#include "base/clock.h"
#include "base/hash.h"
#include "client/get_calls.h"
#include "client/translate.h"
#include "rpc/timers.h"
#include "rpc/value_block.h"
#include "rpc/wire/encode.h"

namespace atoll::client {
namespace {

absl::Duration Now() { return base::Clock::Real().BootTime(); }

}  // namespace

void ReadCall::Prepare(const Request& request, bool own) {
  request_ = request;
  wire::GetRequest get;
  get.ns = WireNamespace(request.ns);
  get.key = request.key;
  get.consistency =
      request.consistency == Consistency::kBounded ? v1::CONSISTENCY_BOUNDED : 0;  // 0: strict
  get.if_version_not = request.if_version_not;
  get.metadata_only = request.metadata_only;
  const size_t message = wire::Size(get);
  const size_t body = wire::BodySize(message);
  uint8_t* const start = bytes.Take(own ? body + request.ns.size() + request.key.size() : body);
  uint8_t* end = wire::Write(get, wire::WriteBodyHead(wire::Kind::kGet, message, start));
  head = {reinterpret_cast<const char*>(start), static_cast<size_t>(end - start)};
  if (own) {
    const auto keep = [&end](std::string_view* view) {
      const char* const kept = reinterpret_cast<const char*>(end);
      if (!view->empty()) std::memcpy(end, view->data(), view->size());
      end += view->size();
      *view = {kept, view->size()};
    };
    keep(&request_.ns);
    keep(&request_.key);
  }
  flight_key.hash = base::HashKey(request_.ns, request_.key);
  flight_key.bounded = request_.consistency == Consistency::kBounded;
  flight_key.ns = request_.ns;
  flight_key.key = request_.key;
  expires = request_.stream_deadline;
  partition = base::PartitionOfHash(flight_key.hash);
  deadline = request_.deadline;
}

void ReadCall::Finish(absl::Status status, rpc::BatchEnd* end) {
  reads_->OnEnd(this, std::move(status), end);
}

// Leads those who came while a flight was in the air; nobody's own call.
class Reads::FollowUp final : public ReadCall {
 public:
  void Answer(absl::StatusOr<GetResult>&& /*result*/) override { delete this; }
  // What the flight before it read, if that was a value.
  GetResult previous;
};

void Reads::Get(ReadCall* call) {
  call->reads_ = this;
  if (large_.Has(call->flight_key.hash) && !call->request_.metadata_only) {
    call->alone = false;
    return Fetch(call, kMostWholeBytes);
  }
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

bool Reads::BoardForFetch(ReadCall* call) {
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

void Reads::OnEnd(ReadCall* call, absl::Status status, rpc::BatchEnd* end) {
  if (!status.ok()) return Land(call, std::move(status));
  absl::StatusOr<GetResult> result;
  const int outcome =
      end->result != nullptr ? end->result->get.outcome : end->message->get().outcome();
  if (outcome == v1::OUTCOME_USE_STREAM) {
    Fetch(call, end->result != nullptr ? end->result->get.size : end->message->get().size());
    return;
  }
  Land(call, end->result != nullptr ? ToGetResult(end->result->get, *end->values)
                                    : ToGetResult(end->message->mutable_get()));
}

void Reads::Fetch(ReadCall* call, uint64_t size) {
  if (!call->in_flight_ && Collapses(*call) && !BoardForFetch(call)) return;
  streamed_.fetch_add(1, std::memory_order_relaxed);
  v1::GetRequest get;
  get.set_namespace_(std::string(call->request_.ns));
  get.set_key(std::string(call->request_.key));
  get.set_consistency(call->flight_key.bounded ? v1::CONSISTENCY_BOUNDED : v1::CONSISTENCY_STRICT);
  get.set_if_version_not(call->request_.if_version_not);
  transfers_->Get(std::move(get), size, call->partition, call->request_.stream_deadline,
                  [this, call](absl::StatusOr<GetResult> fetched) {
                    if (fetched.ok() && fetched->outcome != Outcome::kUnchanged) {
                      const size_t got = fetched->value.size();
                      // Beyond, one more message is nothing beside the value.
                      large_.Note(call->flight_key.hash,
                                  got > kMaxInlineBytes && got <= kMostWholeBytes);
                    }
                    Land(call, std::move(fetched));
                  });
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
  FollowUp* next = nullptr;
  FlightList landed = flights_.Land(leader, [&](const FlightList& waiting) {
    next = new FollowUp;
    ReadCall::Request request = leader->request_;
    request.if_version_not = 0;
    if (result.ok()) {
      next->previous = *result;
      if (result->outcome == Outcome::kOk) request.if_version_not = result->version;
    }
    // As long as the most patient of them waits.
    request.deadline = request.stream_deadline = -absl::InfiniteDuration();
    waiting.ForEach([&request](FlightRead* read) {
      const ReadCall::Request& one = static_cast<ReadCall*>(read)->request_;
      request.deadline = std::max(request.deadline, one.deadline);
      request.stream_deadline = std::max(request.stream_deadline, one.stream_deadline);
    });
    next->Prepare(request, /*own=*/true);
    next->reads_ = this;
    next->tells_departure = next->in_flight_ = next->follows_up_ = true;
    return next;
  });
  if (next != nullptr) dispatcher_->Start(next);
  if (!landed.empty()) {
    const bool timed_out = absl::IsDeadlineExceeded(result.status()) && !dispatcher_->closed();
    const absl::Duration now = timed_out ? Now() : absl::ZeroDuration();
    while (auto* const read = static_cast<ReadCall*>(landed.PopFront())) {
      // The flight had less time than this caller has.
      if (timed_out && read->request_.deadline > now + absl::Milliseconds(1)) {
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
