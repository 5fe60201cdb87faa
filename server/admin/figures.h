// Everything that a node says of itself in numbers: the one source of /metrics and of
// AdminService.GetStats.
//
// Thread safety: a plain value.
#pragma once

#include <cstdint>
#include <functional>

#include "absl/time/time.h"
#include "server/store/store.h"

namespace atoll::admin {

// Counts are since the start of the process, but where a gauge is meant.
struct NodeFigures {
  absl::Duration uptime;
  store::StoreStats store;

  // Operations, each key of a multi operation counted.
  uint64_t reads = 0;
  uint64_t writes = 0;
  // Sent on to the owner.
  uint64_t forwarded = 0;
  // Reads that shared another's flight, here or towards the owner.
  uint64_t collapsed = 0;
  // Refused for overload.
  uint64_t refused = 0;
  // Ended with an error of any other kind.
  uint64_t failed = 0;
  // Over the last 10 s.
  double ops_per_second = 0;
  absl::Duration p50;
  absl::Duration p99;

  // Seats, now.
  uint32_t primaries = 0;
  uint32_t replicas = 0;
  uint32_t learners = 0;
  uint32_t under_replicated = 0;
  // Records that some in-sync replica has not acknowledged, now, and the age of the oldest.
  uint64_t replication_lag_records = 0;
  absl::Duration replication_lag;
  uint64_t warm_hints_sent = 0;
  uint64_t warm_hints_dropped = 0;
  uint64_t warm_hints_applied = 0;

  // The warm tier, now; all zero without a data folder.
  uint64_t disk_entries = 0;
  uint64_t disk_bytes = 0;
  uint64_t disk_limit_bytes = 0;
  uint64_t disk_queue_bytes = 0;
  uint64_t disk_written = 0;
  uint64_t disk_given_up = 0;
  bool disk_failing = false;

  uint64_t map_version = 0;
  bool coordinator_up = false;
  bool controller = false;

  // What the process was granted besides `--memory`, and what it has.
  uint64_t rpc_budget_bytes = 0;
  uint64_t rocksdb_budget_bytes = 0;
  uint64_t rest_budget_bytes = 0;
  uint64_t rss_anonymous_bytes = 0;
};

// Called by any thread, a few times a second at the most; must not block for long.
using FiguresSource = std::function<NodeFigures()>;

// Anonymous resident memory of this process, from /proc; 0 if it cannot be read.
uint64_t AnonymousBytesOfThisProcess();

}  // namespace atoll::admin
