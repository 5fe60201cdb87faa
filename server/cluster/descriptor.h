// Small things between a node's descriptor and the placement map.
//
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <string>

#include "atoll/internal/v1/storage.pb.h"
#include "ring/placement_map.h"

namespace atoll::cluster {

// The member that a living node is, in state kUp.
ring::Member MemberOf(const internal::v1::NodeDescriptor& descriptor);
// By name, then incarnation, as a map's members are.
void SortMembers(ring::PlacementMap& map);
// A partition's entry whose nodes are places in the map's own list of members.
v1::PartitionPlacement EntryOf(const ring::PlacementMap& map, base::PartitionId partition);
// The address of the listener `peer`; empty if there is none.
std::string PeerAddress(const internal::v1::NodeDescriptor& descriptor);
// Adds the partition's copy that `left_by` left to the descriptor's `disk_copies`.
void AddDiskCopy(base::Incarnation left_by, base::PartitionId partition,
                 internal::v1::NodeDescriptor& descriptor);
// Whether the node's data folder holds what `left_by` had: of any partition, of this one.
bool HasDiskCopies(const internal::v1::NodeDescriptor& descriptor, base::Incarnation left_by);
bool HasDiskCopy(const internal::v1::NodeDescriptor& descriptor, base::Incarnation left_by,
                 base::PartitionId partition);
// SplitMix64: never 0.
uint64_t NextRandom(uint64_t& state);
// A number that no other process draws.
uint64_t DrawRandom();

}  // namespace atoll::cluster
