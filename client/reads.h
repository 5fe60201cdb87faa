// Reads of one key, collapsed: any number of callers cost at most one request under way and one to
// follow, under the rule of client/flights.h (docs/consistency.md), so that a STRICT read stays
// linearizable. The request to follow carries the version just read, and may be answered without
// the value; callers share the value's bytes.
//
// Thread safety: all methods. Callbacks run on any thread with no lock held.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "client/answered_call.h"
#include "client/dispatcher.h"
#include "client/flights.h"
#include "client/include/atoll/options.h"
#include "client/include/atoll/value.h"
#include "client/large_keys.h"
#include "client/transfers.h"

namespace atoll::client {

class Reads;

class ReadCall : public AnsweredCall<GetResult>, public FlightRead {
 public:
  struct Request {
    std::string_view ns;
    std::string_view key;
    Consistency consistency = Consistency::kStrict;
    uint64_t if_version_not = 0;
    bool metadata_only = false;
    // BootTime: of the call, and where its value has to be fetched by a stream of its own.
    absl::Duration deadline;
    absl::Duration stream_deadline;
  };
  // `own`: the namespace and the key may be gone before the call ends.
  void Prepare(const Request& request, bool own);

 private:
  friend class Reads;

  void OnDeparture() final { DepartSoon(); }
  void Finish(rpc::BatchEnd& end) final;

  Reads* reads_ = nullptr;
  // Of the request, what neither the operation nor the flight's key says.
  uint64_t if_version_not_ = 0;
  bool metadata_only_ = false;
  // In a flight; or sends for itself alone.
  bool in_flight_ = false;
  // Reads::FollowUp.
  bool follows_up_ = false;
};

class Reads {
 public:
  Reads(const ClientOptions& options, Dispatcher* dispatcher, Transfers* transfers)
      : collapse_(options.collapse_reads), dispatcher_(dispatcher), transfers_(transfers) {}

  // `call` was prepared.
  void Get(ReadCall* call);

  uint64_t collapsed() const { return collapsed_.load(std::memory_order_relaxed); }
  // Calls whose end was counted here.
  uint64_t counted() const { return flights_.landed(); }
  uint64_t streamed() const { return streamed_.load(std::memory_order_relaxed); }

 private:
  friend class ReadCall;
  class FollowUp;

  // What asks for other than the value is not for sharing.
  bool Collapses(const ReadCall& call) const {
    return collapse_ && call.if_version_not_ == 0 && !call.metadata_only_;
  }
  void Board(ReadCall* call);
  // A lone call, whose value turned out to be a large one, leads a flight from now on: true. False
  // if it joined another, and may be answered already.
  bool BoardLate(ReadCall* call);
  void OnEnd(ReadCall* call, rpc::BatchEnd& end);
  void OnResult(ReadCall* call, absl::StatusOr<GetResult>&& result);
  // Its value is a large one, of that size just now: asks again, where it may be answered.
  void OnUseStream(ReadCall* call, uint64_t size);
  static void GoAsLarge(ReadCall* call);
  // In chunks.
  void Fetch(ReadCall* call);
  // Answers it, and who flew along.
  void Land(ReadCall* leader, absl::StatusOr<GetResult>&& result);
  // Sees to it that who joined is answered at its own deadline at the latest.
  void ScheduleExpiry(absl::Duration when) ABSL_LOCKS_EXCLUDED(mu_);
  void Expire(absl::Duration scheduled_for) ABSL_LOCKS_EXCLUDED(mu_);

  const bool collapse_;
  Dispatcher* const dispatcher_;
  Transfers* const transfers_;
  Flights flights_;
  LargeKeys large_;
  base::Mutex mu_;
  absl::Duration expiry_at_ ABSL_GUARDED_BY(mu_) = absl::InfiniteDuration();
  // Relaxed: figures.
  std::atomic<uint64_t> collapsed_{0};
  std::atomic<uint64_t> streamed_{0};
};

}  // namespace atoll::client
