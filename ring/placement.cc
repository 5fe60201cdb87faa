#include "ring/placement.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "base/hash.h"
#include "ring/primaries.h"
#include "ring/seat_plan.h"

namespace atoll::ring {
namespace {

// A random lineage id for each partition out of one random number. 0 is none.
uint64_t HistoryOf(uint64_t seed, uint32_t partition) {
  char bytes[12];
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(seed >> (8 * i));
  for (size_t i = 0; i < 4; ++i) bytes[8 + i] = static_cast<char>(partition >> (8 * i));
  const uint64_t history = base::HashKey("history", std::string_view(bytes, sizeof bytes));
  return history == 0 ? 1 : history;
}

void Remove(Seats& seats, base::Incarnation node) {
  seats.erase(std::remove(seats.begin(), seats.end(), node), seats.end());
}

bool SameSeats(const Seats& a, const Seats& b) {
  return a.size() == b.size() && std::is_permutation(a.begin(), a.end(), b.begin());
}

// Raises isr_version if the seats are others than `old` had.
void CountChange(const Placement& old, Placement& placement) {
  if (!SameSeats(old.isr, placement.isr) || !SameSeats(old.learners, placement.learners)) {
    ++placement.isr_version;
  }
}

// An empty partition on those of its planned nodes that are up. False if none is.
bool BeginAnew(Placement& placement, const SeatPlan& plan, uint32_t partition,
               PrimaryCounter& counter) {
  Seats seats;
  for (const uint32_t place : plan.seats[partition]) {
    if (plan.nodes[place].up) seats.push_back(plan.nodes[place].incarnation);
  }
  if (seats.empty()) return false;
  placement.isr = seats;
  placement.learners.clear();
  placement.revived_from = {};
  ++placement.isr_version;
  const base::Incarnation primary = counter.Choose(seats);
  counter.Move(placement.primary, primary);
  // Anew even where the primary is the same node: versions of the lost data must not come again.
  placement.primary = {};
  SetPrimary(placement, primary);
  return true;
}

// One call of Rebalance.
class Rebalancer {
 public:
  Rebalancer(PlacementMap& map, const RebalanceOptions& options)
      : map_(map), options_(options), plan_(PlanSeats(map, options)), counter_(map) {
    for (const Member& member : map_.members) states_[member.incarnation] = member.state;
    for (const Placement& placement : map_.partitions) {
      for (const base::Incarnation learner : placement.learners) ++learning_[learner];
    }
  }

  void Run() {
    for (uint32_t i = 0; i < map_.partitions.size(); ++i) {
      const base::PartitionId partition(static_cast<uint16_t>(i));
      Placement& placement = map_.partitions[i];
      const Placement old = placement;
      DropUselessLearners(partition, placement);
      // Without a primary there is nobody to copy from, and its ISR is what R9 goes by.
      if (placement.primary != base::Incarnation()) {
        RelieveLeaving(placement);
        DropSurplus(partition, placement);
        AddLearners(partition, placement);
        PutSurplusFirst(partition, placement);
      }
      CountChange(old, placement);
    }
    // While copies are on their way any balance would be for moments only, and each swap costs an
    // interruption.
    if (Settled()) BalancePrimaries(map_, plan_, options_.max_swaps);
    ForgetUnseated();
  }

 private:
  // Has its copy and goes on having it.
  bool Stays(base::Incarnation node) const {
    const auto found = states_.find(node);
    return found != states_.end() &&
           (found->second == MemberState::kUp || found->second == MemberState::kDraining);
  }

  uint32_t InSyncThatStay(const Placement& placement) const {
    uint32_t count = 0;
    for (const base::Incarnation node : placement.isr) count += Stays(node) ? 1 : 0;
    return count;
  }

  void HandOver(Placement& placement, const Seats& candidates) {
    const base::Incarnation next = counter_.Choose(candidates);
    if (next == base::Incarnation() || next == placement.primary) return;
    counter_.Move(placement.primary, next);
    SetPrimary(placement, next);
  }

  void DropUselessLearners(base::PartitionId partition, Placement& placement) {
    const Seats learners = placement.learners;
    for (const base::Incarnation learner : learners) {
      if (placement.primary != base::Incarnation() && Stays(learner) &&
          plan_.Wants(partition, learner)) {
        continue;
      }
      Remove(placement.learners, learner);
      --learning_[learner];
    }
  }

  void RelieveLeaving(Placement& placement) {
    if (Stays(placement.primary)) return;
    Seats staying;
    for (const base::Incarnation node : placement.isr) {
      if (Stays(node)) staying.push_back(node);
    }
    // The leaving node stays in the ISR until the new primary, serving, asks for its removal: it
    // may be that only the map still takes that one for alive.
    HandOver(placement, staying);
  }

  void DropSurplus(base::PartitionId partition, Placement& placement) {
    if (plan_.copies == 0) return;
    const Seats isr = placement.isr;
    for (const base::Incarnation node : isr) {
      if (plan_.Wants(partition, node) || !Stays(node)) continue;
      if (InSyncThatStay(placement) <= plan_.copies) return;
      if (node != placement.primary) {
        Remove(placement.isr, node);
        continue;
      }
      Seats wanted;
      for (const base::Incarnation other : placement.isr) {
        if (plan_.Wants(partition, other) && Stays(other)) wanted.push_back(other);
      }
      // The old primary stays in the ISR for one map more, so that what it has under way is not
      // lost to the new one.
      HandOver(placement, wanted);
    }
  }

