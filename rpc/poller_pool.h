// Serves a server's completion queue with as many threads as its load takes (event_threads.h).
//
// Where there are threads for patient events (Options::patient), what clients ask (Tag::Work) goes
// there while the first thread has had no rest and nothing of a peer's for kBehind, and all such
// after it until none waits any more: what a node's peers send it does not wait for its clients,
// however many there are and however much they send, and heartbeats are heard. Else one thread does
// everything, which is cheaper by what it costs to wake another one (docs/decisions.md).
//
// Ownership: as Poller, but that the server must be shut down before Stop.
#pragma once

#include <grpcpp/completion_queue.h>

#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "rpc/attentive_queue.h"
#include "rpc/completion_queue.h"
#include "rpc/event_threads.h"
#include "rpc/patient_threads.h"

namespace atoll::rpc {

class PollerPool final : private EventThreads {
 public:
  static constexpr absl::Duration kBehind = absl::Milliseconds(5);

  struct Options {
    std::string name;
    // At the most, and at the least.
    int threads = 1;
    int always = 1;
    // Not zero: hardly anything comes here, and it may wait for so long, so that the thread is not
    // one of those which wait for the network (rpc::Network).
    absl::Duration rare = absl::ZeroDuration();
    // Threads, at the most, for patient events when there is more to do than time. 0: none.
    int patient = 0;
  };

  // Of a grpc::ServerBuilder.
  PollerPool(const Options& options, std::unique_ptr<grpc::ServerCompletionQueue> queue);
  ~PollerPool() override;

  grpc::ServerCompletionQueue* queue() { return queue_.get(); }
  using EventThreads::threads;
  using EventThreads::wanted;

  // After the server's BuildAndStart.
  void Start();
  // Safe to repeat. Not from a thread of the pool.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  Taken Take(Event& event) override;
  Taken TakeHelping(Event& event) override;
  absl::Duration Idled() const override { return attentive_.looked(); }
  // The first thread's, after each event that it took.
  void Note(Tag::Work work);
  // Whether it was handed to the patient threads.
  bool HandsOn(const Event& event, Tag::Work work);
  void RunRarely() ABSL_LOCKS_EXCLUDED(mu_);

  const std::string name_;
  const absl::Duration rare_;
  const std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  const std::unique_ptr<PatientThreads> patient_;
  std::thread rarely_;
  bool stopped_ = false;

  // The first thread's.
  AttentiveQueue attentive_;
  // Of the last kBehind or more: when it began, and what the thread had worked and waited until
  // then.
  absl::Duration since_ = absl::ZeroDuration();
  absl::Duration busy_before_ = absl::ZeroDuration();
  bool no_rest_ = false;
  absl::Duration peers_at_ = absl::ZeroDuration();
  // No rest, and nothing of a peer's. Relaxed: it steers.
  std::atomic<bool> behind_{false};

  base::Mutex mu_;
  base::CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace atoll::rpc
