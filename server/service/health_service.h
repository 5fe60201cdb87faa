// grpc.health.v1.Health on our own queues: the packaged one brings a thread that takes events from
// them.
//
// Knows the empty service name and those of Atoll's services; all have the node's one state.
//
// Thread safety: all methods. Lifetime: as TopologyService.
#pragma once

#include <atomic>
#include <string>

#include "base/gate.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "server/service/watch_call.h"

namespace atoll::service {

class HealthService final {
 public:
  grpc::Service* service() { return &service_; }
  void Start(grpc::ServerCompletionQueue* queue, base::Gate* calls);
  // NOT_SERVING at first. Watchers are told.
  void SetServing(bool serving);
  // Ends the watches.
  void Stop() { watches_.CancelAll(); }

 private:
  using Response = grpc::health::v1::HealthCheckResponse;
  struct Told {
    bool any = false;
    Response::ServingStatus status = Response::UNKNOWN;
  };
  using Watch = WatchCall<grpc::health::v1::HealthCheckRequest, Response, Told>;

  Response::ServingStatus StatusOf(const std::string& service) const;

  grpc::health::v1::Health::AsyncService service_;
  std::atomic<bool> serving_{false};
  WatchGroup<Watch> watches_;
};

}  // namespace atoll::service
