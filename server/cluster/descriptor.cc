#include "server/cluster/descriptor.h"

#include <algorithm>
#include <random>
#include <tuple>

namespace atoll::cluster {

ring::Member MemberOf(const internal::v1::NodeDescriptor& descriptor) {
  const v1::Node& node = descriptor.node();
  ring::Member member;
  member.name = node.name();
  member.incarnation = base::Incarnation(node.incarnation());
  member.zone = node.zone();
  member.weight = node.weight() == 0 ? 1 : node.weight();
  for (const v1::Listener& listener : node.listeners()) {
    member.listeners.push_back({listener.name(), listener.address()});
  }
  member.program_version = node.program_version();
  return member;
}

void SortMembers(ring::PlacementMap& map) {
  std::sort(map.members.begin(), map.members.end(),
            [](const ring::Member& a, const ring::Member& b) {
              return std::tie(a.name, a.incarnation) < std::tie(b.name, b.incarnation);
            });
}

v1::PartitionPlacement EntryOf(const ring::PlacementMap& map, base::PartitionId partition) {
  const ring::Placement& placement = map.at(partition);
  const auto place = [&map](base::Incarnation node) {
    uint32_t at = 0;
    while (at < map.members.size() && map.members[at].incarnation != node) ++at;
    return at;
  };
  v1::PartitionPlacement entry;
  entry.set_partition(partition.value());
  entry.set_epoch(placement.epoch.value());
  entry.set_isr_version(placement.isr_version);
  if (placement.primary != base::Incarnation()) entry.set_primary(place(placement.primary));
  for (const base::Incarnation node : placement.isr) entry.add_isr(place(node));
  for (const base::Incarnation node : placement.learners) entry.add_learners(place(node));
  entry.set_history(placement.history);
  entry.set_reset_epoch(placement.reset_epoch);
  entry.set_revived_from(placement.revived_from.value());
  return entry;
}

std::string PeerAddress(const internal::v1::NodeDescriptor& descriptor) {
  for (const v1::Listener& listener : descriptor.node().listeners()) {
    if (listener.name() == "peer") return listener.address();
  }
  return {};
}

void AddDiskCopy(base::Incarnation left_by, base::PartitionId partition,
                 internal::v1::NodeDescriptor& descriptor) {
  internal::v1::DiskCopies* copies = nullptr;
  for (internal::v1::DiskCopies& known : *descriptor.mutable_disk_copies()) {
    if (known.incarnation() == left_by.value()) copies = &known;
  }
  if (copies == nullptr) {
    copies = descriptor.add_disk_copies();
    copies->set_incarnation(left_by.value());
    copies->mutable_partitions()->resize(base::kPartitionCount / 8);
  }
  char& byte = (*copies->mutable_partitions())[partition.value() / 8];
  byte = static_cast<char>(byte | (1 << (partition.value() % 8)));
}

bool HasDiskCopies(const internal::v1::NodeDescriptor& descriptor, base::Incarnation left_by) {
  return std::any_of(descriptor.disk_copies().begin(), descriptor.disk_copies().end(),
                     [left_by](const internal::v1::DiskCopies& copies) {
                       return copies.incarnation() == left_by.value();
                     });
}

bool HasDiskCopy(const internal::v1::NodeDescriptor& descriptor, base::Incarnation left_by,
                 base::PartitionId partition) {
  const size_t byte = partition.value() / 8;
  for (const internal::v1::DiskCopies& copies : descriptor.disk_copies()) {
    if (copies.incarnation() == left_by.value() && byte < copies.partitions().size() &&
        (copies.partitions()[byte] >> (partition.value() % 8) & 1) != 0) {
      return true;
    }
  }
  return false;
}

uint64_t NextRandom(uint64_t& state) {
  state += 0x9e3779b97f4a7c15;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  z ^= z >> 31;
  return z == 0 ? 1 : z;
}

uint64_t DrawRandom() {
  std::random_device device;
  uint64_t state = (uint64_t{device()} << 32) | device();
  return NextRandom(state);
}

}  // namespace atoll::cluster
