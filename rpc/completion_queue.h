// Completion queues, the threads that serve them, and the one place where ThreadSanitizer is told
// what gRPC orders.
//
// Everything asynchronous is a Tag: it is handed to gRPC as `tag.Arm()` when an operation starts,
// and `Proceed` is called, by a poller's thread, when that operation is done. gRPC is not
// instrumented, so that ThreadSanitizer does not see that what happened before the start happened
// before Proceed: Arm releases, the poller acquires. Never hand gRPC a naked pointer.
//
// Ownership: a poller owns its queue and its thread. Stop() ends both; it must be called when no
// operation will be started any more (gRPC aborts the process otherwise), and it returns when every
// tag under way has been handed out.
#pragma once

#include <grpcpp/completion_queue.h>

#include <memory>
#include <string>
#include <thread>

namespace atoll::rpc {

class Tag {
 public:
  virtual ~Tag() = default;
  // The operation is done. `ok` is gRPC's: false for a read at the end of a stream, for a write on
  // a broken call, for a request that a stopping server will not get any more, and so on. May
  // destroy the tag.
  virtual void Proceed(bool ok) = 0;

  // What to give to gRPC as the tag. Call it last, in the very expression that starts the
  // operation: what is written to the object later is not ordered before Proceed.
  void* Arm();
};

// The same order for memory that gRPC keeps and gives back on a thread of its own (slices): release
// before it is handed over, acquire when it comes back. Without ThreadSanitizer they do nothing.
void ReleaseToGrpc(void* object);
void AcquireFromGrpc(void* object);

// Serves a queue with one thread, until Stop.
class Poller {
 public:
  // A queue of its own, for calls that this process makes.
  explicit Poller(std::string thread_name);
  // A queue that a grpc::ServerBuilder made. The server must be shut down before Stop.
  Poller(std::string thread_name, std::unique_ptr<grpc::ServerCompletionQueue> queue);
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  grpc::CompletionQueue* queue() { return queue_.get(); }
  // nullptr for a queue of the first kind.
  grpc::ServerCompletionQueue* server_queue() { return server_queue_; }

  // Starts the thread. A server's queues are served from after BuildAndStart only.
  void Start();
  // Safe to repeat. Not from the poller's own thread.
  void Stop();

 private:
  void Run();

  const std::string thread_name_;
  std::unique_ptr<grpc::CompletionQueue> queue_;
  grpc::ServerCompletionQueue* server_queue_ = nullptr;
  std::thread thread_;
  bool stopped_ = false;
};

}  // namespace atoll::rpc
