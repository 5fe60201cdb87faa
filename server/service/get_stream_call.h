// CacheService.GetStream: a header, then the value in chunks that refer to the store's memory.
#pragma once

#include <grpcpp/completion_queue.h>

#include "server/service/stream_entry.h"

namespace atoll::service {

class GetStreamCall {
 public:
  // Arms a call; each that received a request arms the next.
  static void Serve(const StreamEntry& entry, grpc::ServerCompletionQueue* queue);
};

}  // namespace atoll::service
