// Sends operations where they belong, and again where that is safe.
//
// An operation goes to its partition's primary, on a stream that refuses what is not the node's:
// the refusal mends the route table and costs no retry. Where the owner is unknown, left alone by
// its breaker, or has just failed this operation, it goes through another node, which forwards.
//
// A try that ended without being carried out may be followed by another: not sent at all, or
// refused by the node with a typed error. One that may have been carried out is followed only where
// that does no harm (RetryRule); else the operation ends with ABORTED, reason AMBIGUOUS. Retries
// are limited to ClientOptions::max_attempts, and come out of a budget common to the client.
//
// Thread safety: all methods; Stop not from a poller or callback.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "base/mutex.h"
#include "client/call.h"
#include "client/include/atoll/options.h"
#include "client/nodes.h"
#include "client/retry_budget.h"
#include "client/route_table.h"

namespace atoll::client {

class Dispatcher {
 public:
  struct Counters {
    // All relaxed: figures.
    std::atomic<uint64_t> retries{0};
    std::atomic<uint64_t> wrong_owner{0};
    std::atomic<uint64_t> through_others{0};
  };

  Dispatcher(const ClientOptions& options, Nodes* nodes, RouteTable* routes)
      : options_(options), nodes_(nodes), routes_(routes), budget_(options.retry_budget) {}

  void Start(CallPtr call);

  // The rules of retrying, for those who send by other ways (large values, many keys).
  bool SpendRetry();
  // Where a partition's operations are to be sent; empty if that is nowhere in particular.
  std::string OwnerOf(base::PartitionId partition) const {
    return options_.route_to_owners ? routes_->AddressOf(partition) : "";
  }
  Nodes& nodes() { return *nodes_; }
  // Mends the routes if the error is WRONG_OWNER.
  bool MendFrom(const absl::Status& status);
  // Whether a node that answers so has not carried the operation out, and another try may fare
  // better.
  static bool IsPassingRefusal(const absl::Status& status);
  // Runs it on a poller, later; at once if this was closed, so that it can end its call.
  void RunAfter(absl::Duration delay, absl::AnyInvocable<void()> task);
  // A pause before the n-th retry (from 1), with jitter.
  static absl::Duration Pause(int retry);

  // From now on operations end with CANCELLED; those that wait for a retry do at once. Those on
  // streams end by Nodes::Shutdown.
  void Close() ABSL_LOCKS_EXCLUDED(mu_);
  bool closed() const { return closed_.load(std::memory_order_acquire); }

  const Counters& counters() const { return counters_; }

 private:
  struct Waiting {
    absl::AnyInvocable<void()> task;
  };

  void Try(CallPtr call);
  // Where the next try goes; sets `forward` if that is not to the owner.
  LinkPtr Choose(Call& call, bool* forward);
  void OnReply(const CallPtr& call, const std::string& address, rpc::BatchReply reply);
  void OnRefused(const CallPtr& call, const std::string& address, absl::Status status);
  void OnBroken(const CallPtr& call, const std::string& address, absl::Status status,
                rpc::Fate fate);
  // Another try if one is left, else the end.
  void Again(const CallPtr& call, absl::Status status, bool pause);
  // Tries once more after a pause, as long as the deadline allows: the partition has no primary
  // that serves, and will have one soon. Counts neither for the budget nor for max_attempts: it
  // costs about six small refusals a second for each caller that waits.
  void Await(const CallPtr& call, absl::Status status);
  void End(const CallPtr& call, absl::Status status, v1::OperationResult* result);

  const ClientOptions options_;
  Nodes* const nodes_;
  RouteTable* const routes_;
  RetryBudget budget_;
  Counters counters_;
  // Release and acquire: who sees it set sees what Close did before.
  std::atomic<bool> closed_{false};

  base::Mutex mu_;
  absl::flat_hash_set<std::shared_ptr<Waiting>> waiting_ ABSL_GUARDED_BY(mu_);
};

}  // namespace atoll::client
