// atoll.v1.CacheService on completion queues.
#pragma once

#include "atoll/v1/cache.grpc.pb.h"
#include "base/gate.h"
#include "server/service/cache_handler.h"

namespace atoll::service {

// The streams and the unary methods that carry the load are raw: their messages are taken apart and
// put together by hand, without copies of large values.
using CacheRawStreams =
    v1::CacheService::WithRawMethod_GetStream<v1::CacheService::WithRawMethod_SetStream<
        v1::CacheService::WithRawMethod_Exchange<v1::CacheService::AsyncService>>>;
using CacheAsyncService = v1::CacheService::WithRawMethod_Get<v1::CacheService::WithRawMethod_Set<
    v1::CacheService::WithRawMethod_MultiGet<v1::CacheService::WithRawMethod_MultiSet<
        v1::CacheService::WithRawMethod_MultiDelete<CacheRawStreams>>>>>;

class CacheGrpcService {
 public:
  // The handler outlives the service. `hop`: kLast on the listener for other nodes.
  explicit CacheGrpcService(CacheHandler* handler, routing::Hop hop = routing::Hop::kFirst)
      : handler_(handler), hop_(hop) {}
  grpc::Service* service() { return &service_; }
  // Arms every method on the queue. Each call is inside `calls` until its end.
  void Serve(grpc::ServerCompletionQueue* queue, base::Gate* calls);

 private:
  CacheHandler* const handler_;
  const routing::Hop hop_;
  CacheAsyncService service_;
};

}  // namespace atoll::service
