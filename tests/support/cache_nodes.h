// Nodes of a cluster in one process: the real engine, replicator, router and services on real
// ports, with a placement map that the test sets. Without coordinator, disk and other copies.
//
// Thread safety: one thread drives it; counters may be read by any.
#pragma once

#include <grpcpp/channel.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/periodic.h"
#include "rpc/completion_queue.h"
#include "rpc/timers.h"
#include "server/replication/replicator.h"
#include "server/routing/peer_forwarder.h"
#include "server/routing/router.h"
#include "server/service/cache_handler.h"
#include "server/store/store.h"
#include "tests/support/cache_listener.h"
#include "tests/support/fake_cluster_view.h"

namespace atoll::test {

struct CacheNodesOptions {
  int nodes = 1;
  uint64_t memory_bytes = uint64_t{256} << 20;
  uint64_t rpc_bytes = uint64_t{64} << 20;
  uint32_t max_operations = 65'536;
  absl::Duration burn;
};

class CacheNodes {
 public:
  // Partition p belongs to node p % nodes.
  explicit CacheNodes(const CacheNodesOptions& options = {});
  ~CacheNodes();
  CacheNodes(const CacheNodes&) = delete;
  CacheNodes& operator=(const CacheNodes&) = delete;

  int size() const { return static_cast<int>(nodes_.size()); }
  // To the listener for clients, and to that for nodes.
  const std::shared_ptr<grpc::Channel>& channel(int node) {
    return nodes_[node]->client->channel();
  }
  const std::shared_ptr<grpc::Channel>& peer_channel(int node) {
    return nodes_[node]->peer->channel();
  }
  const std::string& address(int node) { return nodes_[node]->client->address(); }
  routing::Router& router(int node) { return *nodes_[node]->router; }
  service::CacheHandler& handler(int node) { return *nodes_[node]->handler; }
  routing::ByteBudget& budget(int node) { return *nodes_[node]->budget; }
  store::Store& store(int node) { return *nodes_[node]->store; }
  FakeClusterView& view(int node) { return nodes_[node]->view; }

  // A key (of namespace `default`) that the node owns now; another one for each `salt`.
  std::string KeyOf(int node, int salt = 0) const;
  int OwnerOf(const std::string& key) const;
  // Changes the map and gives it to all nodes, or to those that `told` names.
  void ChangeMap(
      const std::function<void(ring::PlacementMap&)>& edit,
      const std::function<bool(int)>& told = [](int) { return true; });
  // Ends a node's listeners: it is gone, and the map does not know.
  void StopServing(int node);

 private:
  class NoTransport final : public replication::Transport {
   public:
    void Send(base::Incarnation, const internal::v1::PeerMessage&) override {}
    void SendAppend(base::Incarnation, const wire::AppendToSend&) override {}
    void SendAck(base::Incarnation, const wire::AppendAck&) override {}
    bool SendAlong(base::Incarnation, const internal::v1::PeerMessage&) override { return true; }
  };
  struct Node {
    explicit Node(int index) : view(NodeId(index), "n" + std::to_string(index + 1)) {}
    FakeClusterView view;
    NoTransport transport;
    std::unique_ptr<store::Store> store;
    std::unique_ptr<replication::Replicator> replicator;
    std::unique_ptr<rpc::Poller> out;
    std::unique_ptr<rpc::Timers> timers;
    std::unique_ptr<routing::ByteBudget> budget;
    std::unique_ptr<routing::PeerForwarder> forwarder;
    std::unique_ptr<routing::Router> router;
    std::unique_ptr<service::CacheHandler> handler;
    std::unique_ptr<CacheListener> client;
    std::unique_ptr<CacheListener> peer;
    std::unique_ptr<base::Periodic> tick;
  };

  std::vector<std::unique_ptr<Node>> nodes_;
  ring::PlacementMap map_;
};

}  // namespace atoll::test
