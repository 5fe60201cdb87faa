// Where an operation goes: to this node's replicator if it owns the key, else once to the node that
// does; identical reads on their way are collapsed (docs/consistency.md).
//
// A caller at the first hop never sees WRONG_OWNER: what an owner refused without carrying it out
// is sent again, to whom the mended map names, until the deadline. At the last hop (from another
// node, or from a client that follows the map) a key that is not ours is refused with the map's
// entry.
//
// Thread safety: every method may be called by any thread. Callbacks run exactly once, on any
// thread, possibly before the call returns, with no lock held.
// Lifetime: operations, and what their views show, live until their callback has run. Everything
// borrowed outlives the router; Stop comes before the end of timers and forwarder.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "atoll/v1/cache.pb.h"
#include "base/clock.h"
#include "base/gate.h"
#include "base/single_flight.h"
#include "rpc/timers.h"
#include "server/cluster/cluster_view.h"
#include "server/replication/operation.h"
#include "server/replication/replicator.h"
#include "server/routing/forwarder.h"
#include "server/routing/scan_turns.h"

namespace atoll::routing {

enum class Hop : uint8_t {
  kFirst,  // may be forwarded
  kLast,   // is refused where it is not ours
};

// A read's answer may carry so much; a larger value is answered USE_STREAM. Also the limits of the
// three ways in.
inline constexpr uint64_t kExchangeValueBytes = uint64_t{64} << 10;
inline constexpr uint64_t kUnaryValueBytes = uint64_t{1} << 20;

struct CallOptions {
  Hop hop = Hop::kFirst;
  uint64_t max_value_bytes = kUnaryValueBytes;
};

// A scan's page that was asked for. `request` was validated; what is borrowed lives until the scan
// is done.
struct ScanCall {
  const v1::ScanRequest& request;
  cluster::NamespacePtr ns;
  Hop hop = Hop::kFirst;
  absl::Duration deadline = absl::InfiniteDuration();
  // Set by whom the caller has left; nullptr: nobody would know. Relaxed: it orders nothing.
  const std::atomic<bool>* cancelled = nullptr;
  v1::ScanResponse* response = nullptr;
};
using ScanDone = absl::AnyInvocable<void(absl::Status)>;

// Relaxed counters: figures only.
struct RouterCounters {
  std::atomic<uint64_t> forwarded{0};      // operations sent to another node, retries not counted
  std::atomic<uint64_t> collapsed{0};      // reads that took the answer of another's
  std::atomic<uint64_t> value_fetches{0};  // values read from an owner by GetStream
  std::atomic<uint64_t> revalidations{0};  // flights answered UNCHANGED
  std::atomic<uint64_t> retries{0};
};

class Router {
 public:
  // `forwarder` is nullptr for a node that is alone.
  Router(replication::Replicator* replicator, cluster::ClusterView* view, Forwarder* forwarder,
         rpc::Timers* timers, const base::Clock* cluster_clock, const ScanLimits& scans = {});
  ~Router();
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;

  // Empty: `default`. NOT_FOUND, reason UNKNOWN_NAMESPACE.
  absl::StatusOr<cluster::NamespacePtr> ResolveNamespace(std::string_view name) const;

  void Execute(const replication::Operation& operation, const CallOptions& options,
               replication::Done done);
  // Many operations, each on its own; `done` is called once for each, with its place.
  using ManyDone = std::function<void(size_t index, replication::OperationResult)>;
  void ExecuteMany(absl::Span<const replication::Operation> operations, const CallOptions& options,
                   ManyDone done);

  // What of these keys this node may answer itself, at once.
  void ReadNow(absl::Span<const store::Key> keys, const store::FindOptions& options,
               replication::ReadSink& sink) {
    replicator_->ReadNow(keys, options, sink);
  }
  // Writes to keys that are this node's. What the sink is told to call later is to Conclude.
  void WriteNow(absl::Span<const replication::Operation> operations, replication::WriteSink& sink) {
    replicator_->Write(operations, sink);
  }
  void HoldWrites() { replicator_->Hold(); }
  void ReleaseWrites() { replicator_->Release(); }
  // The end of an operation that this node's replicator answered: refusals that a caller at the
  // first hop must not see are sent on.
  void Conclude(const replication::Operation& operation, const CallOptions& options,
                replication::OperationResult result, replication::Done done);

  // A page of a walk through all partitions. It is walked by slices on the timers' thread.
  void Scan(ScanCall call, ScanDone done);
  // INVALID_ARGUMENT if it is none of ours.
  static absl::Status CheckCursor(std::string_view cursor);

  // Flushes a namespace: at the first hop everywhere, at the last in the partitions that are ours.
  void Flush(const cluster::NamespacePtr& ns, Hop hop, absl::Duration deadline,
             absl::AnyInvocable<void(absl::StatusOr<uint32_t>)> done);

  // Fails what waits for another attempt, and scans, with UNAVAILABLE, and attempts no more. Timers
  // are stopped first.
  void Stop();

  const RouterCounters& counters() const { return counters_; }
  cluster::ClusterView& view() { return *view_; }

 private:
  class Attempt;
  class ReadFlight;
  class PageHere;
  class LastHopScan;
  class ScanWalk;
  struct Waiter {
    const replication::Operation* operation = nullptr;
    CallOptions options;
    replication::Done done;
  };

  void Forward(const replication::Operation& operation, const CallOptions& options,
               replication::Done done);
  void BoardFlight(const replication::Operation& operation, const CallOptions& options,
                   replication::Done done);
  void FlushHere(const cluster::NamespacePtr& ns, absl::Duration deadline,
                 absl::AnyInvocable<void(absl::StatusOr<uint32_t>)> done);
  // Adds the map's entry to a refusal with reason WRONG_OWNER.
  absl::Status WithPlacement(absl::Status status, base::PartitionId partition) const;

  replication::Replicator* const replicator_;
  cluster::ClusterView* const view_;
  Forwarder* const forwarder_;
  rpc::Timers* const timers_;
  const base::Clock* const clock_;
  RouterCounters counters_;
  std::atomic<bool> stopped_{false};
  base::SingleFlight<std::string, Waiter> flights_;
  const ScanLimits scan_limits_;
  // Under way at the first hop. Relaxed: a bound, not an order.
  std::atomic<size_t> pages_{0};
  ScanTurns scans_;
};

}  // namespace atoll::routing
