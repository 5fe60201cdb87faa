// Asks the controller on another node: PeerService.AskController at its peer listener.
//
// Thread safety: all methods. Ownership: the caller stops it before what `done` refers to ends;
// Stop completes every call under way.
#pragma once

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "server/cluster/cluster_view.h"

namespace grpc {
class ChannelCredentials;
class CompletionQueue;
}  // namespace grpc

namespace atoll::cluster {

class PeerCaller {
 public:
  virtual ~PeerCaller() = default;
  // Calls `done` once, on any thread, possibly before it returns.
  virtual void AskController(const std::string& address,
                             const internal::v1::AskControllerRequest& request,
                             absl::Duration timeout, ClusterView::AskDone done) = 0;
  virtual void Stop() = 0;
};

// Over gRPC, with a channel for each address. `queue`, which is served, outlives Stop; credentials
// of nullptr: without TLS.
std::unique_ptr<PeerCaller> MakeGrpcPeerCaller(
    grpc::CompletionQueue* queue, std::shared_ptr<grpc::ChannelCredentials> credentials = nullptr);

}  // namespace atoll::cluster
