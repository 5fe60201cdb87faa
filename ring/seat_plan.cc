#include "ring/seat_plan.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "ring/hash_ring.h"

namespace atoll::ring {
namespace {

constexpr uint32_t kNobody = UINT32_MAX;

// A chain of moves that was spoilt half-way is searched for anew, but not for ever.
constexpr int kMaxChains = 64;

// A copy, kept or newly given out.
struct Seat {
  uint32_t node = 0;
  bool in_isr = false;
  bool primary = false;
  // Moving a seat that was given out just now moves no data.
  bool fresh = false;
};
using PartitionSeats = absl::InlinedVector<Seat, kMaxReplicationFactor + 1>;

class Planner {
 public:
  Planner(const PlacementMap& map, const RebalanceOptions& options) {
    std::map<std::string, uint32_t> zone_places;
    const std::vector<const Member*> members = SeatableMembers(map, options);
    for (const Member* member : members) zone_places.emplace(member->zone, 0);
    for (auto& [name, place] : zone_places) {
      place = static_cast<uint32_t>(zones_.size());
      zones_.push_back(name);
    }
    for (const Member* member : members) {
      plan_.places.emplace(member->incarnation, static_cast<uint32_t>(nodes_.size()));
      nodes_.push_back({member->name, std::max(1u, member->weight), zone_places.at(member->zone)});
      plan_.nodes.push_back({member->incarnation, member->state == MemberState::kUp, 0});
    }
    plan_.copies = EffectiveReplicationFactor(map, options);
    per_zone_ = CopiesPerZone(static_cast<uint32_t>(zones_.size()), plan_.copies);
    counts_.resize(nodes_.size());
    seats_.resize(base::kPartitionCount);
  }

  SeatPlan Run(const PlacementMap& map) {
    if (!nodes_.empty()) {
      LoadSurvivingCopies(map);
      const std::vector<double> shares = FairShares(nodes_, static_cast<uint32_t>(zones_.size()),
                                                    plan_.copies, base::kPartitionCount);
      for (size_t i = 0; i < nodes_.size(); ++i) plan_.nodes[i].share = shares[i];
      targets_ = RoundShares(nodes_, zones_, shares, counts_);
      for (uint32_t partition = 0; partition < seats_.size(); ++partition) Trim(partition);
      FillHoles();
      // Backups move before primaries.
      MoveSurplus(/*primaries=*/false);
      MoveSurplus(/*primaries=*/true);
      SettleTheRest();
    }
    plan_.seats.resize(seats_.size());
    for (uint32_t partition = 0; partition < seats_.size(); ++partition) {
      for (const Seat& seat : seats_[partition]) plan_.seats[partition].push_back(seat.node);
    }
    return std::move(plan_);
  }

 private:
  void LoadSurvivingCopies(const PlacementMap& map) {
    for (uint32_t partition = 0; partition < map.partitions.size(); ++partition) {
      const Placement& placement = map.partitions[partition];
      for (const Seats* held : {&placement.isr, &placement.learners}) {
        for (const base::Incarnation incarnation : *held) {
          const auto found = plan_.places.find(incarnation);
          if (found == plan_.places.end()) continue;
          seats_[partition].push_back(
              {found->second, held == &placement.isr, incarnation == placement.primary, false});
          ++counts_[found->second];
        }
      }
    }
  }

  bool Overloaded(uint32_t node) const { return counts_[node] > targets_[node]; }
  bool HasRoom(uint32_t node) const { return counts_[node] < targets_[node]; }

  uint32_t CopiesInZone(const PartitionSeats& seats, uint32_t zone) const {
    uint32_t copies = 0;
    for (const Seat& seat : seats) copies += nodes_[seat.node].zone == zone ? 1 : 0;
    return copies;
  }

  // Whether `node` may have a copy of the partition, in place of `instead` unless that is kNobody.
  bool Allowed(uint32_t partition, uint32_t node, uint32_t instead) const {
    uint32_t in_zone = 0;
    for (const Seat& seat : seats_[partition]) {
      if (seat.node == node) return false;
      if (seat.node != instead && nodes_[seat.node].zone == nodes_[node].zone) ++in_zone;
    }
    return in_zone < per_zone_;
  }

  void Give(uint32_t partition, uint32_t node) {
    seats_[partition].push_back({node, false, false, true});
    ++counts_[node];
  }

  void Replace(uint32_t partition, uint32_t node, uint32_t with) {
    for (Seat& seat : seats_[partition]) {
      if (seat.node != node) continue;
      seat = {with, false, false, true};
      --counts_[node];
      ++counts_[with];
      return;
    }
  }

