#include "server/cluster/peer_caller.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/async_unary_call.h>

#include <chrono>
#include <map>
#include <set>
#include <utility>

#include "atoll/internal/v1/peer.grpc.pb.h"
#include "base/mutex.h"
#include "rpc/channel.h"
#include "rpc/completion_queue.h"
#include "rpc/status.h"

namespace atoll::cluster {
namespace {

using internal::v1::AskControllerRequest;
using internal::v1::AskControllerResponse;
using internal::v1::PeerService;

// The controller changes rarely and nodes come and go: old channels are dropped beyond this.
constexpr size_t kMaxChannels = 16;

// Calls under way, so that a stop need not wait for their deadlines.
class Calls {
 public:
  void Add(grpc::ClientContext* context) {
    base::MutexLock lock(mu_);
    contexts_.insert(context);
  }
  void Remove(grpc::ClientContext* context) {
    base::MutexLock lock(mu_);
    contexts_.erase(context);
    if (contexts_.empty()) none_.SignalAll();
  }
  // Returns when gRPC is done with all of them. None is added any more.
  void Cancel() {
    base::MutexLock lock(mu_);
    for (grpc::ClientContext* context : contexts_) context->TryCancel();
    while (!contexts_.empty()) none_.Wait(mu_);
  }

 private:
  base::Mutex mu_;
  base::CondVar none_;
  std::set<grpc::ClientContext*> contexts_ ABSL_GUARDED_BY(mu_);
};

class Call final : public rpc::Tag {
 public:
  Call(Calls* calls, ClusterView::AskDone done, absl::Duration timeout)
      : calls_(calls), done_(std::move(done)) {
    context_.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout));
  }

  void Start(PeerService::Stub* stub, const AskControllerRequest& request,
             grpc::CompletionQueue* queue) {
    reader_ = stub->PrepareAsyncAskController(&context_, request, queue);
    calls_->Add(&context_);
    reader_->StartCall();
    reader_->Finish(&response_, &status_, Arm());
  }

  void Proceed(bool /*ok*/) override {
    if (status_.ok()) {
      done_(std::move(response_));
    } else {
      done_(rpc::FromGrpc(status_));
    }
    done_ = nullptr;
    // Last of what others see: a stop waits for it.
    calls_->Remove(&context_);
    delete this;
  }

 private:
  Calls* const calls_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<AskControllerResponse>> reader_;
  AskControllerResponse response_;
  grpc::Status status_;
  ClusterView::AskDone done_;
};

class GrpcPeerCaller final : public PeerCaller {
 public:
  GrpcPeerCaller(grpc::CompletionQueue* queue,
                 std::shared_ptr<grpc::ChannelCredentials> credentials)
      : queue_(queue),
        credentials_(credentials != nullptr ? std::move(credentials)
                                            : grpc::InsecureChannelCredentials()) {}
  ~GrpcPeerCaller() override { Stop(); }

  void AskController(const std::string& address, const AskControllerRequest& request,
                     absl::Duration timeout, ClusterView::AskDone done) override {
    {
      base::MutexLock lock(mu_);
      if (!stopped_) {
        // Under the lock, so that Stop finds no call that is about to start.
        auto* call = new Call(&calls_, std::move(done), timeout);  // ends itself in Proceed
        call->Start(StubLocked(address), request, queue_);
        return;
      }
    }
    done(absl::UnavailableError("stopping"));
  }

  void Stop() override {
    {
      base::MutexLock lock(mu_);
      stopped_ = true;
    }
    calls_.Cancel();
  }

 private:
  PeerService::Stub* StubLocked(const std::string& address) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    std::unique_ptr<PeerService::Stub>& stub = stubs_[address];
    if (stub == nullptr) {
      if (stubs_.size() > kMaxChannels) {
        // A call under way keeps its channel.
        std::erase_if(stubs_, [&](const auto& entry) { return entry.first != address; });
      }
      stubs_[address] = PeerService::NewStub(rpc::MakeChannel(address, credentials_));
    }
    return stubs_[address].get();
  }

  grpc::CompletionQueue* const queue_;
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  Calls calls_;
  base::Mutex mu_;
  std::map<std::string, std::unique_ptr<PeerService::Stub>> stubs_ ABSL_GUARDED_BY(mu_);
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace

std::unique_ptr<PeerCaller> MakeGrpcPeerCaller(
    grpc::CompletionQueue* queue, std::shared_ptr<grpc::ChannelCredentials> credentials) {
  return std::make_unique<GrpcPeerCaller>(queue, std::move(credentials));
}

}  // namespace atoll::cluster
