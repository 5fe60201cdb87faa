// Who should own what: pure functions from a placement map to the next one.
//
// They decide and do no I/O: deterministic, and independent of the order of members. The controller
// (server/cluster) applies what happened to the newest map, calls Rebalance, gives the result a
// version, and publishes it. None of them sets `version`.
//
// What they keep: the epoch rises with each change of primary, isr_version with each change of the
// ISR or the learners (by which primaries tell whether what they asked still holds); a primary is
// in its ISR; a new copy begins as a learner and only the primary's request (R3) makes it in sync;
// nothing takes a partition's last live in-sync copy.
//
// Thread safety: no state.
#pragma once

#include <cstdint>
#include <vector>

#include "base/ids.h"
#include "ring/placement_map.h"

namespace atoll::ring {

struct RebalanceOptions {
  // Nodes that are down or leaving and may be back soon: what they had stays theirs, so that a
  // restart moves nothing. The controller names a node here for 10 s after its death. A node of the
  // same name that is up takes its place.
  std::vector<base::Incarnation> held;
  // How many partitions a node may be copying at once.
  uint32_t max_learners_per_node = 256;
  // How many primaries one call may swap for balance; a swap interrupts its partition for up to the
  // grace period. 0: none. Primaries on draining and leaving nodes are handed over regardless.
  uint32_t max_swaps = base::kPartitionCount;
};

// Copies that the nodes which should hold copies allow: min(replication_factor, their number).
uint32_t EffectiveReplicationFactor(const PlacementMap& map, const RebalanceOptions& options = {});

// Who should hold each partition's copies, kPartitionCount entries of EffectiveReplicationFactor
// seats (docs/architecture.md): surviving copies stay; holes are filled in ring order with nodes
// and zones not yet used; no node goes above the ceiling of its weighted share; no zone is repeated
// while there are enough; draining, leaving and dead nodes get nothing. Held nodes may appear. The
// order of a partition's seats means nothing.
std::vector<Seats> DesiredSeats(const PlacementMap& map, const RebalanceOptions& options = {});

// A cluster's first partitions, for a map that has members and no partitions: everyone is in sync,
// as there are no data. `history_seed` is drawn at random by the caller. Unchanged if no member is
// up.
PlacementMap FirstAssignment(PlacementMap map, uint64_t history_seed);

// Marks a node process as down. Where other in-sync copies live it leaves the ISR, and if it was
// the primary, the live member with the fewest primaries for its weight is promoted (nodes that
// stay before nodes that are draining or leaving). Where none lives the ISR stays as it was, for
// R9, and the partition has no primary.
PlacementMap MarkDead(PlacementMap map, base::Incarnation dead);

// One step towards DesiredSeats and balanced primaries:
//  - learners are added where a desired seat has no copy, and dropped where they are no longer
//    wanted;
//  - a copy that is not desired is dropped once as many others are in sync as should be, its
//    primary role being handed over one step before;
//  - a leaving node hands over its roles where another in-sync copy stays; it is in the ISR until
//    the new primary, which serves by then, asks for its removal, or its process ends;
//  - primaries are swapped inside the ISR until each node has its share;
//  - members that are down, unseated and not held are forgotten.
// To be called again after each change; returns the map unchanged when there is nothing to do.
PlacementMap Rebalance(PlacementMap map, const RebalanceOptions& options = {});

// R9: seats a restarted node as the only in-sync copy and primary, with a new epoch and history.
// `node` is a member; `left_by` is the process that left the copy on its disk.
void Revive(PlacementMap& map, base::PartitionId partition, base::Incarnation node,
            base::Incarnation left_by, uint64_t history);

// Gives up what was left of partitions that nobody can revive: they begin again, empty, on the
// nodes that should hold them, with a new history and reset_epoch + 1. Histories derive from
// `history_seed`. Partitions are left as they are if no member is up.
void Reset(PlacementMap& map, const std::vector<base::PartitionId>& partitions,
           const RebalanceOptions& options, uint64_t history_seed);

}  // namespace atoll::ring