  // Drops copies beyond the replication factor, and those that repeat a zone.
  //
  // A partition has one copy too many while it moves. Rebalance puts the copy that will go first
  // into the ISR, so that the decision stays while the move is under way. A learner on a node that
  // now has too many is given up, as after a drain that was taken back.
  void Trim(uint32_t partition) {
    PartitionSeats& seats = seats_[partition];
    for (;;) {
      const bool crowded = std::any_of(seats.begin(), seats.end(), [&](const Seat& seat) {
        return CopiesInZone(seats, nodes_[seat.node].zone) > per_zone_;
      });
      if (seats.size() <= plan_.copies && !crowded) return;
      const bool moving = seats.size() > plan_.copies;
      size_t victim = seats.size();
      int worst = -1;
      for (size_t i = 0; i < seats.size(); ++i) {
        if (crowded && CopiesInZone(seats, nodes_[seats[i].node].zone) <= per_zone_) continue;
        const bool overloaded = Overloaded(seats[i].node);
        const int score = moving ? (!overloaded       ? 0
                                    : seats[i].in_isr ? 1
                                                      : 2)
                                 : (overloaded ? 1 : 0) + (seats[i].primary ? 0 : 2);
        if (score > worst) {
          worst = score;
          victim = i;
        }
      }
      --counts_[seats[victim].node];
      seats.erase(seats.begin() + static_cast<std::ptrdiff_t>(victim));
    }
  }

  const HashRing& Ring() {
    if (!ring_.has_value()) {
      std::vector<RingNode> ring_nodes;
      for (const ShareNode& node : nodes_) ring_nodes.push_back({node.name, node.weight});
      ring_.emplace(ring_nodes);
    }
    return *ring_;
  }

  // The first node in ring order with room that may take a copy, in place of `instead`.
  uint32_t FirstWithRoom(uint32_t partition, uint32_t instead) {
    uint32_t found = kNobody;
    Ring().Walk(base::PartitionId(static_cast<uint16_t>(partition)), [&](uint32_t node) {
      if (!HasRoom(node) || !Allowed(partition, node, instead)) return false;
      found = node;
      return true;
    });
    return found;
  }

  void FillHoles() {
    for (uint32_t partition = 0; partition < seats_.size(); ++partition) {
      while (seats_[partition].size() < plan_.copies) {
        const uint32_t node = FirstWithRoom(partition, kNobody);
        if (node == kNobody) break;
        Give(partition, node);
      }
    }
  }

  std::vector<uint32_t> NodesWithRoom() const {
    std::vector<uint32_t> nodes;
    for (uint32_t node = 0; node < nodes_.size(); ++node) {
      if (HasRoom(node)) nodes.push_back(node);
    }
    return nodes;
  }

  void MoveSurplus(bool primaries) {
    std::vector<uint32_t> takers = NodesWithRoom();
    for (uint32_t partition = 0; partition < seats_.size() && !takers.empty(); ++partition) {
      for (size_t i = 0; i < seats_[partition].size(); ++i) {
        const Seat seat = seats_[partition][i];
        if (seat.primary != primaries || seat.fresh || !Overloaded(seat.node)) continue;
        // A walk to one taker among hundreds of nodes is long.
        uint32_t taker = kNobody;
        if (takers.size() > 1) {
          taker = FirstWithRoom(partition, seat.node);
        } else if (!takers.empty() && Allowed(partition, takers[0], seat.node)) {
          taker = takers[0];
        }
        if (taker == kNobody) continue;
        Replace(partition, seat.node, taker);
        if (!HasRoom(taker)) takers = NodesWithRoom();
      }
    }
  }

  // What is left when every node with room already has a copy of the partition, or its zone has:
  // chains of moves, the shortest first, at whose end is a node with room.
  void SettleTheRest() {
    for (uint32_t partition = 0; partition < seats_.size(); ++partition) {
      int tries = 0;
      while (seats_[partition].size() < plan_.copies) {
        if (++tries > kMaxChains || !FillByChain(partition)) FillRegardless(partition);
      }
    }
    for (uint32_t node = 0; node < nodes_.size(); ++node) {
      for (int tries = 0; Overloaded(node) && tries < kMaxChains; ++tries) {
        if (!RunChain({node}).has_value()) break;
      }
    }
  }

  bool FillByChain(uint32_t partition) {
    std::vector<uint32_t> starts;
    for (uint32_t node = 0; node < nodes_.size(); ++node) {
      if (Allowed(partition, node, kNobody)) starts.push_back(node);
    }
    const std::optional<uint32_t> relieved = RunChain(starts);
    if (!relieved.has_value()) return false;
    // The chain itself may have changed this partition.
    if (HasRoom(*relieved) && Allowed(partition, *relieved, kNobody)) Give(partition, *relieved);
    return true;
  }

  // Only a contradiction between limits comes here; a copy too many on a node is then better than
  // one too few.
  void FillRegardless(uint32_t partition) {
    uint32_t best = kNobody;
    bool best_allowed = false;
    for (uint32_t node = 0; node < nodes_.size(); ++node) {
      const bool taken = std::any_of(seats_[partition].begin(), seats_[partition].end(),
                                     [node](const Seat& seat) { return seat.node == node; });
      if (taken) continue;
      const bool allowed = Allowed(partition, node, kNobody);
      if (best == kNobody || (allowed && !best_allowed) ||
          (allowed == best_allowed && counts_[node] < counts_[best])) {
        best = node;
        best_allowed = allowed;
      }
    }
    Give(partition, best);
  }

