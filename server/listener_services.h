// The services of one listener: gRPC binds an instance to one server.
//
// Ownership: owns them and the listener, whose calls end before they do. Thread safety: none.
#pragma once

#include <memory>
#include <vector>

#include "base/gate.h"
#include "server/listener.h"
#include "server/options.h"
#include "server/service/admin_service.h"
#include "server/service/cache_service.h"
#include "server/service/health_service.h"
#include "server/service/peer_service.h"
#include "server/service/reflection_service.h"
#include "server/service/topology_service.h"

namespace atoll::server {

struct ListenerServices {
  ListenerOptions options;
  std::unique_ptr<service::CacheGrpcService> cache;
  std::unique_ptr<service::TopologyService> topology;
  std::unique_ptr<service::AdminService> admin;
  std::unique_ptr<service::HealthService> health;
  std::unique_ptr<service::ReflectionService> reflection;
  std::unique_ptr<service::PeerService> peer;
  std::unique_ptr<Listener> listener;

  std::vector<ServedService> Served() const {
    std::vector<ServedService> served;
    if (cache != nullptr) {
      served.push_back({cache->service(), [raw = cache.get()](auto* queue, base::Gate* calls) {
                          raw->Serve(queue, calls);
                        }});
    }
    const auto add = [&served](auto& service) {
      if (service == nullptr) return;
      served.push_back({service->service(), [raw = service.get()](auto* queue, base::Gate* calls) {
                          raw->Start(queue, calls);
                        }});
    };
    add(topology);
    add(admin);
    add(health);
    add(reflection);
    add(peer);
    return served;
  }
};

}  // namespace atoll::server
