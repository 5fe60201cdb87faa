// Unary calls of the methods that carry the load, by the hand-written codec: Get, Set, MultiGet,
// MultiSet. What arrives goes the way of a message of an Exchange stream that holds this one
// operation.
#pragma once

#include <grpcpp/completion_queue.h>

#include "rpc/wire/messages.h"
#include "server/service/stream_entry.h"

namespace atoll::service {

class RawCall {
 public:
  // Arms a call of the method of this kind; each that comes arms the next.
  static void Serve(const StreamEntry& entry, wire::Kind kind, grpc::ServerCompletionQueue* queue);
};

}  // namespace atoll::service
