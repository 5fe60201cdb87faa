#include "rpc/completion_queue.h"

#include <pthread.h>

#include <utility>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ATOLL_TSAN 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define ATOLL_TSAN 1
#endif

#ifdef ATOLL_TSAN
extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);
#endif

namespace atoll::rpc {

void AcquireFromGrpc([[maybe_unused]] void* object) {
#ifdef ATOLL_TSAN
  __tsan_acquire(object);
#endif
}

void ReleaseToGrpc([[maybe_unused]] void* object) {
#ifdef ATOLL_TSAN
  __tsan_release(object);
#endif
}

void* Tag::Arm() {
  ReleaseToGrpc(this);
  return this;
}

namespace {

class QueueWithoutNetwork final : public grpc::CompletionQueue {
 public:
  QueueWithoutNetwork()
      : grpc::CompletionQueue(grpc_completion_queue_attributes{
            GRPC_CQ_CURRENT_VERSION, GRPC_CQ_NEXT, GRPC_CQ_NON_POLLING, nullptr}) {}
};

std::unique_ptr<grpc::CompletionQueue> MakeQueue(Network network) {
  if (network == Network::kLeftToOthers) return std::make_unique<QueueWithoutNetwork>();
  return std::make_unique<grpc::CompletionQueue>();
}

}  // namespace

void NameThread(const std::string& name) {
  // The kernel keeps 15 characters.
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
}

Poller::Poller(std::string thread_name, Network network)
    : thread_name_(std::move(thread_name)), queue_(MakeQueue(network)) {}

Poller::~Poller() { Stop(); }

void Poller::Start() {
  thread_ = std::thread([this] {
    NameThread(thread_name_);
    Run();
  });
}

void Poller::Stop() {
  if (stopped_) return;
  stopped_ = true;
  queue_->Shutdown();
  if (thread_.joinable()) {
    thread_.join();
    return;
  }
  Run();  // Never started: the queue must be drained all the same.
}

void Poller::Run() {
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) Finish(tag, ok);
}

}  // namespace atoll::rpc
