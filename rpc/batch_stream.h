// The calling side of CacheService.Exchange: many operations of many threads on one stream to one
// node (docs/protocol.md). The client library and forwarding nodes share it.
//
// Batching is natural: an idle stream sends an operation at once, on its caller's thread; what
// arrives while it is busy goes out together as the next message, up to 256 KiB. Busy means that a
// message is being written, or for a paced stream that enough is under way (rpc/pacer.h).
//
// A stream that breaks fails everything that was on it, and tells what may have reached the node;
// retrying is the caller's decision. It connects again by itself when the next operation comes,
// after a growing pause during which operations fail at once.
//
// Operations are objects of the caller's (rpc/batch_operation.h), or, for those who have a message
// and want a callback, made here.
//
// Thread safety: all methods. Ends are told with no lock held: on the queue's poller, on a thread
// that is in Start (of this or another operation), or in Stop.
// Ownership: queue and timers outlive the stream's Stop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "rpc/batch_operation.h"
#include "rpc/pacer.h"

namespace grpc {
class Channel;
class CompletionQueue;
}  // namespace grpc

namespace atoll::v1 {
class Operation;
class OperationResult;
}  // namespace atoll::v1

namespace atoll::rpc {

class Timers;

struct BatchStreamOptions {
  // The node refuses keys that it does not own instead of forwarding them.
  bool refuse_wrong_owner = true;
  // Waits for answers before more is sent; else for the transport only.
  bool paced = false;
  // After so long a message that is not answered holds up nothing (rpc/pacer.h).
  absl::Duration patience = Pacer::kPatience;
  // One thread serves the queue. It asks for the next message before it hands out this one's
  // results, so that the network brings it meanwhile; or, where nothing more may be sent before an
  // answer, together with what it sends after that.
  bool one_thread = true;
  size_t max_message_bytes = size_t{256} << 10;
  // Values to be answered in place, to so many bytes each; 0: 64 KiB. Those above 64 KiB may be
  // left in their message (BatchEnd::values).
  uint64_t max_value_bytes = 0;
  // Waiting or unanswered; beyond it operations are refused with RESOURCE_EXHAUSTED. At most
  // OperationTable::kMostOperations count.
  size_t max_operations = 65536;
  size_t max_bytes = size_t{64} << 20;
  // Pause after a failure; doubles up to the maximum, and starts over once a result has come.
  absl::Duration min_backoff = absl::Milliseconds(50);
  absl::Duration max_backoff = absl::Seconds(1);
};

struct BatchReply {
  // As BatchEnd.
  absl::Status status;
  Fate fate = Fate::kNotSent;
  // With an OK status, else nullptr. Lives during the callback; may be moved from.
  v1::OperationResult* result = nullptr;
};

// An operation's message without id and timeout_ms, so that a retry costs no second encoding.
using OperationBytes = std::shared_ptr<const std::string>;
OperationBytes EncodeOperation(const v1::Operation& operation);

class BatchStream {
 public:
  // Called exactly once; possibly before Start returns.
  using Done = absl::AnyInvocable<void(BatchReply)>;
  // Called at most once, just before the operation is written: from then on it may be carried out.
  using Departs = absl::AnyInvocable<void()>;

  BatchStream(std::shared_ptr<grpc::Channel> channel, grpc::CompletionQueue* queue, Timers* timers,
              const BatchStreamOptions& options);
  // As Stop.
  ~BatchStream();
  BatchStream(const BatchStream&) = delete;
  BatchStream& operator=(const BatchStream&) = delete;

  // Both return the operation's number on this stream, for Cancel; 0 if it was refused.
  uint64_t Start(BatchOperation* operation);
  // `deadline` is on base::Clock::Real().BootTime(); the node gets what is left of it at sending.
  uint64_t Start(OperationBytes operation, absl::Duration deadline, Done done,
                 Departs departs = nullptr);
  // As Start, for one that nobody will cancel: of those that callbacks of this stream start many
  // are taken at once, and where one is refused it ends after the callback.
  void StartSoon(BatchOperation* operation);
  // Whether StartSoon would put it off, because this thread is handing out answers of this stream:
  // which is there as long as that, and its poller awake.
  bool PutsOff() const;
  // Ends the operation with CANCELLED if it has not ended yet.
  void Cancel(uint64_t id);

  // Fails all operations with CANCELLED, and those to come. Does not wait.
  void Shutdown();
  // Shutdown, and returns when gRPC is done with the stream. Not from the poller's thread.
  void Stop();

  // After Shutdown: gRPC is done with the stream, so that Stop does not wait.
  bool drained() const;
  // Operations waiting or unanswered. Takes no lock: as of now, or of a moment ago.
  size_t outstanding() const;
  size_t outstanding_bytes() const;

  // The node refused an operation for overload, and asks for a pause; zero: for none in particular.
  // A paced stream then sends less (rpc/congestion.h). `message`: the operation's; 0: it went
  // another way.
  void Overloaded(uint64_t message, absl::Duration pause);
  // Whether those who block on it are a crowd (rpc/crowd.h). Takes no lock: as of the last answers.
  bool crowded() const;
  // Sends what waits for blocking callers who have not come back.
  void SendHeld();

  // Less is sent than could be.
  bool slowed() const;
  // How often the stream has slowed down.
  uint64_t slowdowns() const;

  // Messages written since the start.
  uint64_t messages() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace atoll::rpc
