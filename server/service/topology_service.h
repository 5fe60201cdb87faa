// atoll.v1.TopologyService: the placement map, as callers of one listener may use it.
//
// Thread safety: all methods. Lifetime: made before its server, destroyed after the server's queues
// were drained; it is a listener of the view from Start to Stop.
#pragma once

#include <memory>
#include <string>

#include "atoll/v1/topology.grpc.pb.h"
#include "base/gate.h"
#include "server/cluster/cluster_view.h"
#include "server/service/watch_call.h"

namespace atoll::service {

class TopologyService final : public cluster::ClusterListener {
 public:
  // Nodes are given the addresses of the listener `listener`. `view` outlives it.
  TopologyService(cluster::ClusterView* view, std::string listener);
  ~TopologyService() override;

  grpc::Service* service() { return &service_; }
  // Accepts calls on this queue; once for each queue, after the server was built.
  void Start(grpc::ServerCompletionQueue* queue, base::Gate* calls);
  // Ends the watches. Safe to repeat.
  void Stop();

  void OnMap(const cluster::MapPtr& map) override;

 private:
  // What a watcher was told last; nullptr: nothing.
  struct Told {
    cluster::MapPtr map;
  };
  using Watch = WatchCall<v1::WatchTopologyRequest, v1::WatchTopologyResponse, Told>;

  v1::PlacementMap Encode(const ring::PlacementMap* known, const ring::PlacementMap& map) const;
  std::optional<v1::WatchTopologyResponse> Next(const v1::WatchTopologyRequest& request,
                                                Told& told) const;

  cluster::ClusterView* const view_;
  const std::string listener_;
  v1::TopologyService::AsyncService service_;
  WatchGroup<Watch> watches_;
  bool listening_ = false;
};

}  // namespace atoll::service
