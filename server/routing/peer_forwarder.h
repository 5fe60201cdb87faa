// The Forwarder of production: one Exchange stream to each node, and calls of their own for large
// values and flushes, over the nodes' peer listeners.
//
// Thread safety: all methods. Ownership: queue and timers outlive Stop. Links to nodes that left
// the map are dropped when they are next looked at (Prune).
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "base/gate.h"
#include "base/mutex.h"
#include "rpc/timers.h"
#include "server/routing/byte_budget.h"
#include "server/routing/forwarder.h"

namespace atoll::routing {

// Marks a call that must not be forwarded again.
inline constexpr char kNoForwardMetadata[] = "atoll-no-forward";

class PeerForwarder final : public Forwarder {
 public:
  // `budget` is asked for the memory of each value that is fetched.
  PeerForwarder(grpc::CompletionQueue* queue, rpc::Timers* timers, ByteBudget* budget,
                const base::Clock* cluster_clock,
                std::shared_ptr<grpc::ChannelCredentials> credentials);
  ~PeerForwarder() override;

  void Forward(const ring::Member& owner, rpc::OperationBytes operation, absl::Duration deadline,
               rpc::BatchStream::Done done, rpc::BatchStream::Departs departs) override;
  void Fetch(const ring::Member& owner, const replication::Operation& get,
             StreamDone done) override;
  void Store(const ring::Member& owner, const replication::Operation& set,
             StreamDone done) override;
  void Flush(const ring::Member& node, const cluster::NamespacePtr& ns, absl::Duration deadline,
             absl::AnyInvocable<void(absl::StatusOr<uint32_t>)> done) override;

  // Drops links to nodes that the map does not name.
  void Prune(const ring::PlacementMap& map) ABSL_LOCKS_EXCLUDED(mu_);
  // Fails what is under way with CANCELLED and waits until gRPC is done with it.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Link {
    std::shared_ptr<grpc::Channel> channel;
    // Large values have a connection of their own, so that small answers never queue behind them.
    std::unique_ptr<grpc::GenericStub> bulk;
    std::unique_ptr<rpc::BatchStream> stream;
  };
  using LinkPtr = std::shared_ptr<Link>;

  // nullptr if the node has no peer listener, or after Stop.
  LinkPtr LinkTo(const ring::Member& node) ABSL_LOCKS_EXCLUDED(mu_);

  grpc::CompletionQueue* const queue_;
  rpc::Timers* const timers_;
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  ByteBudget* const budget_;
  const base::Clock* const clock_;
  base::Gate calls_;
  base::Mutex mu_;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  absl::flat_hash_map<base::Incarnation, LinkPtr> links_ ABSL_GUARDED_BY(mu_);
};

}  // namespace atoll::routing
