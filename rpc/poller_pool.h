// Serves a server's completion queue with as many threads as its load takes (thread_demand.h).
//
// The first thread is always there. The others sleep outside of gRPC until it is overworked, or
// has not come back from one event for kStuck. Events of one call may be handled on any of them,
// and those of different operations at the same time.
//
// Ownership: as Poller, but that the server must be shut down before Stop.
#pragma once

#include <grpcpp/completion_queue.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "rpc/attentive_queue.h"
#include "rpc/thread_demand.h"

namespace atoll::rpc {

class PollerPool {
 public:
  static constexpr absl::Duration kStuck = absl::Milliseconds(20);

  struct Options {
    std::string name;
    // At the most, and at the least.
    int threads = 1;
    int always = 1;
    // Hardly anything comes here: it may wait for kRare, so that the thread is not one of those
    // which wait for the network (rpc::Network).
    bool rare = false;
  };
  static constexpr absl::Duration kRare = absl::Milliseconds(20);

  // Of a grpc::ServerBuilder.
  PollerPool(Options options, std::unique_ptr<grpc::ServerCompletionQueue> queue);
  ~PollerPool();
  PollerPool(const PollerPool&) = delete;
  PollerPool& operator=(const PollerPool&) = delete;

  grpc::ServerCompletionQueue* queue() { return queue_.get(); }
  int threads() const { return options_.threads; }
  // Threads that are to be at work now.
  int wanted() const { return wanted_.load(std::memory_order_relaxed); }

  // After the server's BuildAndStart.
  void Start() ABSL_LOCKS_EXCLUDED(mu_);
  // Safe to repeat. Not from a thread of the pool.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void RunFirst();
  void RunRarely();
  // `index`: 1 for the first of them.
  void RunHelper(int index) ABSL_LOCKS_EXCLUDED(mu_);
  // Until the helper is wanted: true; or the pool stops. `stuck_at`: the event, if it is because
  // the first thread does not come back from one.
  bool SleepUntilWanted(int index, std::optional<uint64_t>* stuck_at) ABSL_LOCKS_EXCLUDED(mu_);
  void Observe() ABSL_LOCKS_EXCLUDED(mu_);
  // Nothing came for the last helper: without load nobody observes that it is not wanted. Where the
  // demand stands, the next Observe wants it again.
  void Retire(int index) ABSL_LOCKS_EXCLUDED(mu_);

  const Options options_;
  const std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::vector<std::thread> helpers_;  // all there before the first thread is
  std::thread first_;
  bool stopped_ = false;

  // The first thread's.
  AttentiveQueue attentive_;
  ThreadDemand demand_;
  int waits_ = -1;  // a file that says how long it has waited for a processor; -1: none
  // Relaxed: who misses a change sees it at its next event, or is woken under the lock.
  std::atomic<int> wanted_;
  // Of the first thread: events begun and ended. Relaxed: looked at every kStuck.
  std::atomic<uint64_t> begun_{0};
  std::atomic<uint64_t> done_{0};
  base::Mutex mu_;
  base::CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace atoll::rpc
