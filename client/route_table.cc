#include "client/route_table.h"

#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"

namespace atoll::client {

bool RouteTable::Newer(const ring::Placement& placement, const Seat& seat) {
  return std::tie(placement.epoch, placement.isr_version) > std::tie(seat.epoch, seat.isr_version);
}

bool RouteTable::Apply(std::shared_ptr<const ring::PlacementMap> map) {
  base::MutexLock lock(mu_);
  const bool same = map_ != nullptr && map_->cluster_id == map->cluster_id;
  if (same && map->version < map_->version) return false;
  if (!same || seats_.size() != map->partitions.size()) {
    seats_.assign(map->partitions.size(), Seat());
    addresses_.clear();
  }
  for (size_t i = 0; i < map->partitions.size(); ++i) {
    const ring::Placement& placement = map->partitions[i];
    // Equal ones too: a partition may lose its primary without a new epoch.
    const Seat seat{placement.epoch, placement.isr_version, placement.primary};
    const bool older =
        std::tie(seat.epoch, seat.isr_version) < std::tie(seats_[i].epoch, seats_[i].isr_version);
    if (!older) seats_[i] = seat;
  }
  for (const ring::Member& member : map->members) {
    addresses_[member.incarnation] = member.address;
  }
  map_ = std::move(map);
  version_.fetch_add(1, std::memory_order_release);
  return true;
}

bool RouteTable::Mend(const ring::DecodedPlacement& entry) {
  base::MutexLock lock(mu_);
  const size_t index = entry.partition.value();
  if (index >= seats_.size() || !Newer(entry.placement, seats_[index])) return false;
  seats_[index] = {entry.placement.epoch, entry.placement.isr_version, entry.placement.primary};
  for (const ring::Member& member : entry.members) {
    if (!member.address.empty()) addresses_[member.incarnation] = member.address;
  }
  version_.fetch_add(1, std::memory_order_release);
  return true;
}

std::string RouteTable::AddressOf(base::PartitionId partition) const {
  base::MutexLock lock(mu_);
  if (partition.value() >= seats_.size()) return "";
  const auto found = addresses_.find(seats_[partition.value()].primary);
  return found == addresses_.end() ? "" : found->second;
}

std::vector<std::string> RouteTable::Addresses() const {
  base::MutexLock lock(mu_);
  std::vector<std::string> addresses;
  if (map_ == nullptr) return addresses;
  for (const ring::Member& member : map_->members) {
    if (member.state == ring::MemberState::kDown || member.address.empty()) continue;
    addresses.push_back(member.address);
  }
  return addresses;
}

absl::Status RouteTable::Ready() const {
  base::MutexLock lock(mu_);
  if (map_ == nullptr) return absl::UnavailableError("no placement map yet");
  if (seats_.empty()) return absl::UnavailableError("the partitions are not assigned yet");
  size_t missing = 0;
  for (const Seat& seat : seats_) {
    const auto found = addresses_.find(seat.primary);
    if (found == addresses_.end() || found->second.empty()) ++missing;
  }
  if (missing == 0) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(missing, " of ", seats_.size(), " partitions have no owner"));
}

std::shared_ptr<const ring::PlacementMap> RouteTable::map() const {
  base::MutexLock lock(mu_);
  return map_;
}

}  // namespace atoll::client
