#include "server/service/cache_service.h"

#include <utility>

#include "server/service/call_context.h"
#include "server/service/exchange_call.h"
#include "server/service/get_stream_call.h"
#include "server/service/raw_call.h"
#include "server/service/set_stream_call.h"
#include "server/service/unary_call.h"

namespace atoll::service {

void CacheGrpcService::Serve(grpc::ServerCompletionQueue* queue, base::Gate* calls) {
  const auto serve = [&](auto method, bool watched = false) {
    ServeUnary(&service_, method, queue, calls,
               [handler = handler_, hop = hop_](auto& call) {
                 CallInfo info = InfoOf(call.context(), hop);
                 info.cancelled = call.cancelled();
                 handler->Handle(call.request(), info, &call.response(),
                                 [&call](absl::Status status) { call.Finish(status); });
               },
               {.watched = watched, .for_clients = true});
  };
  serve(&CacheAsyncService::RequestDelete);
  serve(&CacheAsyncService::RequestTouch);
  serve(&CacheAsyncService::RequestGetAndTouch);
  serve(&CacheAsyncService::RequestAdd);
  serve(&CacheAsyncService::RequestReplace);
  serve(&CacheAsyncService::RequestCompareAndSwap);
  serve(&CacheAsyncService::RequestIncrement);
  serve(&CacheAsyncService::RequestDecrement);
  serve(&CacheAsyncService::RequestAppend);
  serve(&CacheAsyncService::RequestPrepend);
  serve(&CacheAsyncService::RequestScan, /*watched=*/true);
  serve(&CacheAsyncService::RequestFlush);
  const StreamEntry entry{&service_, handler_, calls, hop_};
  GetStreamCall::Serve(entry, queue);
  SetStreamCall::Serve(entry, queue);
  ExchangeCall::Serve(entry, queue);
  for (const wire::Kind kind : {wire::Kind::kGet, wire::Kind::kSet, wire::Kind::kMultiGet,
                                wire::Kind::kMultiSet, wire::Kind::kMultiDelete}) {
    RawCall::Serve(entry, kind, queue);
  }
}

}  // namespace atoll::service
