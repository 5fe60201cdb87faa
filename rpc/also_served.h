// A server whose calls are served by another server's completion queue, so that one thread is at
// work for both: gRPC gives each server a queue of its own, and threads that wait for several take
// turns at waiting for the network, where each hands on what it finds for the others.
//
// The server needs its own queue all the same, and somebody has to look at it now and then: calls
// of methods that nobody serves come there.
#pragma once

#include <grpcpp/server_builder.h>

namespace atoll::rpc {

// Before BuildAndStart: calls of this server may be asked for, and come, on `queue` of another
// server as well. The queue outlives the server.
void AlsoServedBy(grpc::ServerCompletionQueue* queue, grpc::ServerBuilder& builder);

}  // namespace atoll::rpc
