#include "server/service/admin_service.h"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status.h"
#include "ring/placement_map.h"
#include "server/service/deadline.h"

namespace atoll::service {
namespace {

absl::Status NoExecutor() {
  return base::WithReason(absl::ResourceExhaustedError("admin calls: too many at once"),
                          base::reason::kOverload);
}

void Fill(const cluster::NamespaceInfo& info, v1::Namespace* out) {
  out->set_name(info.name);
  out->set_id(info.id.value());
  *out->mutable_settings() = info.settings;
}

void FillMemory(const store::StoreStats& store, v1::GetStatsResponse* out) {
  out->set_items(store.items);
  out->set_memory_limit_bytes(store.memory_limit_bytes);
  out->set_memory_used_bytes(store.memory_used_bytes);
  out->set_live_bytes(store.live_bytes);
  out->set_dead_bytes(store.dead_bytes);
  out->set_pinned_bytes(store.pinned_bytes);
  out->set_index_bytes(store.index_bytes);
  out->set_ghost_bytes(store.ghost_bytes);
  out->set_hits(store.hits);
  out->set_misses(store.misses);
  out->set_evictions(store.evictions);
  out->set_expirations(store.expirations);
}

void FillFigures(const admin::NodeFigures& figures, v1::GetStatsResponse* out) {
  FillMemory(figures.store, out);
  out->set_uptime_ms(static_cast<uint64_t>(absl::ToInt64Milliseconds(figures.uptime)));
  out->set_reads(figures.reads);
  out->set_writes(figures.writes);
  out->set_forwarded(figures.forwarded);
  out->set_collapsed(figures.collapsed);
  out->set_refused(figures.refused);
  out->set_ops_per_second(figures.ops_per_second);
  out->mutable_latency()->set_p50_us(absl::ToDoubleMicroseconds(figures.p50));
  out->mutable_latency()->set_p99_us(absl::ToDoubleMicroseconds(figures.p99));
  out->set_primaries(figures.primaries);
  out->set_replicas(figures.replicas);
  out->set_learners(figures.learners);
  out->set_under_replicated(figures.under_replicated);
  out->set_replication_lag_records(figures.replication_lag_records);
  out->set_replication_lag_ms(absl::ToDoubleMilliseconds(figures.replication_lag));
  out->set_disk_entries(figures.disk_entries);
  out->set_disk_bytes(figures.disk_bytes);
  out->set_disk_queue_bytes(figures.disk_queue_bytes);
  out->set_map_version(figures.map_version);
  out->set_coordinator_up(figures.coordinator_up);
  out->set_rss_anonymous_bytes(figures.rss_anonymous_bytes);
  out->set_rpc_budget_bytes(figures.rpc_budget_bytes);
  out->set_rocksdb_budget_bytes(figures.rocksdb_budget_bytes);
  out->set_rest_budget_bytes(figures.rest_budget_bytes);
}

}  // namespace

void AdminService::Start(grpc::ServerCompletionQueue* queue, base::Gate* calls) {
  StartNamespaces(queue, calls);
  StartNodes(queue, calls);
}

void AdminService::StartNamespaces(grpc::ServerCompletionQueue* queue, base::Gate* calls) {
  // Runs `work` off the I/O threads; it ends the call.
  const auto later = [this](auto& call, auto work) {
    if (!deps_.executor->TrySubmit([&call, work] { call.Finish(work(call)); })) {
      call.Finish(NoExecutor());
    }
  };
  ServeUnary(&service_, &Service::RequestCreateNamespace, queue, calls, [this, later](auto& call) {
    later(call, [this](auto& running) {
      const auto made =
          deps_.namespaces->CreateNamespace(running.request().name(), running.request().settings());
      if (made.ok()) Fill(**made, running.response().mutable_namespace_());
      return made.status();
    });
  });
  ServeUnary(&service_, &Service::RequestUpdateNamespace, queue, calls, [this, later](auto& call) {
    later(call, [this](auto& running) {
      const auto changed =
          deps_.namespaces->UpdateNamespace(running.request().name(), running.request().settings());
      if (changed.ok()) Fill(**changed, running.response().mutable_namespace_());
      return changed.status();
    });
  });
  ServeUnary(&service_, &Service::RequestDropNamespace, queue, calls, [this, later](auto& call) {
    later(call, [this](auto& running) {
      return deps_.namespaces->DropNamespace(running.request().name());
    });
  });
  ServeUnary(&service_, &Service::RequestListNamespaces, queue, calls,
             [this](auto& call) {
               for (const cluster::NamespacePtr& one : deps_.view->namespaces()) {
                 Fill(*one, call.response().add_namespaces());
               }
               call.Finish(absl::OkStatus());
             },
             {.for_clients = true});
}

void AdminService::StartNodes(grpc::ServerCompletionQueue* queue, base::Gate* calls) {
  ServeUnary(&service_, &Service::RequestListNodes, queue, calls,
             [this](auto& call) {
               ListNodes(&call.response());
               call.Finish(absl::OkStatus());
             },
             {.for_clients = true});
  ServeUnary(&service_, &Service::RequestDrainNode, queue, calls,
             [this](auto& call) { DrainNode(call); });
  ServeUnary(&service_, &Service::RequestGetStats, queue, calls,
             [this](auto& call) {
               GetStats(&call.response());
               call.Finish(absl::OkStatus());
             },
             {.for_clients = true});
  ServeUnary(&service_, &Service::RequestExplain, queue, calls,
             [this](auto& call) { Explain(call); }, {.for_clients = true});
  ServeUnary(&service_, &Service::RequestGetClusterHealth, queue, calls,
             [this](auto& call) {
               GetClusterHealth(&call.response());
               call.Finish(absl::OkStatus());
             },
             {.for_clients = true});
}

void AdminService::ListNodes(v1::ListNodesResponse* response) const {
  const cluster::MapPtr map = deps_.view->map();
  const base::Incarnation controller = deps_.view->controller();
  response->set_map_version(map->version);
  v1::PlacementMap message = ring::EncodeMap(*map);
  ring::AddressNodesFor(deps_.listener, message.mutable_nodes());
  std::map<uint64_t, v1::NodeSummary*> summaries;
  for (const v1::Node& node : message.nodes()) {
    v1::NodeSummary* summary = response->add_nodes();
    *summary->mutable_node() = node;
    summary->set_controller(node.incarnation() == controller.value());
    summaries[node.incarnation()] = summary;
  }
  for (const ring::Placement& placement : map->partitions) {
    for (const base::Incarnation node : placement.isr) {
      v1::NodeSummary* summary = summaries[node.value()];
      if (summary == nullptr) continue;
      if (node == placement.primary) {
        summary->set_primaries(summary->primaries() + 1);
      } else {
        summary->set_replicas(summary->replicas() + 1);
      }
    }
    for (const base::Incarnation node : placement.learners) {
      if (v1::NodeSummary* summary = summaries[node.value()]) {
        summary->set_learners(summary->learners() + 1);
      }
    }
  }
}

void AdminService::DrainNode(UnaryCall<v1::DrainNodeRequest, v1::DrainNodeResponse>& call) {
  const std::string& name = call.request().name();
  if (name.empty()) {
    call.Finish(base::InvalidArgument("name", "empty"));
    return;
  }
  if (deps_.view->map()->FindLiveMember(name) == nullptr) {
    call.Finish(absl::NotFoundError(absl::StrCat("node: no node of the name ", name)));
    return;
  }
  internal::v1::AskControllerRequest ask;
  ask.set_from_incarnation(deps_.view->self().value());
  ask.set_drain_node(name);
  ask.set_undo_drain(call.request().undo());
  deps_.view->AskController(std::move(ask), [&call](auto answer) { call.Finish(answer.status()); });
}

void AdminService::GetStats(v1::GetStatsResponse* response) const {
  FillFigures(deps_.figures(), response);
  const cluster::MapPtr map = deps_.view->map();
  if (const ring::Member* self = map->FindMember(deps_.view->self())) {
    google::protobuf::RepeatedPtrField<v1::Node> nodes;
    ring::EncodeMember(*self, nodes.Add());
    ring::AddressNodesFor(deps_.listener, &nodes);
    *response->mutable_node() = nodes.Get(0);
  } else {
    response->mutable_node()->set_name(deps_.view->node_name());
    response->mutable_node()->set_incarnation(deps_.view->self().value());
  }
}

void AdminService::Explain(UnaryCall<v1::ExplainRequest, v1::ExplainResponse>& call) {
  const v1::ExplainRequest& request = call.request();
  if (request.key().empty() || request.key().size() > store::kMaxKeyBytes) {
    call.Finish(base::InvalidArgument("key", absl::StrCat(request.key().size(), " bytes"),
                                      store::kMaxKeyBytes));
    return;
  }
  absl::StatusOr<cluster::NamespacePtr> ns = deps_.router->ResolveNamespace(request.namespace_());
  if (!ns.ok()) {
    call.Finish(ns.status());
    return;
  }
  // Lives until the answer has come.
  auto operation = std::make_shared<replication::Operation>();
  operation->ns = *ns;
  operation->key = {
      .ns = (*ns)->id, .key = request.key(), .hash = base::HashKey((*ns)->name, request.key())};
  operation->metadata_only = true;
  operation->deadline = DeadlineOf(call.context());

  v1::ExplainResponse& response = call.response();
  response.set_hash(operation->key.hash);
  const cluster::MapPtr map = deps_.view->map();
  if (!map->partitions.empty()) {
    *response.mutable_placement() =
        ring::EncodePlacement(*map, operation->key.partition(), response.mutable_nodes());
    ring::AddressNodesFor(deps_.listener, response.mutable_nodes());
  }
  deps_.router->Execute(
      *operation, {}, [this, &call, operation](const replication::OperationResult& result) {
        v1::ExplainResponse& out = call.response();
        if (!result.status.ok()) {
          call.Finish(result.status);
          return;
        }
        const bool found = result.outcome == v1::OUTCOME_OK;
        out.set_tier(found ? v1::TIER_MEMORY : v1::TIER_ABSENT);
        if (found) {
          out.set_version(result.meta.version.raw());
          out.set_size(result.value_size);
          out.set_flags(result.meta.flags);
          if (result.meta.expiry != 0) {
            out.set_ttl_ms(absl::ToInt64Milliseconds(base::FromCacheSeconds(result.meta.expiry) -
                                                     deps_.cluster_clock->Now()));
          }
        }
        call.Finish(absl::OkStatus());
      });
}

void AdminService::GetClusterHealth(v1::GetClusterHealthResponse* response) const {
  const cluster::MapPtr map = deps_.view->map();
  uint32_t up = 0;
  uint32_t draining = 0;
  // A node that was restarted is known by its earlier incarnations as well, while a seat names
  // them.
  std::set<std::string_view> names;
  for (const ring::Member& member : map->members) {
    names.insert(member.name);
    up += member.state == ring::MemberState::kUp ? 1 : 0;
    draining += member.state == ring::MemberState::kDraining ? 1 : 0;
  }
  // A node that drains counts as a copy's place only while no other is left.
  const uint32_t copies = std::min(map->replication_factor, std::max(up, 1u));
  const uint32_t without_primary = deps_.unserved();
  uint32_t under_replicated = 0;
  for (const ring::Placement& placement : map->partitions) {
    uint32_t live = 0;
    for (const base::Incarnation node : placement.isr) {
      const ring::Member* member = map->FindMember(node);
      live += member != nullptr && member->state != ring::MemberState::kDown ? 1 : 0;
    }
    under_replicated += live < copies ? 1 : 0;
  }
  response->set_serving(!map->partitions.empty() && without_primary == 0);
  response->set_fully_replicated(!map->partitions.empty() && under_replicated == 0);
  response->set_partitions_without_primary(without_primary);
  response->set_partitions_under_replicated(under_replicated);
  response->set_nodes_up(up + draining);
  response->set_nodes_known(static_cast<uint32_t>(names.size()));
  response->set_coordinator_up(deps_.view->coordinator_up());
}

}  // namespace atoll::service