  void AddLearners(base::PartitionId partition, Placement& placement) {
    for (const uint32_t place : plan_.seats[partition.value()]) {
      const PlanNode& node = plan_.nodes[place];
      if (!node.up || placement.InIsr(node.incarnation) || placement.IsLearner(node.incarnation)) {
        continue;
      }
      uint32_t& learning = learning_[node.incarnation];
      if (learning >= options_.max_learners_per_node) continue;
      ++learning;
      placement.learners.push_back(node.incarnation);
    }
  }

  // The order of the ISR is how a later call knows which copy this one meant to go.
  void PutSurplusFirst(base::PartitionId partition, Placement& placement) {
    std::stable_partition(placement.isr.begin(), placement.isr.end(),
                          [&](base::Incarnation node) { return !plan_.Wants(partition, node); });
  }

  bool Settled() const {
    for (uint32_t i = 0; i < map_.partitions.size(); ++i) {
      const Placement& placement = map_.partitions[i];
      if (!placement.learners.empty() || placement.primary == base::Incarnation() ||
          placement.isr.size() != plan_.seats[i].size()) {
        return false;
      }
    }
    return !map_.partitions.empty();
  }

  void ForgetUnseated() {
    absl::flat_hash_set<base::Incarnation> needed(options_.held.begin(), options_.held.end());
    for (const Placement& placement : map_.partitions) {
      needed.insert(placement.isr.begin(), placement.isr.end());
      needed.insert(placement.learners.begin(), placement.learners.end());
    }
    map_.members.erase(std::remove_if(map_.members.begin(), map_.members.end(),
                                      [&needed](const Member& member) {
                                        return member.state == MemberState::kDown &&
                                               !needed.contains(member.incarnation);
                                      }),
                       map_.members.end());
  }

  PlacementMap& map_;
  const RebalanceOptions& options_;
  const SeatPlan plan_;
  PrimaryCounter counter_;
  absl::flat_hash_map<base::Incarnation, MemberState> states_;
  absl::flat_hash_map<base::Incarnation, uint32_t> learning_;
};

}  // namespace

uint32_t EffectiveReplicationFactor(const PlacementMap& map, const RebalanceOptions& options) {
  return std::min<uint32_t>(map.replication_factor,
                            static_cast<uint32_t>(SeatableMembers(map, options).size()));
}

std::vector<Seats> DesiredSeats(const PlacementMap& map, const RebalanceOptions& options) {
  const SeatPlan plan = PlanSeats(map, options);
  std::vector<Seats> desired(plan.seats.size());
  for (size_t i = 0; i < desired.size(); ++i) {
    for (const uint32_t place : plan.seats[i]) desired[i].push_back(plan.nodes[place].incarnation);
  }
  return desired;
}

PlacementMap FirstAssignment(PlacementMap map, uint64_t history_seed) {
  map.partitions.clear();
  const SeatPlan plan = PlanSeats(map, {});
  if (plan.copies == 0) return map;
  PrimaryCounter counter(map);
  map.partitions.resize(base::kPartitionCount);
  for (uint32_t i = 0; i < map.partitions.size(); ++i) {
    BeginAnew(map.partitions[i], plan, i, counter);
    map.partitions[i].history = HistoryOf(history_seed, i);
  }
  BalancePrimaries(map, plan, base::kPartitionCount);
  // Nobody saw the steps.
  for (Placement& placement : map.partitions) placement.epoch = base::Epoch(1);
  return map;
}

PlacementMap MarkDead(PlacementMap map, base::Incarnation dead) {
  Member* member = nullptr;
  for (Member& candidate : map.members) {
    if (candidate.incarnation == dead) member = &candidate;
  }
  if (member == nullptr || member->state == MemberState::kDown) return map;
  member->state = MemberState::kDown;
  PrimaryCounter counter(map);
  for (Placement& placement : map.partitions) {
    if (!placement.InIsr(dead) && !placement.IsLearner(dead)) continue;
    const Placement old = placement;
    Remove(placement.learners, dead);
    const base::Incarnation heir = counter.Choose(placement.isr);
    if (heir != base::Incarnation()) Remove(placement.isr, dead);
    CountChange(old, placement);
    if (placement.primary != dead) continue;
    counter.Move(dead, heir);
    SetPrimary(placement, heir);
  }
  return map;
}

PlacementMap Rebalance(PlacementMap map, const RebalanceOptions& options) {
  if (!map.partitions.empty()) Rebalancer(map, options).Run();
  return map;
}

void Revive(PlacementMap& map, base::PartitionId partition, base::Incarnation node,
            base::Incarnation left_by, uint64_t history) {
  Placement& placement = map.partitions[partition.value()];
  placement.isr = {node};
  placement.learners.clear();
  ++placement.isr_version;
  placement.primary = {};
  SetPrimary(placement, node);
  placement.history = history;
  placement.revived_from = left_by;
}

void Reset(PlacementMap& map, const std::vector<base::PartitionId>& partitions,
           const RebalanceOptions& options, uint64_t history_seed) {
  // What nobody holds must not weigh on those that will.
  PlacementMap without = map;
  for (const base::PartitionId partition : partitions) {
    without.partitions[partition.value()].isr.clear();
    without.partitions[partition.value()].learners.clear();
    without.partitions[partition.value()].primary = {};
  }
  const SeatPlan plan = PlanSeats(without, options);
  if (plan.copies == 0) return;
  PrimaryCounter counter(map);
  for (const base::PartitionId partition : partitions) {
    Placement& placement = map.partitions[partition.value()];
    if (!BeginAnew(placement, plan, partition.value(), counter)) continue;
    placement.history = HistoryOf(history_seed, partition.value());
    ++placement.reset_epoch;
  }
}

}  // namespace atoll::ring