  // A move of a partition's copy from `from` to the node that the step was found for.
  struct Step {
    uint32_t from = kNobody;
    uint32_t partition = 0;
  };

  // Searches, breadth first, for moves that relieve one of `starts` of a copy and end at a node
  // with room; carries them out; says which start was relieved. nullopt: there is no such chain.
  std::optional<uint32_t> RunChain(const std::vector<uint32_t>& starts) {
    const std::vector<uint32_t> takers = NodesWithRoom();
    if (takers.empty()) return std::nullopt;
    std::vector<Step> steps(nodes_.size());
    std::vector<bool> seen(nodes_.size());
    for (const uint32_t node : starts) seen[node] = true;
    std::vector<uint32_t> level = starts;
    while (!level.empty()) {
      const std::optional<uint32_t> end = FindTaker(level, takers, seen, steps);
      if (end.has_value()) return CarryOut(*end, steps);
      level = Widen(level, seen, steps);
    }
    return std::nullopt;
  }

  // A node of `takers` that could take a copy from a node of `level`: a fresh one sooner than a
  // backup, that sooner than a primary.
  std::optional<uint32_t> FindTaker(const std::vector<uint32_t>& level,
                                    const std::vector<uint32_t>& takers,
                                    const std::vector<bool>& seen, std::vector<Step>& steps) const {
    std::vector<bool> in_level(nodes_.size());
    for (const uint32_t node : level) in_level[node] = true;
    std::optional<uint32_t> found;
    int found_cost = 3;
    for (uint32_t partition = 0; partition < seats_.size() && found_cost > 0; ++partition) {
      for (const Seat& seat : seats_[partition]) {
        const int cost = seat.fresh ? 0 : seat.primary ? 2 : 1;
        if (!in_level[seat.node] || cost >= found_cost) continue;
        for (const uint32_t taker : takers) {
          if (seen[taker] || !Allowed(partition, taker, seat.node)) continue;
          found = taker;
          found_cost = cost;
          steps[taker] = {seat.node, partition};
          break;
        }
      }
    }
    return found;
  }

  std::vector<uint32_t> Widen(const std::vector<uint32_t>& level, std::vector<bool>& seen,
                              std::vector<Step>& steps) const {
    std::vector<bool> in_level(nodes_.size());
    for (const uint32_t node : level) in_level[node] = true;
    std::vector<uint32_t> next;
    for (uint32_t partition = 0; partition < seats_.size(); ++partition) {
      for (const Seat& seat : seats_[partition]) {
        if (!in_level[seat.node]) continue;
        for (uint32_t node = 0; node < nodes_.size(); ++node) {
          if (seen[node] || !Allowed(partition, node, seat.node)) continue;
          seen[node] = true;
          steps[node] = {seat.node, partition};
          next.push_back(node);
        }
      }
    }
    return next;
  }

  // From the end backwards, so that each move is one to a node with room. Two steps through one
  // partition can spoil each other; what was done till then is sound, and relieves its own node.
  uint32_t CarryOut(uint32_t end, const std::vector<Step>& steps) {
    uint32_t node = end;
    while (steps[node].from != kNobody) {
      const Step step = steps[node];
      if (!Allowed(step.partition, node, step.from)) break;
      Replace(step.partition, step.from, node);
      node = step.from;
    }
    return node;
  }

  SeatPlan plan_;
  std::vector<std::string> zones_;
  std::vector<ShareNode> nodes_;
  uint32_t per_zone_ = 1;
  std::vector<uint32_t> counts_;   // copies that each node has now
  std::vector<uint32_t> targets_;  // and should have
  std::vector<PartitionSeats> seats_;
  std::optional<HashRing> ring_;
};

}  // namespace

bool SeatPlan::Wants(base::PartitionId partition, base::Incarnation node) const {
  for (const uint32_t place : seats[partition.value()]) {
    if (nodes[place].incarnation == node) return true;
  }
  return false;
}

std::vector<const Member*> SeatableMembers(const PlacementMap& map,
                                           const RebalanceOptions& options) {
  std::map<std::string_view, const Member*> by_name;
  for (const Member& member : map.members) {
    if (member.state == MemberState::kUp) by_name[member.name] = &member;
  }
  for (const base::Incarnation incarnation : options.held) {
    const Member* member = map.FindMember(incarnation);
    if (member == nullptr ||
        (member->state != MemberState::kDown && member->state != MemberState::kLeaving)) {
      continue;
    }
    const Member* live = map.FindLiveMember(member->name);
    if (live != nullptr && live != member) continue;
    const Member*& place = by_name[member->name];
    if (place == nullptr || place->incarnation < incarnation) place = member;
  }
  std::vector<const Member*> members;
  members.reserve(by_name.size());
  for (const auto& [name, member] : by_name) members.push_back(member);
  return members;
}

SeatPlan PlanSeats(const PlacementMap& map, const RebalanceOptions& options) {
  return Planner(map, options).Run(map);
}

}  // namespace atoll::ring
