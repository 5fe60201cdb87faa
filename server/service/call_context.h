// How a call's gRPC context reads.
//
// Thread safety: pure functions.
#pragma once

#include <grpcpp/server_context.h>

#include "server/routing/peer_forwarder.h"
#include "server/service/cache_handler.h"
#include "server/service/deadline.h"

namespace atoll::service {

// What the call asks for. `hop`: what its listener says of all calls.
inline CallInfo InfoOf(const grpc::ServerContext& context, routing::Hop hop) {
  CallInfo info;
  info.deadline = DeadlineOf(context);
  info.options.hop = hop;
  if (context.client_metadata().contains(routing::kNoForwardMetadata)) {
    info.options.hop = routing::Hop::kLast;
  }
  return info;
}

}  // namespace atoll::service
