// Reads of one key, collapsed: any number of callers cost at most one request under way and one to
// follow, under the rule of base/single_flight.h (docs/consistency.md), so that a STRICT read stays
// linearizable. The request to follow carries the version just read, and may be answered without
// the value; callers share the value's bytes.
//
// Thread safety: all methods. Callbacks run on any thread with no lock held.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/single_flight.h"
#include "client/dispatcher.h"
#include "client/include/atoll/options.h"
#include "client/include/atoll/value.h"
#include "client/transfers.h"

namespace atoll::client {

struct ReadRequest {
  std::string ns;
  std::string key;
  Consistency consistency = Consistency::kStrict;
  uint64_t if_version_not = 0;
  bool metadata_only = false;
  // BootTime: of the call, and where its value has to be fetched by a stream of its own.
  absl::Duration deadline;
  absl::Duration stream_deadline;
};

class Reads {
 public:
  using Callback = absl::AnyInvocable<void(absl::StatusOr<GetResult>)>;

  Reads(const ClientOptions& options, Dispatcher* dispatcher, Transfers* transfers)
      : options_(options), dispatcher_(dispatcher), transfers_(transfers) {}

  void Get(ReadRequest request, Callback done);

  uint64_t collapsed() const { return collapsed_.load(std::memory_order_relaxed); }
  uint64_t streamed() const { return streamed_.load(std::memory_order_relaxed); }

 private:
  struct FlightKey {
    std::string ns;
    std::string key;
    Consistency consistency;
    friend bool operator==(const FlightKey&, const FlightKey&) = default;
    template <typename H>
    friend H AbslHashValue(H h, const FlightKey& k) {
      return H::combine(std::move(h), k.ns, k.key, k.consistency);
    }
  };
  // One caller. Ends once: by its flight, or by its own deadline if that comes first.
  struct Waiter {
    ReadRequest request;
    Callback done;
    std::atomic<bool> ended{false};
    // Of one that joined; 0 while it has none. An end that comes before it is known leaves the
    // timer to fire without effect.
    std::atomic<uint64_t> timer{0};

    // False if it has ended already.
    bool End(const absl::StatusOr<GetResult>& result) {
      if (ended.exchange(true)) return false;
      auto callback = std::move(done);
      callback(result);
      return true;
    }
  };
  using WaiterPtr = std::shared_ptr<Waiter>;

  void Board(WaiterPtr waiter);
  // Sends a flight's request. `previous`: what the flight before it read, if that was a value.
  void Launch(const FlightKey& key, absl::Duration deadline, absl::Duration stream_deadline,
              GetResult previous);
  void Land(const FlightKey& key, const absl::StatusOr<GetResult>& result);
  rpc::Timers& Timers();
  // One request, alone.
  void Send(const ReadRequest& request, absl::AnyInvocable<void()> departs, Callback done);

  const ClientOptions options_;
  Dispatcher* const dispatcher_;
  Transfers* const transfers_;
  base::SingleFlight<FlightKey, WaiterPtr> flights_;
  // Relaxed: figures.
  std::atomic<uint64_t> collapsed_{0};
  std::atomic<uint64_t> streamed_{0};
};

}  // namespace atoll::client
