// A node's membership of its cluster: registers the node, follows the map and the namespaces, and
// is the controller while it holds the key.
//
// Keys, under /atoll/<cluster>/: config (written once), nodes/<name> (on the node's lease),
// controller (on the controller's), map, namespaces/<name>, next_namespace_id.
//
// While the coordinator is away the last map stays in force and only changes of ownership wait
// (G5). The node comes back with the same incarnation.
//
// Order of use: EstablishConfig, Create, AddListener..., Start, [Leave], Stop. Threads: one that
// keeps the lease; one that follows the store, calls listeners and runs the controller.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "atoll/internal/v1/storage.pb.h"
#include "base/clock.h"
#include "server/cluster/cluster_view.h"
#include "server/cluster/controller.h"
#include "server/cluster/coordinator.h"
#include "server/cluster/peer_caller.h"

namespace atoll::cluster {

// What an operator does with namespaces; AdminService calls it. Blocks on the coordinator. An
// answer of OK is seen by the answering node's view.
class NamespaceAdmin {
 public:
  virtual ~NamespaceAdmin() = default;
  // ALREADY_EXISTS; INVALID_ARGUMENT names the field and its limit; RESOURCE_EXHAUSTED when all
  // ids are used up.
  virtual absl::StatusOr<NamespacePtr> CreateNamespace(std::string_view name,
                                                       const v1::NamespaceSettings& settings) = 0;
  // Fields that are absent or UNSPECIFIED stay. NOT_FOUND.
  virtual absl::StatusOr<NamespacePtr> UpdateNamespace(std::string_view name,
                                                       const v1::NamespaceSettings& settings) = 0;
  // NOT_FOUND; INVALID_ARGUMENT for `default`.
  virtual absl::Status DropNamespace(std::string_view name) = 0;
};

struct ConfigRequest {
  std::string cluster = "atoll";
  uint32_t replication_factor = 0;  // 0: what is stored, else 2
  std::string cluster_id;           // for a new cluster; empty: drawn at random
};

// Reads the cluster's config, and writes it if there is none. FAILED_PRECONDITION names the
// setting that contradicts it: `replication_factor: 3, but cluster "atoll" was made with 2`.
// UNAVAILABLE if the store does not answer.
absl::StatusOr<internal::v1::ClusterConfig> EstablishConfig(Coordinator* coordinator,
                                                            const ConfigRequest& request);

struct MembershipOptions {
  // node.{name, incarnation, zone, weight, listeners, program_version}, and the data folder's
  // fields (a random data_uuid where there is no folder). node.state is ignored.
  internal::v1::NodeDescriptor descriptor;
  // Of EstablishConfig.
  internal::v1::ClusterConfig config;
  // TTL of the node's lease; etcd takes whole seconds, from 2.
  absl::Duration node_lease = absl::Seconds(3);
  // How long Start waits for the lease of a former process of this name to end.
  absl::Duration name_wait = absl::Seconds(10);
  // For AskController: after it DEADLINE_EXCEEDED.
  absl::Duration ask_timeout = absl::Seconds(5);
  // How often time passes for the controller.
  absl::Duration tick = absl::Milliseconds(100);
  // cluster, cluster_id and replication_factor are taken from `cluster` and `config`.
  ControllerOptions controller;
  std::string cluster = "atoll";
};

class Membership : public ClusterView, public NamespaceAdmin {
 public:
  // `coordinator`, `clock` and `peers` (nullptr: one node only) outlive it.
  static std::unique_ptr<Membership> Create(const MembershipOptions& options,
                                            Coordinator* coordinator, PeerCaller* peers,
                                            const base::Clock* clock);

  // The addresses that the node was given when its listeners were bound. Before Start.
  virtual void SetListeners(const std::vector<v1::Listener>& listeners) = 0;
  // Registers and begins to follow. ALREADY_EXISTS: another node of this name lives, with another
  // data folder. Returns before there is a map.
  virtual absl::Status Start() = 0;
  // Waits until the map has partitions and this node among its members.
  virtual absl::Status WaitForMap(absl::Duration timeout) = 0;
  // Hands the node's roles over: returns when a map without them is in force here, or the time is
  // up (DEADLINE_EXCEEDED), or the coordinator is away (UNAVAILABLE). It keeps those that no
  // in-sync copy on a node that stays could take, and is in ISRs until the new primaries serve.
  virtual absl::Status Leave(absl::Duration timeout) = 0;
  // Takes the node off the cluster and ends the threads. Requests that wait get UNAVAILABLE.
  virtual void Stop() = 0;

  // The serving side of PeerService.AskController. FAILED_PRECONDITION with reason NOT_CONTROLLER
  // on any other node; else answers when the map with the decision is committed.
  virtual void HandleAskController(const internal::v1::AskControllerRequest& request,
                                   AskDone done) = 0;
  // For tests of a node that vanishes: the lease is kept no longer, nothing else changes.
  virtual void StopKeepAlive() = 0;
};

}  // namespace atoll::cluster
