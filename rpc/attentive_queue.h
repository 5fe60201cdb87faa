// Takes events from a completion queue, and looks before it sleeps where that pays (looks.h).
//
// Thread safety: none; one for each thread that serves the queue.
#pragma once

#include <grpcpp/completion_queue.h>

#include <chrono>

#include "absl/time/time.h"
#include "rpc/looks.h"

namespace atoll::rpc {

class AttentiveQueue {
 public:
  using Time = std::chrono::system_clock::time_point;

  // The queue outlives it. `looks`: what is known of it already.
  explicit AttentiveQueue(grpc::CompletionQueue* queue, const Looks& looks = Looks())
      : queue_(queue), looks_(looks) {}

  // As grpc::CompletionQueue::AsyncNext. A deadline that comes while it looks may be missed by
  // Looks::kMost.
  grpc::CompletionQueue::NextStatus Next(Time deadline, void** tag, bool* ok);

  // All the time in which it looked and saw nothing.
  absl::Duration looked() const { return looked_; }
  // When the last Next was done (BootTime).
  absl::Duration done_at() const { return done_at_; }

 private:
  grpc::CompletionQueue* const queue_;
  Looks looks_;
  absl::Duration looked_ = absl::ZeroDuration();
  absl::Duration done_at_ = absl::ZeroDuration();
};

}  // namespace atoll::rpc
