// Sends operations where they belong, and again where that is safe (client/retry_policy.h).
//
// An operation goes to its partition's primary, on a stream that refuses what is not the node's:
// the refusal mends the route table and costs no retry. Where the owner is unknown, left alone by
// its breaker, or has just failed this operation, it goes through another node, which forwards.
//
// Thread safety: all methods; Stop not from a poller or callback.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/types/span.h"
#include "base/brief_lock.h"
#include "base/mutex.h"
#include "client/call.h"
#include "client/include/atoll/options.h"
#include "client/nodes.h"
#include "client/retry_policy.h"
#include "client/route_table.h"

namespace atoll::client {

class Dispatcher {
 public:
  struct Counters {
    // All relaxed: figures.
    std::atomic<uint64_t> wrong_owner{0};
    std::atomic<uint64_t> through_others{0};
  };

  Dispatcher(const ClientOptions& options, Nodes* nodes, RouteTable* routes);

  void Start(Call* call) {
    if (call->alone && TryLone(call)) return;
    policy_.Earn();
    Try(call);
  }

  // Asks elsewhere what a node answered so: no retry.
  void StartAgain(Call* call) {
    --call->attempts.tries;
    Try(call);
  }

  // The rules of retrying, for those who send by other ways (large values, many keys).
  bool SpendRetry() { return policy_.Spend(); }
  // Where a partition's operations are to be sent; empty if that is nowhere in particular.
  std::string OwnerOf(base::PartitionId partition) const {
    return options_.route_to_owners ? routes_->AddressOf(partition) : "";
  }
  // For putting together what goes the same way: each partition's way, nullptr where there is none.
  // Not to be used otherwise.
  void WaysOf(absl::Span<const base::PartitionId> partitions, const NodeLink** ways)
      ABSL_LOCKS_EXCLUDED(ways_mu_);
  // Before nodes of an older map are given up: nothing is to hold their links for long.
  void ForgetWays() ABSL_LOCKS_EXCLUDED(ways_mu_);
  Nodes& nodes() { return *nodes_; }
  // Mends the routes if the error is WRONG_OWNER.
  bool MendFrom(const absl::Status& status);
  // Runs it on a poller, later; at once if this was closed, so that it can end its call.
  void RunAfter(absl::Duration delay, absl::AnyInvocable<void()> task);

  // From now on operations end with CANCELLED; those that wait for a retry do at once. Those on
  // streams end by Nodes::Shutdown.
  void Close() ABSL_LOCKS_EXCLUDED(mu_);
  bool closed() const { return closed_.load(std::memory_order_acquire); }

  const Counters& counters() const { return counters_; }
  uint64_t retries() const { return policy_.retries(); }

  // Carries the call out on this thread, if nothing else is under way to its node. False: nothing
  // was done.
  bool TryLone(Call* call);

 private:
  friend class Call;

  struct Waiting {
    absl::AnyInvocable<void()> task;
  };
  // An owner's link, as of a version of the route table.
  struct Way {
    LinkPtr link;
    uint64_t version = 0;
  };

  void Try(Call* call);
  // From the callback of a call that went the same way, in its footsteps. False: nothing was done.
  bool TryAlike(Call* call);
  // Where the next try goes; sets `forward` if that is not to the owner.
  LinkPtr Choose(Call& call, bool* forward);
  // nullptr if there is no owner, or it is to be left alone.
  LinkPtr OwnersLink(base::PartitionId partition) ABSL_LOCKS_EXCLUDED(ways_mu_);
  void OnSuccess(Call* call, rpc::BatchEnd& end);
  void OnError(Call* call, rpc::BatchEnd& end);
  // The node is overloaded.
  void SlowDown(const Call& call, NodeLink& link, const absl::Status& status);
  void Follow(Call* call, Decision decision);
  static void End(Call* call, absl::Status error);

  const ClientOptions options_;
  Nodes* const nodes_;
  RouteTable* const routes_;
  RetryPolicy policy_;
  Counters counters_;
  // Release and acquire: who sees it set sees what Close did before.
  std::atomic<bool> closed_{false};

  base::BriefLock ways_mu_;
  // By partition.
  std::vector<Way> ways_ ABSL_GUARDED_BY(ways_mu_);
  // The same to compare with, for who holds a link: as of a version of the route table, of which
  // all are or nullptr. Written under the lock. Release and acquire: who finds the version finds no
  // older link.
  std::atomic<uint64_t> seen_version_{0};
  const std::unique_ptr<std::atomic<const NodeLink*>[]> seen_;

  base::Mutex mu_;
  absl::flat_hash_set<std::shared_ptr<Waiting>> waiting_ ABSL_GUARDED_BY(mu_);
};

}  // namespace atoll::client
