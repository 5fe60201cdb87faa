// A server-streaming call that tells its caller the latest state, again and again, until the caller
// goes away. A caller that reads slowly misses steps, never the last one: one message is under way
// at a time, and the next is made when it has been written.
//
// Thread safety: Wake and Cancel may be called by any thread. `next` is called by one thread at a
// time for each call. Lifetime: calls are shared between their events under way and the group that
// holds them while they are open.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/async_stream.h>

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "base/gate.h"
#include "base/mutex.h"
#include "rpc/completion_queue.h"

namespace atoll::service {

// The open calls of one method.
template <typename Call>
class WatchGroup {
 public:
  // False: there are too many already.
  bool Add(const std::shared_ptr<Call>& call) {
    base::MutexLock lock(mu_);
    if (calls_.size() >= kMaxCalls) return false;
    calls_.insert(call);
    return true;
  }
  void Remove(const std::shared_ptr<Call>& call) {
    base::MutexLock lock(mu_);
    calls_.erase(call);
  }
  void WakeAll() {
    for (const std::shared_ptr<Call>& call : All()) call->Wake();
  }
  void CancelAll() {
    for (const std::shared_ptr<Call>& call : All()) call->Cancel();
  }

 private:
  static constexpr size_t kMaxCalls = 10'000;
  std::vector<std::shared_ptr<Call>> All() {
    base::MutexLock lock(mu_);
    return {calls_.begin(), calls_.end()};
  }
  base::Mutex mu_;
  absl::flat_hash_set<std::shared_ptr<Call>> calls_ ABSL_GUARDED_BY(mu_);
};

// `State` is what `next` keeps between two messages of one call.
template <typename Request, typename Response, typename State>
class WatchCall final : public std::enable_shared_from_this<WatchCall<Request, Response, State>> {
 public:
  using Group = WatchGroup<WatchCall>;
  using Writer = grpc::ServerAsyncWriter<Response>;
  using Accept = std::function<void(grpc::ServerContext*, Request*, Writer*, void* tag)>;
  // The message that brings the caller up to date; nullopt: it is.
  using Next = std::function<std::optional<Response>(const Request&, State&)>;
  struct Method {
    Accept accept;
    Next next;
    Group* group;       // outlives the server
    base::Gate* calls;  // each call is inside it from its waiting to its end
  };

  static void Serve(std::shared_ptr<const Method> method) {
    base::Gate* const calls = method->calls;
    if (!calls->Enter()) return;
    std::shared_ptr<WatchCall> call(new WatchCall(std::move(method)), [calls](WatchCall* ended) {
      delete ended;
      calls->Leave();
    });
    call->context_.AsyncNotifyWhenDone(call->done_.ArmFor(call));
    call->method_->accept(&call->context_, &call->request_, &call->writer_,
                          call->accepted_.ArmFor(call));
  }
  explicit WatchCall(std::shared_ptr<const Method> method) : method_(std::move(method)) {}

  // There may be something to tell.
  void Wake() {
    {
      base::MutexLock lock(mu_);
      if (closed_) return;
      news_ = true;
      if (busy_) return;
      busy_ = true;
    }
    Tell();
  }
  // Ends the call.
  void Cancel() { context_.TryCancel(); }

 private:
  class Event final : public rpc::Tag {
   public:
    explicit Event(void (WatchCall::*on)(bool)) : on_(on) {}
    void* ArmFor(std::shared_ptr<WatchCall> call) {
      call_ = std::move(call);
      return Arm();
    }
    // The event will not come.
    void Forget() { call_.reset(); }
    void Proceed(bool ok) override {
      const std::shared_ptr<WatchCall> call = std::move(call_);
      (call.get()->*on_)(ok);
    }

   private:
    void (WatchCall::*const on_)(bool);
    std::shared_ptr<WatchCall> call_;
  };

  void OnAccepted(bool ok) {
    if (!ok) return done_.Forget();  // the server shuts down: gRPC drops the other event
    Serve(method_);
    if (!method_->group->Add(this->shared_from_this())) {
      {
        base::MutexLock lock(mu_);
        busy_ = true;
        closed_ = true;
      }
      writer_.Finish({grpc::StatusCode::RESOURCE_EXHAUSTED, "too many watchers"},
                     written_.ArmFor(this->shared_from_this()));
      return;
    }
    Wake();
  }

  // The caller went away, or the call was ended.
  void OnDone(bool /*ok*/) {
    {
      base::MutexLock lock(mu_);
      closed_ = true;
    }
    method_->group->Remove(this->shared_from_this());
  }

  void OnWritten(bool ok) {
    if (ok) Tell();
  }

  // With busy_ set: tells what there is to tell, or clears busy_.
  void Tell() {
    for (;;) {
      {
        base::MutexLock lock(mu_);
        if (closed_) return;
        if (!news_) {
          busy_ = false;
          return;
        }
        news_ = false;
      }
      if (std::optional<Response> message = method_->next(request_, state_)) {
        {
          // When it is written, look again.
          base::MutexLock lock(mu_);
          news_ = true;
        }
        writer_.Write(*message, written_.ArmFor(this->shared_from_this()));
        return;
      }
    }
  }

  const std::shared_ptr<const Method> method_;
  grpc::ServerContext context_;
  Request request_;
  Writer writer_{&context_};
  State state_{};  // used by whoever set busy_
  Event accepted_{&WatchCall::OnAccepted};
  Event done_{&WatchCall::OnDone};
  Event written_{&WatchCall::OnWritten};

  base::Mutex mu_;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  bool busy_ ABSL_GUARDED_BY(mu_) = false;  // somebody makes or writes a message
  bool news_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace atoll::service
