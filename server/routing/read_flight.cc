#include "server/routing/read_flight.h"

#include <utility>
#include <vector>

#include "server/routing/attempt.h"

namespace atoll::routing {

using replication::Operation;
using replication::OperationResult;

namespace {

// For a flight whose waiters are not known yet: the longest that any of them may want to wait is
// longer, and they then try on their own.
constexpr absl::Duration kNextFlightDeadline = absl::Seconds(5);

template <typename T>
void AppendRaw(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

}  // namespace

std::string Router::ReadFlight::KeyOf(const Operation& get, const CallOptions& options) {
  std::string key;
  key.reserve(get.key.key.size() + 24);
  AppendRaw(key, get.key.ns.value());
  AppendRaw(key, static_cast<uint8_t>((get.bounded ? 1 : 0) | (get.metadata_only ? 2 : 0)));
  AppendRaw(key, get.if_version_not.raw());
  AppendRaw(key, options.max_value_bytes);
  key.append(get.key.key);
  return key;
}

Router::ReadFlight::ReadFlight(Router* router, std::string flight_key, const Operation& get,
                               const CallOptions& options)
    : router_(router),
      flight_key_(std::move(flight_key)),
      key_(get.key.key),
      options_(options),
      operation_(get) {
  operation_.key.key = key_;
}

void Router::ReadFlight::Launch() {
  Operation get = operation_;
  if (held_.outcome == v1::OUTCOME_OK) get.if_version_not = held_.meta.version;
  std::make_shared<Attempt>(
      router_, get,
      [self = shared_from_this()](const OperationResult& result) { self->OnAnswer(result); },
      [self = shared_from_this()] { self->router_->flights_.Depart(self->flight_key_); })
      ->Run();
}

void Router::ReadFlight::OnAnswer(const OperationResult& result) {
  if (result.status.ok() && result.outcome == v1::OUTCOME_UNCHANGED &&
      held_.outcome == v1::OUTCOME_OK && result.meta.version == held_.meta.version) {
    router_->counters_.revalidations.fetch_add(1, std::memory_order_relaxed);
    // Times move on, the value does not.
    held_.meta = result.meta;
    return Land(held_);
  }
  const bool fetch = result.status.ok() && result.outcome == v1::OUTCOME_USE_STREAM &&
                     !operation_.metadata_only && result.value_size <= options_.max_value_bytes;
  if (!fetch) return Land(result);
  // Nobody may join any more: the flight departed with its first message.
  std::make_shared<Attempt>(
      router_, operation_,
      [self = shared_from_this()](const OperationResult& fetched) { self->Land(fetched); })
      ->Run(/*by_stream=*/true);
}

void Router::ReadFlight::Land(const OperationResult& result) {
  auto landing = router_->flights_.Land(flight_key_);
  if (landing.waiters.size() > 1) {
    router_->counters_.collapsed.fetch_add(landing.waiters.size() - 1, std::memory_order_relaxed);
  }
  // A local answer's bytes may live in the replicator's buffer: only owned ones are kept.
  const bool keep = landing.next && result.status.ok() && result.outcome == v1::OUTCOME_OK &&
                    (result.value.size() == 0 || result.value.owner() != nullptr);
  if (&result != &held_) held_ = keep ? result : OperationResult{};
  const absl::Duration now = base::Clock::Real().BootTime();
  for (Waiter& waiter : landing.waiters) {
    const bool own_time_left = waiter.operation->deadline > now;
    if (absl::IsDeadlineExceeded(result.status) && own_time_left) {
      // The flight flew on the time of another, who had less.
      const Operation* operation = waiter.operation;
      std::make_shared<Attempt>(router_, *operation, std::move(waiter.done))->Run();
      continue;
    }
    waiter.done(result);
  }
  if (landing.next) {
    operation_.deadline = now + kNextFlightDeadline;
    Launch();
  }
}

}  // namespace atoll::routing
