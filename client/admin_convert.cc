#include "client/admin_convert.h"

#include <algorithm>

#include "client/translate.h"

namespace atoll::client {
namespace {

// Enumerators that a later version may add read as the first of ours.
NodeState ToNodeState(v1::NodeState state) {
  switch (state) {
    case v1::NODE_STATE_UP:
      return NodeState::kUp;
    case v1::NODE_STATE_DRAINING:
      return NodeState::kDraining;
    case v1::NODE_STATE_LEAVING:
      return NodeState::kLeaving;
    case v1::NODE_STATE_DOWN:
      return NodeState::kDown;
    default:
      return NodeState::kUnknown;
  }
}

v1::Persistence FromPersistence(Persistence persistence) {
  switch (persistence) {
    case Persistence::kWarm:
      return v1::PERSISTENCE_WARM;
    case Persistence::kAll:
      return v1::PERSISTENCE_ALL;
    case Persistence::kOff:
      return v1::PERSISTENCE_OFF;
    case Persistence::kDefault:
      break;
  }
  return v1::PERSISTENCE_UNSPECIFIED;
}

Persistence ToPersistence(v1::Persistence persistence) {
  switch (persistence) {
    case v1::PERSISTENCE_WARM:
      return Persistence::kWarm;
    case v1::PERSISTENCE_ALL:
      return Persistence::kAll;
    case v1::PERSISTENCE_OFF:
      return Persistence::kOff;
    default:
      return Persistence::kDefault;
  }
}

v1::Acknowledgement FromAcknowledgement(Acknowledgement acknowledgement) {
  switch (acknowledgement) {
    case Acknowledgement::kIsr:
      return v1::ACKNOWLEDGEMENT_ISR;
    case Acknowledgement::kPrimary:
      return v1::ACKNOWLEDGEMENT_PRIMARY;
    case Acknowledgement::kDefault:
      break;
  }
  return v1::ACKNOWLEDGEMENT_UNSPECIFIED;
}

Acknowledgement ToAcknowledgement(v1::Acknowledgement acknowledgement) {
  switch (acknowledgement) {
    case v1::ACKNOWLEDGEMENT_ISR:
      return Acknowledgement::kIsr;
    case v1::ACKNOWLEDGEMENT_PRIMARY:
      return Acknowledgement::kPrimary;
    default:
      return Acknowledgement::kDefault;
  }
}

Tier ToTier(v1::Tier tier) {
  switch (tier) {
    case v1::TIER_ABSENT:
      return Tier::kAbsent;
    case v1::TIER_MEMORY:
      return Tier::kMemory;
    case v1::TIER_DISK:
      return Tier::kDisk;
    default:
      return Tier::kUnknown;
  }
}

Partition ToPartition(const v1::PartitionPlacement& message) {
  Partition partition;
  partition.partition = message.partition();
  partition.epoch = message.epoch();
  if (message.has_primary()) partition.primary = message.primary();
  partition.in_sync.assign(message.isr().begin(), message.isr().end());
  partition.learners.assign(message.learners().begin(), message.learners().end());
  partition.reset_epoch = message.reset_epoch();
  return partition;
}

absl::Duration FromMs(double ms) { return absl::Microseconds(ms * 1000); }

}  // namespace

void FromSettings(const NamespaceSettings& settings, v1::NamespaceSettings* message) {
  if (settings.default_ttl.has_value()) message->set_default_ttl_ms(TtlMs(*settings.default_ttl));
  if (settings.max_memory_percent.has_value()) {
    message->set_max_memory_percent(*settings.max_memory_percent);
  }
  if (settings.min_memory_percent.has_value()) {
    message->set_min_memory_percent(*settings.min_memory_percent);
  }
  message->set_persistence(FromPersistence(settings.persistence));
  message->set_acknowledgement(FromAcknowledgement(settings.acknowledgement));
  if (settings.ttl_jitter_percent.has_value()) {
    message->set_ttl_jitter_percent(*settings.ttl_jitter_percent);
  }
}

Namespace ToNamespace(const v1::Namespace& message) {
  Namespace result;
  result.name = message.name();
  result.id = message.id();
  const v1::NamespaceSettings& settings = message.settings();
  if (settings.has_default_ttl_ms()) {
    result.settings.default_ttl = absl::Milliseconds(settings.default_ttl_ms());
  }
  if (settings.has_max_memory_percent()) {
    result.settings.max_memory_percent = settings.max_memory_percent();
  }
  if (settings.has_min_memory_percent()) {
    result.settings.min_memory_percent = settings.min_memory_percent();
  }
  result.settings.persistence = ToPersistence(settings.persistence());
  result.settings.acknowledgement = ToAcknowledgement(settings.acknowledgement());
  if (settings.has_ttl_jitter_percent()) {
    result.settings.ttl_jitter_percent = settings.ttl_jitter_percent();
  }
  return result;
}

Node ToNode(const v1::Node& message) {
  Node node;
  node.name = message.name();
  node.incarnation = message.incarnation();
  node.zone = message.zone();
  node.weight = message.weight();
  node.state = ToNodeState(message.state());
  node.address = message.address();
  node.program_version = message.program_version();
  return node;
}

NodeSummary ToNodeSummary(const v1::NodeSummary& message) {
  NodeSummary summary;
  summary.node = ToNode(message.node());
  summary.primaries = message.primaries();
  summary.replicas = message.replicas();
  summary.learners = message.learners();
  summary.controller = message.controller();
  return summary;
}

NodeStats ToNodeStats(const v1::GetStatsResponse& message) {
  NodeStats stats;
  stats.node = ToNode(message.node());
  stats.uptime = absl::Milliseconds(message.uptime_ms());
  stats.items = message.items();
  stats.memory_limit_bytes = message.memory_limit_bytes();
  stats.memory_used_bytes = message.memory_used_bytes();
  stats.live_bytes = message.live_bytes();
  stats.dead_bytes = message.dead_bytes();
  stats.pinned_bytes = message.pinned_bytes();
  stats.index_bytes = message.index_bytes();
  stats.ghost_bytes = message.ghost_bytes();
  stats.hits = message.hits();
  stats.misses = message.misses();
  stats.reads = message.reads();
  stats.writes = message.writes();
  stats.evictions = message.evictions();
  stats.expirations = message.expirations();
  stats.forwarded = message.forwarded();
  stats.collapsed = message.collapsed();
  stats.refused = message.refused();
  stats.ops_per_second = message.ops_per_second();
  stats.p50 = absl::Microseconds(message.latency().p50_us());
  stats.p99 = absl::Microseconds(message.latency().p99_us());
  stats.primaries = message.primaries();
  stats.replicas = message.replicas();
  stats.learners = message.learners();
  stats.under_replicated = message.under_replicated();
  stats.replication_lag_records = message.replication_lag_records();
  stats.replication_lag = FromMs(message.replication_lag_ms());
  stats.disk_entries = message.disk_entries();
  stats.disk_bytes = message.disk_bytes();
  stats.disk_queue_bytes = message.disk_queue_bytes();
  stats.map_version = message.map_version();
  stats.coordinator_up = message.coordinator_up();
  stats.rss_anonymous_bytes = message.rss_anonymous_bytes();
  stats.rpc_budget_bytes = message.rpc_budget_bytes();
  stats.rocksdb_budget_bytes = message.rocksdb_budget_bytes();
  stats.rest_budget_bytes = message.rest_budget_bytes();
  return stats;
}

Topology ToTopology(const v1::PlacementMap& message) {
  Topology topology;
  topology.version = message.version();
  topology.cluster = message.cluster();
  topology.cluster_id = message.cluster_id();
  topology.replication_factor = message.replication_factor();
  for (const v1::Node& node : message.nodes()) topology.nodes.push_back(ToNode(node));
  topology.partitions.reserve(static_cast<size_t>(message.partitions_size()));
  for (const v1::PartitionPlacement& partition : message.partitions()) {
    topology.partitions.push_back(ToPartition(partition));
  }
  std::sort(topology.partitions.begin(), topology.partitions.end(),
            [](const Partition& a, const Partition& b) { return a.partition < b.partition; });
  return topology;
}

Explanation ToExplanation(const v1::ExplainResponse& message) {
  Explanation explanation;
  explanation.hash = message.hash();
  explanation.partition = ToPartition(message.placement());
  for (const v1::Node& node : message.nodes()) explanation.nodes.push_back(ToNode(node));
  explanation.tier = ToTier(message.tier());
  explanation.version = message.version();
  if (message.has_ttl_ms()) explanation.ttl = absl::Milliseconds(message.ttl_ms());
  explanation.size = message.size();
  explanation.flags = message.flags();
  return explanation;
}

ClusterHealth ToClusterHealth(const v1::GetClusterHealthResponse& message) {
  ClusterHealth health;
  health.serving = message.serving();
  health.fully_replicated = message.fully_replicated();
  health.partitions_without_primary = message.partitions_without_primary();
  health.partitions_under_replicated = message.partitions_under_replicated();
  health.nodes_up = message.nodes_up();
  health.nodes_known = message.nodes_known();
  health.coordinator_up = message.coordinator_up();
  return health;
}

}  // namespace atoll::client
