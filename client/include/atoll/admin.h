/// \file
/// Looking after a cluster: namespaces, nodes, figures, ownership.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "atoll/namespace.h"  // must be the first
#include "atoll/options.h"
#include "atoll/status.h"

namespace atoll {

/// What of a namespace survives a restart.
enum class Persistence : uint8_t {
  kDefault,  ///< The cluster's default: kWarm.
  kWarm,     ///< Entries that were read after they were written.
  kAll,
  kOff,
};

/// When a write is acknowledged.
enum class Acknowledgement : uint8_t {
  kDefault,  ///< kIsr.
  kIsr,      ///< When every in-sync replica has it.
  kPrimary,  ///< When the primary has it: faster, and lost if the primary dies at once.
};

/// Absent fields (and kDefault) are left as they are by an update, and to the defaults by a create.
struct NamespaceSettings {
  std::optional<absl::Duration> default_ttl;   ///< Zero: never expires; at most 100 years.
  std::optional<uint32_t> max_memory_percent;  ///< 1-100; 0: no limit of its own.
  std::optional<uint32_t> min_memory_percent;  ///< 0-100.
  Persistence persistence = Persistence::kDefault;
  Acknowledgement acknowledgement = Acknowledgement::kDefault;
  std::optional<uint32_t> ttl_jitter_percent;  ///< 0-50.
};

struct Namespace {
  std::string name;
  uint32_t id = 0;  ///< Never reused.
  NamespaceSettings settings;
};

enum class NodeState : uint8_t {
  kUnknown,
  kUp,
  kDraining,  ///< Being emptied: it keeps no partition in the end.
  kLeaving,   ///< Its process is stopping.
  kDown,      ///< Seated somewhere, but gone.
};

/// "unknown", "up", "draining", "leaving", "down".
std::string_view NodeStateName(NodeState state);

struct Node {
  std::string name;
  uint64_t incarnation = 0;  ///< Identity of the node's process.
  std::string zone;
  uint32_t weight = 1;
  NodeState state = NodeState::kUnknown;
  std::string address;  ///< Where this client reaches the node.
  std::string program_version;
};

struct NodeSummary {
  Node node;
  uint32_t primaries = 0;
  uint32_t replicas = 0;
  uint32_t learners = 0;
  bool controller = false;  ///< This node writes the placement map.
};

struct NodeList {
  std::vector<NodeSummary> nodes;
  uint64_t map_version = 0;
};

/// Figures of one node. Counts are since its start; rates and quantiles over the last 10 s.
struct NodeStats {
  Node node;
  absl::Duration uptime;
  uint64_t items = 0;  ///< Entries held, as primary and as replica.
  uint64_t memory_limit_bytes = 0;
  uint64_t memory_used_bytes = 0;
  uint64_t live_bytes = 0;  ///< This and the next four: parts of what is used.
  uint64_t dead_bytes = 0;
  uint64_t pinned_bytes = 0;
  uint64_t index_bytes = 0;
  uint64_t ghost_bytes = 0;
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t reads = 0;
  uint64_t writes = 0;
  uint64_t evictions = 0;
  uint64_t expirations = 0;
  uint64_t forwarded = 0;
  uint64_t collapsed = 0;
  uint64_t refused = 0;
  double ops_per_second = 0;
  absl::Duration p50;
  absl::Duration p99;
  uint32_t primaries = 0;
  uint32_t replicas = 0;
  uint32_t learners = 0;
  uint32_t under_replicated = 0;
  uint64_t replication_lag_records = 0;
  absl::Duration replication_lag;
  uint64_t disk_entries = 0;
  uint64_t disk_bytes = 0;
  uint64_t disk_queue_bytes = 0;
  uint64_t map_version = 0;
  bool coordinator_up = false;
  uint64_t rss_anonymous_bytes = 0;
  uint64_t rpc_budget_bytes = 0;  ///< These three: what the process may take besides the limit.
  uint64_t rocksdb_budget_bytes = 0;
  uint64_t rest_budget_bytes = 0;

