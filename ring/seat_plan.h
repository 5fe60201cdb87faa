// Who should hold each partition's copies: the assignment behind DesiredSeats, with what the other
// placement functions need of it. Internal to ring/.
//
// Thread safety: values.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "base/ids.h"
#include "ring/placement.h"
#include "ring/placement_map.h"
#include "ring/shares.h"

namespace atoll::ring {

// A node that should hold copies.
struct PlanNode {
  base::Incarnation incarnation;
  bool up = false;   // else held
  double share = 0;  // of copies
};

struct SeatPlan {
  uint32_t copies = 0;                                      // the effective replication factor
  std::vector<PlanNode> nodes;                              // by name
  absl::flat_hash_map<base::Incarnation, uint32_t> places;  // in `nodes`
  // kPartitionCount entries of `copies` places in `nodes`.
  std::vector<absl::InlinedVector<uint32_t, kMaxReplicationFactor>> seats;

  bool Wants(base::PartitionId partition, base::Incarnation node) const;
};

// Members that should hold copies, by name: those that are up, and held ones whose name has nobody
// who is not down.
std::vector<const Member*> SeatableMembers(const PlacementMap& map,
                                           const RebalanceOptions& options);

SeatPlan PlanSeats(const PlacementMap& map, const RebalanceOptions& options);

}  // namespace atoll::ring
