// One gRPC call of Transfers under way.
//
// Thread safety: Launch and Cancel; the rest is gRPC's events', of which a call orders its own.
// Lifetime: in Transfers' set, and by a reference in each tag, until its last tag has come back.
#pragma once

#include <grpcpp/client_context.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "client/nodes.h"
#include "client/transfers.h"
#include "rpc/completion_queue.h"
#include "rpc/status.h"

namespace atoll::client {

class ActiveCall : public std::enable_shared_from_this<ActiveCall> {
 public:
  ActiveCall(Transfers* transfers, LinkPtr link, absl::Duration deadline)
      : transfers_(transfers), link_(std::move(link)) {
    context_.set_deadline(
        std::chrono::system_clock::now() +
        std::chrono::duration_cast<std::chrono::system_clock::duration>(
            absl::ToChronoNanoseconds(deadline - base::Clock::Real().BootTime())));
  }
  virtual ~ActiveCall() = default;

  // Starts the call, unless the client was closed meanwhile.
  void Launch() {
    if (!transfers_->Add(shared_from_this())) {
      Ended(absl::CancelledError("the client is closed"));
      return;
    }
    Begin();
  }
  void Cancel() { context_.TryCancel(); }
  const std::string& address() const { return link_->address(); }

 protected:
  // Calls a member when gRPC is done with an operation. One for each that may be under way at once.
  template <typename Derived>
  class Event final : public rpc::Tag {
   public:
    Event(Derived* call, void (Derived::*handler)(bool)) : call_(call), handler_(handler) {}
    void Proceed(bool ok) override {
      // Another thread may take the call out of the set meanwhile.
      const std::shared_ptr<ActiveCall> keep = call_->shared_from_this();
      (call_->*handler_)(ok);
    }

   private:
    Derived* const call_;
    void (Derived::*const handler_)(bool);
  };

  virtual void Begin() = 0;
  // The last thing that happens to the call.
  virtual void Ended(absl::Status status) = 0;
  void Finished() {
    transfers_->Remove(shared_from_this());
    Ended(rpc::FromGrpc(status_));
  }

  Transfers* const transfers_;
  const LinkPtr link_;
  grpc::ClientContext context_;
  grpc::Status status_;
};

}  // namespace atoll::client
