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

Poller::Poller(std::string thread_name)
    : thread_name_(std::move(thread_name)), queue_(std::make_unique<grpc::CompletionQueue>()) {}

Poller::Poller(std::string thread_name, std::unique_ptr<grpc::ServerCompletionQueue> queue)
    : thread_name_(std::move(thread_name)), queue_(std::move(queue)) {
  server_queue_ = static_cast<grpc::ServerCompletionQueue*>(queue_.get());
}

Poller::~Poller() { Stop(); }

void Poller::Start() {
  thread_ = std::thread([this] {
    // The kernel keeps 15 characters.
    pthread_setname_np(pthread_self(), thread_name_.substr(0, 15).c_str());
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
  while (queue_->Next(&tag, &ok)) {
    // Every tag was made by Tag::Arm, which returns the Tag itself.
    AcquireFromGrpc(tag);
    static_cast<Tag*>(tag)->Proceed(ok);
  }
}

}  // namespace atoll::rpc
