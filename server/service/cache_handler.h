// The cache's operations whatever way they came in: admits, checks, translates and hands over to
// the router. Unary calls, Exchange streams and value streams stand on it; it knows no gRPC.
//
// Thread safety: all methods. Callbacks run exactly once, on any thread, possibly before the call
// returns, with no lock held. Requests and responses live until then.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "atoll/v1/cache.pb.h"
#include "base/clock.h"
#include "base/gate.h"
#include "base/latency_window.h"
#include "server/routing/byte_budget.h"
#include "server/routing/router.h"

namespace atoll::service {

struct CallInfo {
  routing::CallOptions options;
  // On BootTime.
  absl::Duration deadline = absl::InfiniteDuration();
  // Becomes true if the caller has gone; lives until the call is done. nullptr: nobody would know.
  const std::atomic<bool>* cancelled = nullptr;
};

struct CacheLimits {
  uint64_t max_value_bytes = uint64_t{64} << 20;
  uint32_t max_operations = 65'536;
  // Processor time that each operation on a key burns, so that a test can overload a node.
  absl::Duration test_burn;
};

// Relaxed: figures only.
struct CacheCounters {
  std::atomic<uint64_t> reads{0};
  std::atomic<uint64_t> writes{0};
  std::atomic<uint64_t> refused{0};  // for overload
  std::atomic<uint64_t> paused{0};   // messages that waited for their answers to be taken
};

// What an operation costs of the budget, beside its key and value.
inline constexpr uint64_t kOperationBytes = 512;
// All values of a multi answer together; what does not fit is answered USE_STREAM. Leaves room for
// keys' metadata within a message of 4 MiB.
inline constexpr uint64_t kAnswerBytes = uint64_t{3} << 20;

class CacheHandler {
 public:
  using StatusDone = absl::AnyInvocable<void(absl::Status)>;

  // Everything outlives the handler. `budget` holds the bytes of what is under way.
  CacheHandler(routing::Router* router, routing::ByteBudget* budget,
               const base::Clock* cluster_clock, const CacheLimits& limits);

  // One operation on one key. Instantiated for every pair of atoll.v1.
  template <typename Request, typename Response>
  void Handle(const Request& request, const CallInfo& info, Response* response, StatusDone done);

  void Handle(const v1::MultiGetRequest& request, const CallInfo& info,
              v1::MultiGetResponse* response, StatusDone done);
  void Handle(const v1::MultiSetRequest& request, const CallInfo& info,
              v1::MultiSetResponse* response, StatusDone done);
  void Handle(const v1::MultiDeleteRequest& request, const CallInfo& info,
              v1::MultiDeleteResponse* response, StatusDone done);
  void Handle(const v1::ScanRequest& request, const CallInfo& info, v1::ScanResponse* response,
              StatusDone done);
  void Handle(const v1::FlushRequest& request, const CallInfo& info, v1::FlushResponse* response,
              StatusDone done);
  // Any of an Exchange stream.
  void Handle(const v1::Operation& operation, const CallInfo& info, v1::OperationResult* result,
              absl::AnyInvocable<void()> done);

  // For value streams: the result's value is referenced, not copied, if it has an owner.
  void Read(const v1::GetRequest& request, const CallInfo& info, replication::Done done);
  // `pieces` are the value; they live until `done`.
  void Store(const v1::SetRequest& request, absl::Span<const std::string_view> pieces,
             const CallInfo& info, v1::SetResponse* response, StatusDone done);
  // Memory for a value that a caller is about to send. RESOURCE_EXHAUSTED.
  absl::Status Reserve(uint64_t bytes, routing::ByteBudget::Ticket* ticket);

  // Refuses new operations with UNAVAILABLE, reason DRAINING, and waits for those under way.
  bool Drain(absl::Duration timeout);

  const CacheLimits& limits() const { return limits_; }
  const CacheCounters& counters() const { return counters_; }
  const base::LatencyWindow& latency() const { return latency_; }
  absl::Time Now() const { return clock_->Now(); }
  // Streams that share the I/O threads. Relaxed: they steer, and order nothing.
  void CountStream(int by) { streams_.fetch_add(by, std::memory_order_relaxed); }
  // How much processor time one message of a stream may take before the rest of it is refused:
  // then all streams are served, and all callers answered, within kRound.
  absl::Duration Turn() const;
  static constexpr absl::Duration kRound = absl::Milliseconds(100);
  // A full message of small sets takes 10 ms, and most streams have nothing to say: so much it has
  // whatever their number.
  static constexpr absl::Duration kShortestTurn = absl::Milliseconds(25);
  static constexpr absl::Duration kLongestTurn = absl::Milliseconds(50);

  int64_t under_way() const { return operations_.load(std::memory_order_relaxed); }

 private:
  friend class OperationBatch;
  class Admission;
  template <typename Request, typename Response>
  class Many;

  // Takes a place for so many operations and bytes; fills `out` unless it fails.
  absl::Status Admit(uint32_t operations, uint64_t bytes, const CallInfo& info, Admission* out);

  routing::Router* const router_;
  routing::ByteBudget* const budget_;
  const base::Clock* const clock_;
  const CacheLimits limits_;
  base::Gate gate_;
  // Relaxed: a bound, not an order.
  std::atomic<int64_t> operations_{0};
  std::atomic<int> streams_{0};
  CacheCounters counters_;
  base::LatencyWindow latency_;
};

}  // namespace atoll::service
