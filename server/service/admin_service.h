// atoll.v1.AdminService. Translates; what an operator asks for is carried out by the cluster's
// membership.
//
// Calls that wait for the coordinator run on the executor, never on an I/O thread.
//
// Thread safety: all methods. Lifetime: as TopologyService; what it borrows outlives it.
#pragma once

#include <string>

#include "atoll/v1/admin.grpc.pb.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/gate.h"
#include "server/admin/figures.h"
#include "server/cluster/cluster_view.h"
#include "server/cluster/membership.h"
#include "server/routing/router.h"
#include "server/service/unary_call.h"

namespace atoll::service {

struct AdminDeps {
  cluster::ClusterView* view = nullptr;
  cluster::NamespaceAdmin* namespaces = nullptr;
  routing::Router* router = nullptr;
  base::Executor* executor = nullptr;
  // Remaining times to live are counted on it.
  const base::Clock* cluster_clock = nullptr;
  admin::FiguresSource figures;
  // Partitions without a primary that serves, as far as this node has heard.
  std::function<uint32_t()> unserved;
  // Whose addresses nodes are given.
  std::string listener;
};

class AdminService final {
 public:
  explicit AdminService(AdminDeps deps) : deps_(std::move(deps)) {}

  grpc::Service* service() { return &service_; }
  void Start(grpc::ServerCompletionQueue* queue, base::Gate* calls);

 private:
  using Service = v1::AdminService::AsyncService;
  void StartNamespaces(grpc::ServerCompletionQueue* queue, base::Gate* calls);
  void StartNodes(grpc::ServerCompletionQueue* queue, base::Gate* calls);

  void ListNodes(v1::ListNodesResponse* response) const;
  void DrainNode(UnaryCall<v1::DrainNodeRequest, v1::DrainNodeResponse>& call);
  void GetStats(v1::GetStatsResponse* response) const;
  void Explain(UnaryCall<v1::ExplainRequest, v1::ExplainResponse>& call);
  void GetClusterHealth(v1::GetClusterHealthResponse* response) const;

  const AdminDeps deps_;
  Service service_;
};

}  // namespace atoll::service
