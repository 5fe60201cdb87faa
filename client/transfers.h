// Calls that do not go by the batch streams: large values in chunks, scans, flushes. They have a
// connection of their own to each node, so that small reads never queue behind them.
//
// Any node takes them; the owner's is asked first, where there is one.
//
// Thread safety: all methods; Stop not from a poller or callback. `done` is called once, on any
// thread, with no lock held.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "atoll/v1/cache.pb.h"
#include "base/ids.h"
#include "base/mutex.h"
#include "client/dispatcher.h"
#include "client/include/atoll/value.h"

namespace atoll::client {

// One gRPC call under way.
class ActiveCall;

class Transfers {
 public:
  template <typename Result>
  using Done = absl::AnyInvocable<void(absl::StatusOr<Result>)>;

  explicit Transfers(Dispatcher* dispatcher) : dispatcher_(dispatcher) {}
  ~Transfers();

  // Reads a value of any size. Deadlines are on BootTime.
  void Get(v1::GetRequest request, base::PartitionId partition, absl::Duration deadline,
           Done<GetResult> done);
  // Stores a value of any size; `request` comes without it. AMBIGUOUS if it broke after the last
  // chunk was sent; before that, nothing is stored.
  void Set(v1::SetRequest request, std::shared_ptr<const std::string> value,
           base::PartitionId partition, absl::Duration deadline, Done<WriteResult> done);
  void Scan(v1::ScanRequest request, absl::Duration deadline, Done<ScanPage> done);
  void Flush(v1::FlushRequest request, absl::Duration deadline,
             absl::AnyInvocable<void(absl::Status)> done);

  // Cancels what is under way; after Dispatcher::Close.
  void Shutdown() ABSL_LOCKS_EXCLUDED(mu_);
  // After Shutdown: waits until gRPC has given back everything.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

  // Used by the calls themselves.
  bool Add(std::shared_ptr<ActiveCall> call) ABSL_LOCKS_EXCLUDED(mu_);
  void Remove(const std::shared_ptr<ActiveCall>& call) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct GetJob;
  struct SetJob;
  template <typename Request, typename Response>
  struct UnaryJob;

  // The owner's link, or another after a failure; nullptr when closed.
  LinkPtr Choose(base::PartitionId partition, const std::string& failed_at);
  void TryGet(const std::shared_ptr<GetJob>& job);
  void TrySet(const std::shared_ptr<SetJob>& job);
  template <typename Request, typename Response>
  void TryUnary(const std::shared_ptr<UnaryJob<Request, Response>>& job);
  // Spends a retry if one is left, and pauses. False: the job is over.
  template <typename Job>
  bool Again(const std::shared_ptr<Job>& job, const absl::Status& status,
             void (Transfers::*attempt)(const std::shared_ptr<Job>&));

  Dispatcher* const dispatcher_;
  base::Mutex mu_;
  base::CondVar changed_;
  absl::flat_hash_set<std::shared_ptr<ActiveCall>> active_ ABSL_GUARDED_BY(mu_);
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace atoll::client
