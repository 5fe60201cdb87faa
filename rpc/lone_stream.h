// An Exchange stream for a caller who is alone: it writes, waits for the answer and reads it on the
// caller's own thread, without the hand-over to a poller and back.
//
// One operation at a time. Who finds it taken, not connected yet, or broken, is told at once, and
// goes by the BatchStream. The stream has a completion queue of its own, which nobody else serves:
// between operations nothing of it is looked at.
//
// Thread safety: all methods; Stop not from within Run. Ends are told on the thread that is in Run;
// the stream is taken meanwhile.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/time/time.h"
#include "rpc/batch_operation.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace atoll::rpc {

class LoneStream {
 public:
  struct Options {
    // As BatchStreamOptions.
    bool refuse_wrong_owner = true;
    absl::Duration min_backoff = absl::Milliseconds(50);
    absl::Duration max_backoff = absl::Seconds(1);
  };

  LoneStream(std::shared_ptr<grpc::Channel> channel, const Options& options);
  // As Stop.
  ~LoneStream();
  LoneStream(const LoneStream&) = delete;
  LoneStream& operator=(const LoneStream&) = delete;

  // Carries the operation out, until it has ended: as by BatchStream, its deadline and Shutdown end
  // it early. False: it was not begun, and nothing was done.
  bool Run(BatchOperation* operation);

  // Ends the operation under way with CANCELLED, and takes no more. Does not wait.
  void Shutdown();
  // Shutdown, and returns when gRPC is done with the stream.
  void Stop();

  uint64_t messages() const;

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace atoll::rpc
