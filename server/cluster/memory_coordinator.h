// A coordinator inside this process: for a node that stands alone, for tests and simulation.
//
// Leases run on the clock that it is given. Its own thread delivers watches, in order, and looks
// every few milliseconds of real time whether a lease has ended by that clock, so that a FakeClock
// works too.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "server/cluster/coordinator.h"

namespace atoll::cluster {

class MemoryCoordinator final : public Coordinator {
 public:
  // `clock` must outlive it.
  explicit MemoryCoordinator(const base::Clock& clock = base::Clock::Real());
  ~MemoryCoordinator() override;

  absl::StatusOr<Lookup> Get(std::string_view key) override;
  absl::StatusOr<Listing> List(std::string_view prefix) override;
  absl::StatusOr<TxnResult> Txn(std::vector<Condition> conditions,
                                std::vector<Mutation> mutations) override;
  absl::StatusOr<LeaseId> GrantLease(absl::Duration ttl) override;
  absl::Status KeepAlive(LeaseId lease) override;
  absl::Status RevokeLease(LeaseId lease) override;
  std::unique_ptr<Watch> WatchPrefix(std::string_view prefix, int64_t from_revision,
                                     WatchCallback callback) override;
  absl::Status Compact(int64_t revision) override;

 private:
  struct Lease {
    absl::Duration ttl;
    absl::Duration ends;  // on BootTime
  };
  // What happened at one revision.
  struct Step {
    int64_t revision = 0;
    std::vector<WatchEvent> events;
  };
  struct Watcher;
  class MemoryWatch;

  bool HoldsLocked(const Condition& condition) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void PutLocked(const Mutation& put, Step* step) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DeleteLocked(const std::string& key, Step* step) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CommitLocked(Step step) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndLeaseLocked(LeaseId lease) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ExpireLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What the watcher has not been told yet.
  bool NextLocked(Watcher* watcher, WatchUpdate* update) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Listing ListLocked(std::string_view prefix) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void StopWatching(const std::shared_ptr<Watcher>& watcher);
  void Run();

  const base::Clock& clock_;
  base::Mutex mu_;
  base::CondVar changed_;
  base::CondVar told_;
  std::map<std::string, KeyValue, std::less<>> keys_ ABSL_GUARDED_BY(mu_);
  std::map<LeaseId, Lease> leases_ ABSL_GUARDED_BY(mu_);
  // History for watches, at most kMaxHistory steps: a watcher further behind gets a snapshot.
  std::deque<Step> history_ ABSL_GUARDED_BY(mu_);
  int64_t revision_ ABSL_GUARDED_BY(mu_) = 1;
  int64_t compacted_ ABSL_GUARDED_BY(mu_) = 0;  // steps before this revision are forgotten
  LeaseId last_lease_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<std::shared_ptr<Watcher>> watchers_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;  // last: starts when all else is there
};

}  // namespace atoll::cluster
