// CacheService.SetStream: a header that says how large the value is, then chunks, which are kept as
// they were received until the last one is there. Their memory is reserved when the header comes.
#pragma once

#include <grpcpp/completion_queue.h>

#include "server/service/stream_entry.h"

namespace atoll::service {

class SetStreamCall {
 public:
  // Arms a call; each that a caller opened arms the next.
  static void Serve(const StreamEntry& entry, grpc::ServerCompletionQueue* queue);
};

}  // namespace atoll::service
