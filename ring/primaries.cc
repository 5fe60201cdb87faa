#include "ring/primaries.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

namespace atoll::ring {
namespace {

constexpr uint32_t kNobody = UINT32_MAX;

// A role handed over: `partition` from its primary to the node that the step was found for.
struct Step {
  uint32_t from = kNobody;
  uint32_t partition = 0;
};

class Balancer {
 public:
  Balancer(PlacementMap& map, const SeatPlan& plan, uint32_t max_swaps)
      : map_(map), plan_(plan), max_swaps_(max_swaps), nodes_(plan.nodes.size()) {
    for (size_t i = 0; i < nodes_.size(); ++i) {
      // Seats hold within floor and ceiling of `share`, so roles can within these; see the note on
      // flows in ring/README.md.
      const double share = plan.copies == 0 ? 0 : plan.nodes[i].share / plan.copies;
      nodes_[i].floor = static_cast<uint32_t>(std::floor(share + 1e-9));
      nodes_[i].ceiling = static_cast<uint32_t>(std::ceil(share - 1e-9));
    }
    primaries_.assign(map.partitions.size(), kNobody);
    for (size_t p = 0; p < map.partitions.size(); ++p) {
      const auto found = plan.places.find(map.partitions[p].primary);
      if (found == plan.places.end()) continue;
      primaries_[p] = found->second;
      ++nodes_[found->second].count;
    }
  }

  void Run() {
    Shift([](const Node& node) { return node.count > node.ceiling; },
          [](const Node& node) { return node.count < node.floor; });
    Shift([](const Node& node) { return node.count > node.ceiling; },
          [](const Node& node) { return node.count < node.ceiling; });
    Shift([](const Node& node) { return node.count > node.floor; },
          [](const Node& node) { return node.count < node.floor; });
    // Only now, as one partition may have been handed on several times.
    uint32_t swaps = 0;
    for (size_t p = 0; p < primaries_.size() && swaps < max_swaps_; ++p) {
      if (primaries_[p] == kNobody) continue;
      const base::Incarnation primary = plan_.nodes[primaries_[p]].incarnation;
      if (map_.partitions[p].primary == primary) continue;
      SetPrimary(map_.partitions[p], primary);
      ++swaps;
    }
  }

 private:
  struct Node {
    uint32_t count = 0;
    uint32_t floor = 0;
    uint32_t ceiling = 0;
  };
  using Predicate = std::function<bool(const Node&)>;

  // Hands roles from nodes that have too many to nodes that have too few: directly as far as that
  // goes, then along chains.
  void Shift(const Predicate& too_many, const Predicate& too_few) {
    for (size_t p = 0; p < primaries_.size(); ++p) {
      const uint32_t from = primaries_[p];
      if (from == kNobody || !too_many(nodes_[from])) continue;
      uint32_t best = kNobody;
      for (const uint32_t to : plan_.seats[p]) {
        if (!CanBecomePrimary(p, to) || !too_few(nodes_[to])) continue;
        if (best == kNobody || Missing(to) > Missing(best)) best = to;
      }
      if (best != kNobody) Swap(p, best);
    }
    while (RunChain(too_many, too_few)) {
    }
  }

  int64_t Missing(uint32_t node) const {
    return int64_t{nodes_[node].floor} - int64_t{nodes_[node].count};
  }

  bool CanBecomePrimary(size_t partition, uint32_t node) const {
    return primaries_[partition] != node && plan_.nodes[node].up &&
           map_.partitions[partition].InIsr(plan_.nodes[node].incarnation);
  }

  void Swap(size_t partition, uint32_t to) {
    --nodes_[primaries_[partition]].count;
    ++nodes_[to].count;
    primaries_[partition] = to;
  }

  // The shortest chain of swaps from a node of too many to one of too few; false if there is none.
  // A node is on it once, and so is a partition, which has one primary.
  bool RunChain(const Predicate& too_many, const Predicate& too_few) {
    std::vector<Step> steps(nodes_.size());
    std::vector<bool> seen(nodes_.size());
    std::vector<bool> level(nodes_.size());
    bool any = false;
    for (size_t i = 0; i < nodes_.size(); ++i) {
      level[i] = seen[i] = too_many(nodes_[i]);
      any |= level[i];
    }
    while (any) {
      std::vector<bool> next(nodes_.size());
      any = false;
      for (uint32_t p = 0; p < primaries_.size(); ++p) {
        const uint32_t from = primaries_[p];
        if (from == kNobody || !level[from]) continue;
        for (const uint32_t to : plan_.seats[p]) {
          if (seen[to] || !CanBecomePrimary(p, to)) continue;
          steps[to] = {from, p};
          if (too_few(nodes_[to])) {
            CarryOut(to, steps);
            return true;
          }
          seen[to] = next[to] = true;
          any = true;
        }
      }
      level = next;
    }
    return false;
  }

  void CarryOut(uint32_t end, const std::vector<Step>& steps) {
    for (uint32_t node = end; steps[node].from != kNobody;) {
      const Step step = steps[node];
      Swap(step.partition, node);
      node = step.from;
    }
  }

  PlacementMap& map_;
  const SeatPlan& plan_;
  uint32_t max_swaps_;
  std::vector<Node> nodes_;          // as plan_.nodes
  std::vector<uint32_t> primaries_;  // a place in plan_.nodes for each partition
};

int Reluctance(MemberState state) {
  switch (state) {
    case MemberState::kUp:
      return 0;
    case MemberState::kDraining:
      return 1;
    case MemberState::kLeaving:
      return 2;
    case MemberState::kDown:
      break;
  }
  return 3;
}

}  // namespace

void SetPrimary(Placement& placement, base::Incarnation primary) {
  if (placement.primary == primary) return;
  placement.primary = primary;
  placement.epoch = base::Epoch(placement.epoch.value() + 1);
}

PrimaryCounter::PrimaryCounter(const PlacementMap& map) {
  for (const Member& member : map.members) counts_[member.incarnation].member = &member;
  for (const Placement& placement : map.partitions) Move({}, placement.primary);
}

base::Incarnation PrimaryCounter::Choose(const Seats& candidates) const {
  const Count* best = nullptr;
  for (const base::Incarnation candidate : candidates) {
    const auto found = counts_.find(candidate);
    if (found == counts_.end() || found->second.member == nullptr) continue;
    const Count& count = found->second;
    if (count.member->state == MemberState::kDown) continue;
    if (best == nullptr) {
      best = &count;
      continue;
    }
    const int reluctance = Reluctance(count.member->state);
    const int best_reluctance = Reluctance(best->member->state);
    const uint64_t load = count.primaries * std::max(1u, best->member->weight);
    const uint64_t best_load = best->primaries * std::max(1u, count.member->weight);
    const bool better = reluctance != best_reluctance ? reluctance < best_reluctance
                        : load != best_load           ? load < best_load
                                                      : count.member->name < best->member->name;
    if (better) best = &count;
  }
  return best == nullptr ? base::Incarnation() : best->member->incarnation;
}

void PrimaryCounter::Move(base::Incarnation from, base::Incarnation to) {
  if (from != base::Incarnation()) --counts_[from].primaries;
  if (to != base::Incarnation()) ++counts_[to].primaries;
}

void BalancePrimaries(PlacementMap& map, const SeatPlan& plan, uint32_t max_swaps) {
  Balancer(map, plan, max_swaps).Run();
}

}  // namespace atoll::ring
