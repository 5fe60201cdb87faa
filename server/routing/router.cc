#include "server/routing/router.h"

#include <utility>
#include <vector>

#include "base/status.h"
#include "base/strings.h"
#include "rpc/status.h"
#include "server/routing/attempt.h"
#include "server/routing/read_flight.h"

namespace atoll::routing {

using replication::Operation;
using replication::OperationResult;
using replication::OpKind;

namespace {

constexpr std::string_view kDefaultNamespace = "default";

// A value that the answer has no room for is left out; its size tells.
void LimitValue(const CallOptions& options, OperationResult& result) {
  if (result.outcome != v1::OUTCOME_OK || result.value.size() <= options.max_value_bytes) return;
  result.outcome = v1::OUTCOME_USE_STREAM;
  result.value = store::Value();
}

}  // namespace

Router::Router(replication::Replicator* replicator, cluster::ClusterView* view,
               Forwarder* forwarder, rpc::Timers* timers, const base::Clock* cluster_clock,
               const ScanLimits& scans)
    : replicator_(replicator),
      view_(view),
      forwarder_(forwarder),
      timers_(timers),
      clock_(cluster_clock),
      scan_limits_(scans),
      scans_(scans, [timers](ScanTurns::Task task) {
        timers->After(absl::ZeroDuration(), std::move(task));
      }) {}

Router::~Router() = default;

void Router::Stop() {
  stopped_.store(true, std::memory_order_relaxed);
  scans_.Stop();
}

absl::StatusOr<cluster::NamespacePtr> Router::ResolveNamespace(std::string_view name) const {
  const std::string_view wanted = name.empty() ? kDefaultNamespace : name;
  if (cluster::NamespacePtr ns = view_->FindNamespace(wanted); ns != nullptr) return ns;
  return base::WithReason(
      absl::NotFoundError(absl::StrCat("namespace: ", base::AsAbsl(wanted), " does not exist")),
      base::reason::kUnknownNamespace, {{"namespace", std::string(wanted)}});
}

absl::Status Router::WithPlacement(absl::Status status, base::PartitionId partition) const {
  if (!base::HasReason(status, base::reason::kWrongOwner)) return status;
  const cluster::MapPtr map = view_->map();
  if (map->partitions.empty()) return status;
  v1::WrongOwner detail;
  detail.set_map_version(map->version);
  *detail.mutable_placement() = ring::EncodePlacement(*map, partition, detail.mutable_nodes());
  return rpc::WrongOwnerError(detail);
}

void Router::Execute(const Operation& operation, const CallOptions& options,
                     replication::Done done) {
  if (options.hop == Hop::kFirst) {
    const cluster::MapPtr map = view_->map();
    const base::PartitionId partition = operation.key.partition();
    const bool local =
        !map->partitions.empty() && (map->at(partition).primary == view_->self() ||
                                     (operation.bounded && operation.kind == OpKind::kGet &&
                                      map->at(partition).InIsr(view_->self())));
    if (!local) return Forward(operation, options, std::move(done));
  }
  replicator_->Execute(operation, [this, &operation, options,
                                   done = std::move(done)](OperationResult result) mutable {
    Conclude(operation, options, std::move(result), std::move(done));
  });
}

void Router::Conclude(const Operation& operation, const CallOptions& options,
                      OperationResult result, replication::Done done) {
  if (!result.status.ok()) {
    if (options.hop == Hop::kLast) {
      result.status = WithPlacement(std::move(result.status), operation.key.partition());
    } else if (Judge(operation, result.status, rpc::Fate::kAnswered) == Verdict::kRetry) {
      // It moved away under our hands, or is on its way to us.
      return Forward(operation, options, std::move(done));
    }
  }
  LimitValue(options, result);
  done(std::move(result));
}

void Router::Forward(const Operation& operation, const CallOptions& options,
                     replication::Done done) {
  if (stopped_.load(std::memory_order_relaxed)) {
    OperationResult result;
    result.status =
        base::WithReason(absl::UnavailableError("this node is stopping"), base::reason::kDraining);
    return done(std::move(result));
  }
  auto limited = [options, done = std::move(done)](OperationResult result) mutable {
    LimitValue(options, result);
    done(std::move(result));
  };
  if (operation.kind == OpKind::kGet) {
    return BoardFlight(operation, options, std::move(limited));
  }
  std::make_shared<Attempt>(this, operation, std::move(limited))->Run();
}

void Router::BoardFlight(const Operation& operation, const CallOptions& options,
                         replication::Done done) {
  std::string key = ReadFlight::KeyOf(operation, options);
  if (!flights_.Board(key, Waiter{&operation, options, std::move(done)})) return;
  std::make_shared<ReadFlight>(this, std::move(key), operation, options)->Launch();
}

void Router::ExecuteMany(absl::Span<const Operation> operations, const CallOptions& options,
                         ManyDone done) {
  // Reads of ours go to the engine as one batch; all else, one by one, is batched by the streams.
  const cluster::MapPtr map = view_->map();
  std::vector<Operation> local;
  std::vector<size_t> places;
  std::vector<size_t> others;
  for (size_t i = 0; i < operations.size(); ++i) {
    const Operation& operation = operations[i];
    const bool ours =
        !map->partitions.empty() && map->at(operation.key.partition()).primary == view_->self();
    if (operation.kind == OpKind::kGet && ours) {
      local.push_back(operation);
      places.push_back(i);
    } else {
      others.push_back(i);
    }
  }
  const Operation* const first = operations.data();
  if (!local.empty()) {
    replicator_->ExecuteReads(local, [this, places = std::move(places), first, options, done](
                                         size_t index, OperationResult result) {
      const size_t place = places[index];
      const Operation& operation = first[place];
      if (options.hop == Hop::kFirst &&
          Judge(operation, result.status, rpc::Fate::kAnswered) == Verdict::kRetry) {
        return Forward(operation, options,
                       [done, place](OperationResult r) { done(place, std::move(r)); });
      }
      if (!result.status.ok()) {
        result.status = WithPlacement(std::move(result.status), operation.key.partition());
      }
      LimitValue(options, result);
      done(place, std::move(result));
    });
  }
  for (const size_t place : others) {
    Execute(first[place], options,
            [done, place](OperationResult result) { done(place, std::move(result)); });
  }
}

}  // namespace atoll::routing
