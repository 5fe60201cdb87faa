// CacheService.Exchange, the serving side: many operations of one caller on one stream.
//
// A message's operations are started at once, on the thread that read it; what is ready goes out
// together. An operation that waits is completed by any thread: under the stream's mutex its result
// joins the output, and a write begins if none is in flight. A caller who waits for an answer to
// his message has one at once, an empty one if need be (ExchangeRequest.answer_at_once). Reading
// stops while output and waiting operations exceed 4 MiB, so that a stream's memory is bounded
// whatever its caller sends.
#pragma once

#include <grpcpp/completion_queue.h>

#include "server/service/stream_entry.h"

namespace atoll::service {

class ExchangeCall {
 public:
  static constexpr size_t kMessageBytes = size_t{256} << 10;
  static constexpr size_t kPauseBytes = size_t{4} << 20;

  // Arms a call; each that a caller opened arms the next.
  static void Serve(const StreamEntry& entry, grpc::ServerCompletionQueue* queue);
};

}  // namespace atoll::service
