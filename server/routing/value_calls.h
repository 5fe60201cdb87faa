// GetStream and SetStream from the caller's side, with values by reference. Private to this folder.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/generic/generic_stub.h>

#include <chrono>
#include <memory>

#include "absl/time/time.h"
#include "base/clock.h"
#include "rpc/completion_queue.h"
#include "server/routing/byte_budget.h"
#include "server/routing/forwarder.h"

namespace atoll::routing {

struct LinkChannel {
  std::shared_ptr<grpc::Channel> channel;
  grpc::CompletionQueue* queue = nullptr;
};

// gRPC's clock for a deadline on BootTime.
std::chrono::system_clock::time_point SystemDeadline(absl::Duration boot_deadline);

// The value is owned by what was received, and charged to `budget` until its last reference goes.
void StartFetch(grpc::GenericStub* stub, grpc::CompletionQueue* queue, ByteBudget* budget,
                const base::Clock* clock, const replication::Operation& get,
                Forwarder::StreamDone done);
void StartStore(grpc::GenericStub* stub, grpc::CompletionQueue* queue,
                const replication::Operation& set, Forwarder::StreamDone done);

}  // namespace atoll::routing
