// How many copies each node should hold: weighted shares under the limits that one copy of a
// partition a node, and diversity of zones, put on them; and their rounding to whole copies.
//
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace atoll::ring {

struct ShareNode {
  std::string name;
  uint32_t weight = 1;
  uint32_t zone = 0;  // an index into the names of zones
};

// How many copies of a partition one zone may hold: one, where there are as many zones as copies.
uint32_t CopiesPerZone(uint32_t zones, uint32_t copies);

// The copies that each node should hold out of `copies` for each of `partitions`: proportional to
// weights, but that no node takes more than `partitions` and no zone more than CopiesPerZone
// allows; what those cannot take is spread over the others in proportion. `copies` is at most the
// number of nodes. Whole numbers are exact.
std::vector<double> FairShares(const std::vector<ShareNode>& nodes, uint32_t zones, uint32_t copies,
                               uint32_t partitions);

// Rounds shares to whole copies that sum up to the same, each node's the floor or the ceiling of
// its share, and each zone's of its. Those that have the ceiling now keep it first, as that moves
// least; the rest is decided by names alone, so that the answer stays as copies move towards it.
std::vector<uint32_t> RoundShares(const std::vector<ShareNode>& nodes,
                                  const std::vector<std::string>& zones,
                                  const std::vector<double>& shares,
                                  const std::vector<uint32_t>& current);

}  // namespace atoll::ring
