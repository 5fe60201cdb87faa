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

#include <cstdint>
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
  // For whoever has to choose (PollerPool).
  enum class Work : uint8_t {
    kClients,  // What a client asks: may take its time, and wait.
    kPeers,    // What another node sends. Heartbeats are among it.
    kBrief,    // All else.
  };
  virtual Work work() const { return Work::kBrief; }

  // What to give to gRPC as the tag. Call it last, in the very expression that starts the
  // operation: what is written to the object later is not ordered before Proceed.
  void* Arm();
};

// The same order for memory that gRPC keeps and gives back on a thread of its own (slices): release
// before it is handed over, acquire when it comes back. Without ThreadSanitizer they do nothing.
void ReleaseToGrpc(void* object);
void AcquireFromGrpc(void* object);

// Has the tag that came back proceed.
inline void Finish(void* tag, bool ok) {
  // Every tag was made by Tag::Arm, which returns the Tag itself.
  AcquireFromGrpc(tag);
  static_cast<Tag*>(tag)->Proceed(ok);
}

void NameThread(const std::string& name);

// Who waits for the network. gRPC has one set of sockets in a process, and one thread at a time
// waiting for them: whoever of those that serve queues comes by. Each more of them takes a turn,
// and hands on what belongs to others' queues.
enum class Network : uint8_t {
  kPolled,
  // This queue's thread is not one of them: another one has to be there where calls are made.
  kLeftToOthers,
};

// Serves a queue of its own, for calls that this process makes, with one thread, until Stop.
class Poller {
 public:
  explicit Poller(std::string thread_name, Network network = Network::kPolled);
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  grpc::CompletionQueue* queue() { return queue_.get(); }

  void Start();
  // Safe to repeat. Not from the poller's own thread.
  void Stop();

 private:
  void Run();

  const std::string thread_name_;
  const std::unique_ptr<grpc::CompletionQueue> queue_;
  std::thread thread_;
  bool stopped_ = false;
};

}  // namespace atoll::rpc
