#include "server/service/topology_service.h"

#include <optional>
#include <utility>

#include "ring/placement_map.h"
#include "server/service/unary_call.h"

namespace atoll::service {

TopologyService::TopologyService(cluster::ClusterView* view, std::string listener)
    : view_(view), listener_(std::move(listener)) {}

TopologyService::~TopologyService() { Stop(); }

void TopologyService::Start(grpc::ServerCompletionQueue* queue, base::Gate* calls) {
  ServeUnary(&service_, &v1::TopologyService::AsyncService::RequestGetTopology, queue, calls,
             [this](auto& call) {
               *call.response().mutable_map() = Encode(nullptr, *view_->map());
               call.Finish(absl::OkStatus());
             },
             {.for_clients = true});
  Watch::Serve(std::make_shared<const Watch::Method>(Watch::Method{
      .accept =
          [this, queue](grpc::ServerContext* context, v1::WatchTopologyRequest* request,
                        Watch::Writer* writer, void* tag) {
            service_.RequestWatchTopology(context, request, writer, queue, queue, tag);
          },
      .next = [this](const v1::WatchTopologyRequest& request,
                     Told& told) { return Next(request, told); },
      .group = &watches_,
      .calls = calls}));
  if (!listening_) {
    listening_ = true;
    view_->AddListener(this);
  }
}

void TopologyService::Stop() {
  if (!listening_) return;
  listening_ = false;
  view_->RemoveListener(this);
  watches_.CancelAll();
}

void TopologyService::OnMap(const cluster::MapPtr& /*map*/) { watches_.WakeAll(); }

v1::PlacementMap TopologyService::Encode(const ring::PlacementMap* known,
                                         const ring::PlacementMap& map) const {
  v1::PlacementMap message = ring::EncodeDelta(known, map);
  ring::AddressNodesFor(listener_, message.mutable_nodes());
  return message;
}

std::optional<v1::WatchTopologyResponse> TopologyService::Next(
    const v1::WatchTopologyRequest& request, Told& told) const {
  cluster::MapPtr map = view_->map();
  if (told.map != nullptr && told.map->version == map->version) return std::nullopt;
  // A caller that has this very map need not be sent it; of an older one nothing is kept here to
  // make a delta from.
  const bool has_it =
      told.map == nullptr && request.known_version() == map->version && map->version != 0;
  v1::WatchTopologyResponse response;
  if (!has_it) *response.mutable_map() = Encode(told.map.get(), *map);
  told.map = std::move(map);
  if (has_it) return std::nullopt;
  return response;
}

}  // namespace atoll::service