  /// What the process may take altogether.
  uint64_t process_budget_bytes() const {
    return memory_limit_bytes + rpc_budget_bytes + rocksdb_budget_bytes + rest_budget_bytes;
  }
  /// Hits over hits and misses; 0 where nothing was read.
  double hit_ratio() const {
    const uint64_t looked_up = hits + misses;
    return looked_up == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(looked_up);
  }
};

/// What one node answered, or why it did not.
struct NodeAnswer {
  Node node;
  absl::StatusOr<NodeStats> stats;
};

/// One partition's seats, as places in Topology::nodes (or Explanation::nodes).
struct Partition {
  uint32_t partition = 0;
  uint32_t epoch = 0;
  std::optional<uint32_t> primary;  ///< Absent: nobody serves it now.
  std::vector<uint32_t> in_sync;    ///< The primary among them.
  std::vector<uint32_t> learners;
  uint32_t reset_epoch = 0;  ///< How often it has lost everything.
};

struct Topology {
  uint64_t version = 0;
  std::string cluster;
  std::string cluster_id;
  uint32_t replication_factor = 0;
  std::vector<Node> nodes;
  std::vector<Partition> partitions;  ///< In order; empty before the first assignment.
};

enum class Tier : uint8_t { kUnknown, kAbsent, kMemory, kDisk };

/// "unknown", "absent", "memory", "disk".
std::string_view TierName(Tier tier);

/// Where a key lives, and what its primary says of it.
struct Explanation {
  uint64_t hash = 0;
  Partition partition;
  std::vector<Node> nodes;
  Tier tier = Tier::kUnknown;
  uint64_t version = 0;
  std::optional<absl::Duration> ttl;  ///< Absent: never expires.
  uint64_t size = 0;
  uint32_t flags = 0;
};

struct ClusterHealth {
  bool serving = false;           ///< Every partition has a primary.
  bool fully_replicated = false;  ///< ... and as many in-sync copies as there can be.
  uint32_t partitions_without_primary = 0;
  uint32_t partitions_under_replicated = 0;
  uint32_t nodes_up = 0;
  uint32_t nodes_known = 0;  ///< By name, those that are down among them.
  bool coordinator_up = false;
};

/// Blocking calls on any node of a cluster; each tries the endpoints in turn, within
/// ClientOptions::timeout, until one answers. Errors: see atoll/status.h.
///
/// Thread safety: every method may be called by any thread.
class AdminClient {
 public:
  /// INVALID_ARGUMENT from ClientOptions::Validate; does not connect yet.
  static absl::StatusOr<std::unique_ptr<AdminClient>> Create(ClientOptions options);
  ~AdminClient();
  AdminClient(const AdminClient&) = delete;
  AdminClient& operator=(const AdminClient&) = delete;

  /// ALREADY_EXISTS if the name is taken.
  absl::StatusOr<Namespace> CreateNamespace(std::string_view name,
                                            const NamespaceSettings& settings = {});
  /// Changes what `settings` names; NOT_FOUND for an unknown namespace.
  absl::StatusOr<Namespace> UpdateNamespace(std::string_view name,
                                            const NamespaceSettings& settings);
  absl::StatusOr<std::vector<Namespace>> ListNamespaces();
  /// Removes a namespace and everything in it; `default` is refused.
  absl::Status DropNamespace(std::string_view name);

  absl::StatusOr<NodeList> ListNodes();
  /// Moves every partition off a node, or with `undo` takes that back. Returns when it was decided;
  /// follow it by ListNodes.
  absl::Status DrainNode(std::string_view name, bool undo = false);

  /// Figures of every node that the cluster knows, in the order of their names; asked all at once.
  /// Fails as a whole only if no node could be asked for the others.
  absl::StatusOr<std::vector<NodeAnswer>> Stats();
  /// Figures of the node at `address`.
  absl::StatusOr<NodeStats> StatsOf(std::string_view address);

  absl::StatusOr<Topology> GetTopology();
  /// `ns` empty: ClientOptions::default_namespace.
  absl::StatusOr<Explanation> Explain(std::string_view key, std::string_view ns = {});
  absl::StatusOr<ClusterHealth> Health();
  /// The round trip of a health check of the node at `address`; UNAVAILABLE if it is not serving.
  absl::StatusOr<absl::Duration> Ping(std::string_view address);

 private:
  class Impl;
  explicit AdminClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace atoll
