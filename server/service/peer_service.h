// atoll.internal.v1.PeerService: what other nodes send to this one.
//
// Thread safety: all methods. Lifetime: as TopologyService; sink and membership outlive it.
#pragma once

#include "atoll/internal/v1/peer.grpc.pb.h"
#include "base/gate.h"
#include "server/cluster/membership.h"
#include "server/replication/link_sink.h"

namespace atoll::service {

class PeerService final {
 public:
  // A message may hold a record of the largest value.
  static constexpr int kMaxMessageBytes = 80 << 20;

  PeerService(cluster::Membership* membership, replication::LinkSink* sink)
      : membership_(membership), sink_(sink) {}

  grpc::Service* service() { return &service_; }
  void Start(grpc::ServerCompletionQueue* queue, base::Gate* calls);

 private:
  class Link;
  using Methods = internal::v1::PeerService;
  using Service =
      Methods::WithRawMethod_Link<Methods::WithAsyncMethod_AskController<Methods::Service>>;

  cluster::Membership* const membership_;
  replication::LinkSink* const sink_;
  Service service_;
};

}  // namespace atoll::service
