#include "rpc/attentive_queue.h"

#include <grpc/support/time.h>
#include <sched.h>

#include "base/clock.h"

namespace atoll::rpc {
namespace {

absl::Duration Now() { return base::Clock::Real().BootTime(); }

}  // namespace

grpc::CompletionQueue::NextStatus AttentiveQueue::Next(Time deadline, void** tag, bool* ok) {
  const absl::Duration start = Now();
  if (!looks_.worthwhile()) {
    const auto status = queue_->AsyncNext(tag, ok, deadline);
    done_at_ = Now();
    looks_.Slept(done_at_ - start);
    return status;
  }
  absl::Duration waited = absl::ZeroDuration();
  while (waited < Looks::kMost) {
    // The deadline has passed: it looks at the sockets, once.
    const auto status = queue_->AsyncNext(tag, ok, gpr_time_0(GPR_CLOCK_MONOTONIC));
    if (status != grpc::CompletionQueue::TIMEOUT) {
      if (waited > absl::ZeroDuration()) looks_.Found();
      looked_ += waited;
      done_at_ = start + waited;
      return status;
    }
    // Whoever else could use the processor is to have it.
    sched_yield();
    waited = Now() - start;
  }
  looked_ += waited;
  looks_.Missed();
  const auto status = queue_->AsyncNext(tag, ok, deadline);
  done_at_ = Now();
  return status;
}

}  // namespace atoll::rpc
