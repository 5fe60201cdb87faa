#include "tests/support/cache_nodes.h"

#include <cstdlib>
#include <iostream>
#include <utility>

#include "base/hash.h"

namespace atoll::test {

CacheNodes::CacheNodes(const CacheNodesOptions& options) {
  const base::Clock& clock = base::Clock::Real();
  map_.version = 1;
  map_.cluster = "test";
  map_.replication_factor = 1;
  for (int i = 0; i < options.nodes; ++i) {
    auto node = std::make_unique<Node>(i);
    node->view.SetNamespace("default", 1);
    auto made = store::Store::Create({.memory_bytes = options.memory_bytes, .clock = &clock});
    if (!made.ok()) {
      std::cerr << made.status() << "\n";
      std::abort();
    }
    node->store = *std::move(made);
    node->replicator = replication::Replicator::Create({}, node->store.get(), &node->view,
                                                       &node->transport, &clock);
    node->view.AddListener(node->replicator.get());
    node->out = std::make_unique<rpc::Poller>("out");
    node->out->Start();
    node->timers = std::make_unique<rpc::Timers>(node->out->queue());
    node->budget = std::make_unique<routing::ByteBudget>(options.rpc_bytes);
    node->forwarder = std::make_unique<routing::PeerForwarder>(
        node->out->queue(), node->timers.get(), node->budget.get(), &clock,
        grpc::InsecureChannelCredentials());
    node->router = std::make_unique<routing::Router>(
        node->replicator.get(), &node->view, node->forwarder.get(), node->timers.get(), &clock);
    node->handler = std::make_unique<service::CacheHandler>(
        node->router.get(), node->budget.get(), &clock,
        service::CacheLimits{.max_value_bytes = options.memory_bytes / 8,
                             .max_operations = options.max_operations,
                             .test_burn = options.burn});
    node->client = std::make_unique<CacheListener>(node->handler.get(), routing::Hop::kFirst);
    node->peer = std::make_unique<CacheListener>(node->handler.get(), routing::Hop::kLast);
    ring::Member member;
    member.name = node->view.node_name();
    member.incarnation = node->view.self();
    member.listeners = {{"client", node->client->address()}, {"peer", node->peer->address()}};
    map_.members.push_back(std::move(member));
    node->tick = std::make_unique<base::Periodic>(
        absl::Milliseconds(10), [replicator = node->replicator.get()] { replicator->Tick(); });
    nodes_.push_back(std::move(node));
  }
  for (uint32_t p = 0; p < base::kPartitionCount; ++p) {
    ring::Placement placement;
    placement.epoch = base::Epoch(1);
    placement.isr_version = 1;
    placement.primary = NodeId(static_cast<int>(p) % options.nodes);
    placement.isr = {placement.primary};
    placement.history = 1;
    map_.partitions.push_back(placement);
  }
  ChangeMap([](ring::PlacementMap&) {});
}

CacheNodes::~CacheNodes() {
  for (auto& node : nodes_) {
    node->handler->Drain(absl::Seconds(30));
    node->client->Stop();
  }
  for (auto& node : nodes_) node->peer->Stop();
  for (auto& node : nodes_) {
    node->tick.reset();
    node->view.RemoveListener(node->replicator.get());
    node->router->Stop();
    node->timers->Stop();
    node->forwarder->Stop();
    node->out->Stop();
  }
}

void CacheNodes::StopServing(int node) {
  nodes_[node]->client->Stop();
  nodes_[node]->peer->Stop();
}

int CacheNodes::OwnerOf(const std::string& key) const {
  const base::Incarnation primary =
      map_.at(base::PartitionOfHash(base::HashKey("default", key))).primary;
  for (int i = 0; i < size(); ++i) {
    if (NodeId(i) == primary) return i;
  }
  return -1;
}

std::string CacheNodes::KeyOf(int node, int salt) const {
  for (int i = 0;; ++i) {
    std::string key = "key-" + std::to_string(salt) + "-" + std::to_string(i);
    if (OwnerOf(key) == node) return key;
  }
}

void CacheNodes::ChangeMap(const std::function<void(ring::PlacementMap&)>& edit,
                           const std::function<bool(int)>& told) {
  edit(map_);
  ++map_.version;
  for (int i = 0; i < size(); ++i) {
    if (told(i)) nodes_[i]->view.SetMap(map_);
  }
}

}  // namespace atoll::test
