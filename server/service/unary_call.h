// One unary call on a completion queue: waits for a request, hands it to its handler, sends the
// answer, and is gone.
//
// Lifetime: a call owns itself. From the accept on, it lives until the handler's Finish has been
// carried out, and, if it is watched, gRPC has told its end; a call that still waits when the
// server shuts down ends by itself.
//
// Thread safety: Finish is called exactly once, by any thread, possibly before the handler returns;
// nothing of the call may be touched afterwards.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/async_unary_call.h>

#include <atomic>
#include <functional>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "base/gate.h"
#include "rpc/completion_queue.h"
#include "rpc/status.h"

namespace atoll::service {

struct UnaryTraits {
  // cancelled() says whether the caller has gone, which costs an event a call.
  bool watched = false;
  // It is what clients ask, and may take its time (rpc::Tag::Work).
  bool for_clients = false;
};

template <typename Request, typename Response>
class UnaryCall final : public rpc::Tag {
 public:
  using Writer = grpc::ServerAsyncResponseWriter<Response>;
  // Asks the generated service for the next call.
  using Accept = std::function<void(grpc::ServerContext*, Request*, Writer*, void* tag)>;
  using Handler = std::function<void(UnaryCall&)>;

  // Waits for a call, and for the next one as soon as it has come, until the server shuts down.
  // Each call is inside `gate` from its waiting to its end, and none follows once that is closed.
  static void Serve(Accept accept, Handler handler, base::Gate* gate, UnaryTraits traits = {}) {
    Wait(std::make_shared<const Method>(
        Method{std::move(accept), std::move(handler), gate, traits}));
  }

  const Request& request() const { return request_; }
  Response& response() { return response_; }
  grpc::ServerContext& context() { return context_; }
  const std::atomic<bool>* cancelled() const {
    return method_->traits.watched ? &cancelled_ : nullptr;
  }
  Work work() const override {
    const bool carries_out = method_->traits.for_clients && phase_ == Phase::kWaiting;
    return carries_out ? Work::kClients : Work::kBrief;
  }

  void Finish(const absl::Status& status) {
    phase_ = Phase::kAnswering;
    if (status.ok()) {
      writer_.Finish(response_, grpc::Status::OK, Arm());
    } else {
      writer_.FinishWithError(rpc::ToGrpc(status), Arm());
    }
  }

  void Proceed(bool ok) override {
    // The end of a call that never came is not told.
    if (phase_ == Phase::kWaiting && !ok) return End();
    if (phase_ == Phase::kAnswering) return LetGo();
    Wait(method_);
    method_->handler(*this);
  }

 private:
  struct Method {
    Accept accept;
    Handler handler;
    base::Gate* gate;
    UnaryTraits traits;
  };
  // The call is over, whatever we do: by our answer, or because the caller has gone.
  class Over final : public rpc::Tag {
   public:
    explicit Over(UnaryCall* call) : call_(call) {}
    void Proceed(bool /*ok*/) override {
      call_->cancelled_.store(call_->context_.IsCancelled(), std::memory_order_relaxed);
      call_->LetGo();
    }

   private:
    UnaryCall* const call_;
  };
  enum class Phase : uint8_t { kWaiting, kAnswering };

  explicit UnaryCall(std::shared_ptr<const Method> method)
      : method_(std::move(method)), holds_(method_->traits.watched ? 2 : 1) {}

  static void Wait(std::shared_ptr<const Method> method) {
    if (!method->gate->Enter()) return;
    auto* call = new UnaryCall(std::move(method));
    if (call->method_->traits.watched) call->context_.AsyncNotifyWhenDone(call->over_.Arm());
    call->method_->accept(&call->context_, &call->request_, &call->writer_, call->Arm());
  }

  void LetGo() {
    if (holds_.fetch_sub(1, std::memory_order_acq_rel) == 1) End();
  }
  void End() {
    base::Gate* const gate = method_->gate;
    delete this;
    gate->Leave();
  }

  const std::shared_ptr<const Method> method_;
  Over over_{this};
  std::atomic<bool> cancelled_{false};
  // Events that will still come once there is a call: the answer's, and the end if it is watched,
  // which another thread may see before this one sees the call. Acquire and release: who deletes
  // sees what the other did.
  std::atomic<int> holds_;
  grpc::ServerContext context_;
  Request request_;
  Response response_;
  Writer writer_{&context_};
  Phase phase_ = Phase::kWaiting;
};

// Serves one method of a generated asynchronous service on a queue:
//   ServeUnary(&service_, &Service::RequestGet, queue, gate, [this](auto& call) { ...
//   call.Finish(status); });
template <typename Service, typename Mixin, typename Request, typename Response, typename Handler>
void ServeUnary(Service* service,
                void (Mixin::*accept)(grpc::ServerContext*, Request*,
                                      grpc::ServerAsyncResponseWriter<Response>*,
                                      grpc::CompletionQueue*, grpc::ServerCompletionQueue*, void*),
                grpc::ServerCompletionQueue* queue, base::Gate* gate, Handler handler,
                UnaryTraits traits = {}) {
  using Call = UnaryCall<Request, Response>;
  Call::Serve([service, accept, queue](
                  grpc::ServerContext* context, Request* request, typename Call::Writer* writer,
                  void* tag) { (service->*accept)(context, request, writer, queue, queue, tag); },
              std::move(handler), gate, traits);
}

}  // namespace atoll::service
