// Who of a partition's in-sync copies is its primary: promotion and balance. Internal to ring/.
//
// Thread safety: none needed; short-lived helpers of one thread.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/ids.h"
#include "ring/placement_map.h"
#include "ring/seat_plan.h"

namespace atoll::ring {

// Gives the partition another primary (0: none) and raises its epoch.
void SetPrimary(Placement& placement, base::Incarnation primary);

// Counts primaries and chooses whom to promote. The map outlives it, and its members stay in place.
class PrimaryCounter {
 public:
  explicit PrimaryCounter(const PlacementMap& map);

  // The one of `candidates` that should be promoted: who stays before who is draining, then who is
  // leaving; among those, who has the fewest primaries for its weight; then by name. 0 if all are
  // down or there is none.
  base::Incarnation Choose(const Seats& candidates) const;
  // Keeps the count: `from` and `to` may be 0.
  void Move(base::Incarnation from, base::Incarnation to);

 private:
  struct Count {
    const Member* member = nullptr;
    uint64_t primaries = 0;
  };
  absl::flat_hash_map<base::Incarnation, Count> counts_;
};

// Swaps primaries inside the ISR until every node that is up has the floor or ceiling of its share,
// with as few swaps as that takes and `max_swaps` at the most. Only desired seats become primary.
void BalancePrimaries(PlacementMap& map, const SeatPlan& plan, uint32_t max_swaps);

}  // namespace atoll::ring
