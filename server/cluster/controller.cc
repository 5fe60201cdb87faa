#include "server/cluster/controller.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "server/cluster/descriptor.h"

namespace atoll::cluster {
namespace {

using ring::MemberState;
using ring::Placement;
using ring::PlacementMap;

ring::Member* Find(PlacementMap& map, base::Incarnation incarnation) {
  for (ring::Member& member : map.members) {
    if (member.incarnation == incarnation) return &member;
  }
  return nullptr;
}

bool MayLead(const ring::Member& member) {
  return member.state == MemberState::kUp || member.state == MemberState::kDraining;
}

bool SameSeats(const ring::Seats& a, const ring::Seats& b) {
  return a.size() == b.size() && std::is_permutation(a.begin(), a.end(), b.begin());
}

// The process that left a copy on a successor's disk that stands for `member` of the ISR; 0: there
// is none. A node that was seated to revive the partition, and has gone without having read the
// copy, left it to its successor as it was.
base::Incarnation CopyLeftBy(const internal::v1::NodeDescriptor& successor,
                             base::Incarnation member, const Placement& placement,
                             base::PartitionId partition) {
  for (const base::Incarnation process : {member, placement.revived_from}) {
    if (process != base::Incarnation() && HasDiskCopy(successor, process, partition)) {
      return process;
    }
  }
  return {};
}

std::string Label(const ring::Member& member) {
  return absl::StrCat(member.name, " (", absl::Hex(member.incarnation.value()), ")");
}

}  // namespace

Controller::Controller(ControllerOptions options, const base::Clock* clock, uint64_t seed)
    : options_(std::move(options)), clock_(clock), random_state_(seed) {}

void Controller::Start(PlacementMap current) {
  current_ = std::move(current);
  living_.clear();
  requests_.clear();
  leaving_.clear();
  gone_since_.clear();
  folders_.clear();
  replaced_in_quiet_.clear();
  orphan_since_.assign(base::kPartitionCount, absl::InfiniteDuration());
  settled_at_ = -absl::InfiniteDuration();
  balanced_version_ = 0;
  resets_ = 0;
  const absl::Duration now = clock_->BootTime();
  for (const ring::Member& member : current_.members) {
    if (member.state == MemberState::kLeaving) leaving_.insert(member.incarnation);
    if (member.state == MemberState::kLeaving || member.state == MemberState::kDown) {
      gone_since_[member.incarnation] = now;
    }
  }
  Quiet();
}

void Controller::Quiet() {
  quiet_until_ = clock_->BootTime() + options_.quiet;
  unproven_unknown_ = true;
}

void Controller::SetNodes(const std::vector<Registration>& nodes) {
  // Of two processes on one data folder, the later one lives.
  std::map<std::string, const Registration*> newest;
  for (const Registration& node : nodes) {
    const Registration*& known = newest[node.descriptor.data_uuid()];
    if (known == nullptr || known->revision < node.revision) known = &node;
  }
  living_.clear();
  for (const Registration& node : nodes) {
    const std::string& folder = node.descriptor.data_uuid();
    if (!folder.empty() && newest[folder] != &node) continue;
    const base::Incarnation incarnation(node.descriptor.node().incarnation());
    living_[incarnation] = node;
    if (!folder.empty()) folders_[incarnation] = folder;
  }
  if (!std::exchange(unproven_unknown_, false)) return;
  unproven_.clear();
  for (const auto& [incarnation, node] : living_) unproven_.insert(incarnation);
}

void Controller::Ask(const internal::v1::AskControllerRequest& request) {
  requests_.push_back(request);
}

std::optional<PlacementMap> Controller::Next() {
  resets_in_next_ = 0;
  if (current_.partitions.empty()) {
    requests_.clear();
    return FirstMap();
  }
  PlacementMap map = current_;
  Join(map);
  DeclareDeaths(map);
  ApplyRequests(map);
  ApplyStates(map);
  SeatOrphans(map);
  Balance(map);

  for (size_t p = 0; p < map.partitions.size(); ++p) {
    const Placement& before = current_.partitions[p];
    Placement& after = map.partitions[p];
    if (after.isr_version == before.isr_version &&
        (!SameSeats(after.isr, before.isr) || !SameSeats(after.learners, before.learners))) {
      ++after.isr_version;
    }
  }
  if (map == current_) return std::nullopt;
  ++map.version;
  return map;
}

void Controller::Committed(PlacementMap map) {
  if (balance_changed_roles_) settled_at_ = clock_->BootTime() + options_.settle;
  balance_changed_roles_ = false;
  resets_ += std::exchange(resets_in_next_, 0);
  current_ = std::move(map);
  const auto forgotten = [this](base::Incarnation node) {
    return !IsLiving(node) && current_.FindMember(node) == nullptr;
  };
  std::erase_if(gone_since_, [&](const auto& gone) { return forgotten(gone.first); });
  std::erase_if(folders_, [&](const auto& folder) { return forgotten(folder.first); });
  std::erase_if(leaving_, forgotten);
  if (deaths_declared_) replaced_in_quiet_.clear();
}

std::optional<PlacementMap> Controller::FirstMap() {
  if (living_.size() < options_.initial_nodes || living_.empty()) return std::nullopt;
  PlacementMap map;
  map.version = current_.version + 1;
  map.cluster = options_.cluster;
  map.cluster_id = options_.cluster_id;
  map.replication_factor = options_.replication_factor;
  for (const auto& [incarnation, node] : living_) {
    map.members.push_back(MemberOf(node.descriptor));
  }
  SortMembers(map);
  map = ring::FirstAssignment(std::move(map), Random());
  if (map.partitions.empty()) return std::nullopt;
  // Versions of what is on disk must lie below those to come.
  for (const DiskCopyInfo& copy : options_.standalone_copies) {
    Placement& placement = map.partitions[copy.partition.value()];
    placement.epoch = base::Epoch(std::max(placement.epoch.value(), copy.epoch.value() + 1));
    placement.reset_epoch = copy.reset_epoch;
  }
  return map;
}

void Controller::Join(PlacementMap& map) {
  std::vector<base::Incarnation> replaced;
  for (const auto& [incarnation, node] : living_) {
    const ring::Member now = MemberOf(node.descriptor);
    // The same data folder, or the same name (whose registration it has taken): the old one is
    // dead, whatever its lease says.
    for (const ring::Member& member : map.members) {
      if (member.incarnation == incarnation || member.state == MemberState::kDown) continue;
      const auto folder = folders_.find(member.incarnation);
      const bool same_folder = folder != folders_.end() && !node.descriptor.data_uuid().empty() &&
                               folder->second == node.descriptor.data_uuid();
      if (member.name == now.name || same_folder ||
          member.incarnation.value() == node.descriptor.previous_incarnation()) {
        replaced.push_back(member.incarnation);
      }
    }
    ring::Member* known = Find(map, incarnation);
    if (known == nullptr) {
      base::LogInfo(absl::StrCat("controller: ", Label(now), " joins"));
      map.members.push_back(now);
      SortMembers(map);
      continue;
    }
    // It may have been declared dead while its lease was lost: it is back, without its seats.
    const MemberState state = known->state == MemberState::kDown ? MemberState::kUp : known->state;
    if (known->state == MemberState::kDown) {
      base::LogInfo(absl::StrCat("controller: ", Label(now), " is back"));
      gone_since_.erase(incarnation);
    }
    *known = now;
    known->state = state;
  }
  if (replaced.empty()) return;
  for (const base::Incarnation node : replaced) {
    base::LogInfo(absl::StrCat("controller: ", Label(*Find(map, node)), " was replaced"));
    gone_since_.try_emplace(node, clock_->BootTime());
    if (clock_->BootTime() < quiet_until_) replaced_in_quiet_.insert(node);
  }
  MarkAllDead(map, replaced);
}

// Declares all of them dead as one: an ISR whose members went together is kept whole, so that R9
// knows every one of them. The first of such an ISR is its last primary.
void Controller::MarkAllDead(PlacementMap& map, const std::vector<base::Incarnation>& dead) const {
  std::vector<base::Incarnation> primaries;
  primaries.reserve(map.partitions.size());
  for (const Placement& placement : map.partitions) primaries.push_back(placement.primary);
  const std::set<base::Incarnation> gone(dead.begin(), dead.end());
  std::map<base::Incarnation, MemberState> states;
  for (ring::Member& member : map.members) {
    MemberState& state = states[member.incarnation] = member.state;
    if (gone.contains(member.incarnation)) state = MemberState::kDown;
    if (state != MemberState::kDown && leaving_.contains(member.incarnation)) {
      state = MemberState::kLeaving;
    }
  }
  for (const base::Incarnation node : gone) {
    if (Find(map, node) == nullptr) continue;
    const bool stopped = leaving_.contains(node);
    // Who may not step in is taken for dead meanwhile.
    for (ring::Member& member : map.members) {
      const bool steps_in = MayStepIn(member.incarnation) &&
                            !(stopped && states[member.incarnation] == MemberState::kLeaving);
      member.state = steps_in ? states[member.incarnation] : MemberState::kDown;
    }
    Find(map, node)->state = MemberState::kUp;  // MarkDead passes over those that are down already
    map = ring::MarkDead(std::move(map), node);
  }
  for (ring::Member& member : map.members) member.state = states[member.incarnation];
  for (size_t p = 0; p < map.partitions.size(); ++p) {
    Placement& placement = map.partitions[p];
    if (placement.primary != base::Incarnation()) continue;
    const auto last = std::find(placement.isr.begin(), placement.isr.end(), primaries[p]);
    if (last != placement.isr.end()) std::rotate(placement.isr.begin(), last, last + 1);
  }
}

void Controller::DeclareDeaths(PlacementMap& map) {
  const absl::Duration now = clock_->BootTime();
  deaths_declared_ = now >= quiet_until_;
  if (!deaths_declared_) return;
  std::vector<base::Incarnation> dead(replaced_in_quiet_.begin(), replaced_in_quiet_.end());
  for (const ring::Member& member : map.members) {
    if (member.state == MemberState::kDown || IsLiving(member.incarnation)) continue;
    base::LogWarning(absl::StrCat("controller: ", Label(member), " is gone"));
    dead.push_back(member.incarnation);
    gone_since_[member.incarnation] = now;
  }
  if (!dead.empty()) MarkAllDead(map, dead);
}

void Controller::ApplyRequests(PlacementMap& map) {
  for (const internal::v1::AskControllerRequest& request : std::exchange(requests_, {})) {
    const base::Incarnation from(request.from_incarnation());
    if (request.leaving() && IsLiving(from) && leaving_.insert(from).second) {
      gone_since_.try_emplace(from, clock_->BootTime());
      settled_at_ = -absl::InfiniteDuration();  // it waits for the map that relieves it
    }
    if (!request.drain_node().empty()) {
      for (ring::Member& member : map.members) {
        if (member.name != request.drain_node()) continue;
        if (!request.undo_drain() && member.state == MemberState::kUp) {
          member.state = MemberState::kDraining;
        } else if (request.undo_drain() && member.state == MemberState::kDraining) {
          member.state = MemberState::kUp;
        }
      }
    }
    for (const internal::v1::IsrChange& change : request.isr_changes()) {
      ApplyIsrChange(from, change, map);
    }
  }
}

void Controller::ApplyStates(PlacementMap& map) {
  for (ring::Member& member : map.members) {
    if (member.state != MemberState::kDown && leaving_.contains(member.incarnation)) {
      member.state = MemberState::kLeaving;
    }
  }
}

void Controller::ApplyIsrChange(base::Incarnation from, const internal::v1::IsrChange& change,
                                PlacementMap& map) const {
  if (change.partition() >= map.partitions.size()) return;
  Placement& placement = map.partitions[change.partition()];
  // R3: only the primary asks, and only with what it knows to be so.
  if (placement.primary != from || placement.epoch.value() != change.epoch() ||
      placement.isr_version != change.isr_version()) {
    return;
  }
  const base::Incarnation remove(change.remove());
  const base::Incarnation add(change.add());
  bool carried_out = false;
  if (remove != base::Incarnation() && remove != placement.primary) {
    // One that is not in it any more: the version rises all the same, so that the primary knows
    // that what it asked before is void.
    placement.isr.erase(std::remove(placement.isr.begin(), placement.isr.end(), remove),
                        placement.isr.end());
    carried_out = true;
  }
  const ring::Member* member = add == base::Incarnation() ? nullptr : Find(map, add);
  if (member != nullptr && MayLead(*member) && placement.IsLearner(add)) {
    placement.learners.erase(std::remove(placement.learners.begin(), placement.learners.end(), add),
                             placement.learners.end());
    placement.isr.push_back(add);
    placement.revived_from = {};
    carried_out = true;
  }
  if (carried_out) ++placement.isr_version;
}

bool Controller::SeatLivingMember(PlacementMap& map, Placement& placement) const {
  // It was declared dead and is back, with all it had: nothing was acknowledged without it. One
  // that is being stopped is of no use now, and its disk will be as good.
  ring::Seats living;
  const ring::Member* best = nullptr;
  for (const base::Incarnation node : placement.isr) {
    const ring::Member* member = Find(map, node);
    if (member == nullptr || !MayStepIn(node)) continue;
    living.push_back(node);
    if (best == nullptr && MayLead(*member)) best = member;
  }
  if (best == nullptr) return false;
  placement.isr = living;
  placement.learners.clear();
  ++placement.isr_version;
  placement.primary = best->incarnation;
  placement.epoch = base::Epoch(placement.epoch.value() + 1);
  return true;
}

std::optional<base::Incarnation> Controller::SuccessorOf(const PlacementMap& map,
                                                         base::Incarnation node) const {
  const ring::Member* member = map.FindMember(node);
  std::optional<base::Incarnation> by_name;
  for (const auto& [incarnation, living] : living_) {
    const ring::Member* seated = map.FindMember(incarnation);
    if (seated == nullptr || seated->state == MemberState::kDown ||
        leaving_.contains(incarnation)) {
      continue;
    }
    // Or the successor's successor, if that one was stopped before it was given all of it.
    if (living.descriptor.previous_incarnation() == node.value() ||
        HasDiskCopies(living.descriptor, node)) {
      return incarnation;
    }
    if (member != nullptr && living.descriptor.node().name() == member->name) {
      by_name = incarnation;
    }
  }
  return by_name;
}

void Controller::SeatOrphans(PlacementMap& map) {
  const absl::Duration now = clock_->BootTime();
  std::vector<base::PartitionId> lost;
  size_t revived = 0;
  std::map<base::Incarnation, std::optional<base::Incarnation>> successors;
  for (size_t p = 0; p < map.partitions.size(); ++p) {
    Placement& placement = map.partitions[p];
    if (placement.primary != base::Incarnation() || SeatLivingMember(map, placement)) {
      orphan_since_[p] = absl::InfiniteDuration();
      continue;
    }
    orphan_since_[p] = std::min(orphan_since_[p], now);
    const bool waits =
        std::any_of(placement.isr.begin(), placement.isr.end(),
                    [this](base::Incarnation node) { return IsLiving(node) && !MayStepIn(node); });
    if (waits) continue;
    size_t back = 0;
    bool last_primary_back = false;
    std::optional<base::Incarnation> heir;
    base::Incarnation left_by;
    for (size_t i = 0; i < placement.isr.size(); ++i) {
      const base::Incarnation node = placement.isr[i];
      auto [known, is_new] = successors.try_emplace(node);
      if (is_new) known->second = SuccessorOf(map, node);
      const std::optional<base::Incarnation>& successor = known->second;
      if (!successor) continue;
      ++back;
      last_primary_back |= i == 0;
      if (heir) continue;
      left_by = CopyLeftBy(living_.at(*successor).descriptor, node, placement,
                           base::PartitionId(static_cast<uint16_t>(p)));
      if (left_by != base::Incarnation()) heir = successor;
    }
    if (heir && (last_primary_back || back == placement.isr.size() ||
                 now - orphan_since_[p] >= options_.revive_wait)) {
      ring::Revive(map, base::PartitionId(static_cast<uint16_t>(p)), *heir, left_by, Random());
      ++revived;
    } else if (!heir && back == placement.isr.size()) {
      lost.push_back(base::PartitionId(static_cast<uint16_t>(p)));
    }
  }
  if (revived > 0) {
    base::LogInfo(absl::StrCat("controller: ", revived, " partitions are revived from disk"));
  }
  if (lost.empty()) return;
  base::LogWarning(
      absl::StrCat("controller: ", lost.size(),
                   " partitions begin again empty: all who had them are back without"));
  ring::RebalanceOptions options;
  options.held = Held(map);
  ring::Reset(map, lost, options, Random());
  resets_in_next_ = lost.size();
}

std::vector<base::Incarnation> Controller::Held(const PlacementMap& map) const {
  std::vector<base::Incarnation> held;
  const absl::Duration now = clock_->BootTime();
  for (const auto& [node, since] : gone_since_) {
    // One that is leaving may take long to write its disk: its time runs from its end.
    const bool recent =
        now - since < options_.re_replicate_after || (leaving_.contains(node) && IsLiving(node));
    if (recent && map.FindMember(node) != nullptr) held.push_back(node);
  }
  return held;
}

void Controller::Balance(PlacementMap& map) {
  if (clock_->BootTime() < settled_at_) return;
  std::vector<base::Incarnation> held = Held(map);
  // Nothing changed since it was found to be in balance. (The version is raised only behind us.)
  if (balanced_version_ == current_.version && balanced_held_ == held && map == current_) return;
  ring::RebalanceOptions options;
  options.held = held;
  options.max_learners_per_node = options_.max_learners_per_node;
  PlacementMap next = ring::Rebalance(map, options);
  balance_changed_roles_ = false;
  for (size_t p = 0; p < next.partitions.size(); ++p) {
    balance_changed_roles_ |= next.partitions[p].primary != map.partitions[p].primary;
  }
  if (next == current_) {
    balanced_version_ = current_.version;
    balanced_held_ = std::move(held);
  }
  map = std::move(next);
}

uint64_t Controller::Random() { return NextRandom(random_state_); }

}  // namespace atoll::cluster
