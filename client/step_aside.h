// Keeps a poller's thread from its queue while a lone caller does its I/O itself.
//
// gRPC has one thread at a time wait for the network, and that one passes on what belongs to
// others' queues: with the poller in that place, each answer to a lone caller costs a change of
// threads. So the poller is asked to step aside, and sleeps without looking at its queue. It comes
// back when anybody has something for it (Recall), and every kAway: what nobody recalls it for,
// such as timers and the placement map's stream, is that much later at the most.
//
// Thread safety: all methods. Ownership: the queue outlives it; Stop comes before the queue's.
#pragma once

#include <grpcpp/alarm.h>

#include <atomic>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "rpc/completion_queue.h"

namespace grpc {
class CompletionQueue;
}  // namespace grpc

namespace atoll::client {

class StepAside final : private rpc::Tag {
 public:
  static constexpr absl::Duration kAway = absl::Milliseconds(5);

  explicit StepAside(grpc::CompletionQueue* queue) : queue_(queue) {}

  // A lone caller is at work, and there is nothing for the poller to do: it is to go, if it has not
  // gone.
  void Ask() ABSL_LOCKS_EXCLUDED(mu_);
  // There is something for the poller to do.
  void Recall() {
    if (away()) Wake();
  }
  // Recall, and it never goes again.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

  bool away() const { return away_.load(std::memory_order_relaxed); }

 private:
  void Wake() ABSL_LOCKS_EXCLUDED(mu_);
  // The poller, on its way out: sleeps.
  void Proceed(bool ok) override ABSL_LOCKS_EXCLUDED(mu_);

  grpc::CompletionQueue* const queue_;
  grpc::Alarm alarm_;
  // From the asking until the poller is back. Written under the lock. Relaxed: who misses a change
  // waits for kAway.
  std::atomic<bool> away_{false};
  base::Mutex mu_;
  base::CondVar changed_;
  bool recalled_ ABSL_GUARDED_BY(mu_) = false;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace atoll::client
