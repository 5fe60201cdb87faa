// What is behind a Client: its parts, their start and their end.
//
// Thread safety: all methods; the destructor not from a callback.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "atoll/v1/cache.pb.h"
#include "base/mutex.h"
#include "client/dispatcher.h"
#include "client/include/atoll/client.h"
#include "client/nodes.h"
#include "client/reads.h"
#include "client/route_table.h"
#include "client/topology_watch.h"
#include "client/transfers.h"
#include "client/write_call.h"

namespace atoll::client {

class Engine {
 public:
  static absl::StatusOr<std::unique_ptr<Engine>> Create(const ClientOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  absl::Status WaitUntilReady(absl::Time deadline) ABSL_LOCKS_EXCLUDED(mu_);

  const ClientOptions& options() const { return options_; }
  Dispatcher& dispatcher() { return dispatcher_; }
  Reads& reads() { return reads_; }
  Transfers& transfers() { return transfers_; }

  // Lives as long as `ns` and this.
  std::string_view NamespaceOr(const std::string& ns) const {
    return ns.empty() ? options_.default_namespace : ns;
  }
  // `timeout` zero: the client's.
  absl::Duration Timeout(absl::Duration timeout) const {
    return timeout > absl::ZeroDuration() ? timeout : options_.timeout;
  }
  absl::Duration StreamTimeout(absl::Duration timeout) const {
    return timeout > absl::ZeroDuration() ? timeout
                                          : std::max(options_.stream_timeout, options_.timeout);
  }
  // The same, from now on BootTime.
  absl::Duration Deadline(absl::Duration timeout) const;
  absl::Duration StreamDeadline(absl::Duration timeout) const;
  // Both at once, for reads. From 100 ms on they may be late by a tick of the kernel's coarse
  // clock, a few milliseconds: a look at the exact one costs a tenth of what else a read costs its
  // thread.
  struct ReadDeadlines {
    absl::Duration call;
    absl::Duration stream;
  };
  ReadDeadlines DeadlinesOfRead(absl::Duration timeout) const;
  // Names a conditional operation, so that it can be retried.
  void Name(v1::RequestId* id);

  // Stores an entry, in a batch, or by a stream of its own if its value is large. `call` is not
  // prepared; `own`: what is given may be gone before the call ends.
  void Set(WriteCall* call, std::string_view ns, std::string_view key, std::string_view value,
           const EntryOptions& options, absl::Duration timeout, bool own);

  // Counts a call's end.
  void Count(bool ok) { Count(1, ok ? 0 : 1); }
  void Count(uint64_t calls, uint64_t failures);
  ClientStats stats() const;

 private:
  Engine(const ClientOptions& options, std::unique_ptr<Nodes> nodes);

  const ClientOptions options_;
  const uint64_t client_id_;
  const std::unique_ptr<Nodes> nodes_;
  RouteTable routes_;
  Dispatcher dispatcher_;
  Transfers transfers_;
  Reads reads_;
  TopologyWatch watch_;

  base::Mutex mu_;
  base::CondVar map_changed_;
  // Relaxed: unique, and figures.
  std::atomic<uint64_t> next_request_{1};
  std::atomic<uint64_t> calls_{0};
  std::atomic<uint64_t> failures_{0};
  std::atomic<uint64_t> streamed_{0};
};

}  // namespace atoll::client
