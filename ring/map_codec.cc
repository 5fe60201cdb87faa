// The placement map as a message, whole and as a delta. Seats are written as places in `nodes`.
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "ring/placement_map.h"

namespace atoll::ring {
namespace {

using Nodes = google::protobuf::RepeatedPtrField<v1::Node>;

constexpr uint32_t kMaxEpoch = (1u << 24) - 1;

v1::NodeState EncodeState(MemberState state) {
  switch (state) {
    case MemberState::kUp:
      return v1::NODE_STATE_UP;
    case MemberState::kDraining:
      return v1::NODE_STATE_DRAINING;
    case MemberState::kLeaving:
      return v1::NODE_STATE_LEAVING;
    case MemberState::kDown:
      return v1::NODE_STATE_DOWN;
  }
  return v1::NODE_STATE_UNSPECIFIED;
}

std::optional<MemberState> DecodeState(v1::NodeState state) {
  switch (state) {
    case v1::NODE_STATE_UP:
      return MemberState::kUp;
    case v1::NODE_STATE_DRAINING:
      return MemberState::kDraining;
    case v1::NODE_STATE_LEAVING:
      return MemberState::kLeaving;
    case v1::NODE_STATE_DOWN:
      return MemberState::kDown;
    default:
      return std::nullopt;
  }
}

// Members' places in an encoded list.
using Places = absl::flat_hash_map<base::Incarnation, uint32_t>;

// A seat that names nobody in the map is our own broken invariant: a map like that can neither be
// decoded nor made by the placement functions.
uint32_t PlaceOf(const Places& places, base::Incarnation incarnation) {
  const auto found = places.find(incarnation);
  if (found == places.end()) {
    std::fprintf(stderr, "placement map: seat of unknown incarnation %llx\n",
                 static_cast<unsigned long long>(incarnation.value()));
    std::abort();
  }
  return found->second;
}

void EncodeEntry(base::PartitionId partition, const Placement& placement, const Places& places,
                 v1::PartitionPlacement* out) {
  out->set_partition(partition.value());
  out->set_epoch(placement.epoch.value());
  out->set_isr_version(placement.isr_version);
  if (placement.primary != base::Incarnation()) {
    out->set_primary(PlaceOf(places, placement.primary));
  }
  for (const base::Incarnation seat : placement.isr) out->add_isr(PlaceOf(places, seat));
  for (const base::Incarnation seat : placement.learners) out->add_learners(PlaceOf(places, seat));
  out->set_history(placement.history);
  out->set_reset_epoch(placement.reset_epoch);
  out->set_revived_from(placement.revived_from.value());
}

// Everything but the partitions.
v1::PlacementMap EncodeHead(const PlacementMap& map, Places* places) {
  v1::PlacementMap out;
  out.set_version(map.version);
  out.set_partition_count(base::kPartitionCount);
  out.set_replication_factor(map.replication_factor);
  out.set_cluster(map.cluster);
  out.set_cluster_id(map.cluster_id);
  for (const Member& member : map.members) {
    places->emplace(member.incarnation, static_cast<uint32_t>(out.nodes_size()));
    EncodeMember(member, out.add_nodes());
  }
  return out;
}

absl::StatusOr<std::vector<Member>> DecodeMembers(const Nodes& nodes) {
  std::vector<Member> members;
  members.reserve(nodes.size());
  absl::flat_hash_set<base::Incarnation> seen;
  for (const v1::Node& node : nodes) {
    absl::StatusOr<Member> member = DecodeMember(node);
    if (!member.ok()) return member.status();
    if (!seen.insert(member->incarnation).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("nodes: incarnation of ", node.name(), " appears twice"));
    }
    members.push_back(*std::move(member));
  }
  return members;
}

absl::Status DecodeSeats(const google::protobuf::RepeatedField<uint32_t>& places,
                         const std::vector<Member>& members, const char* field, Seats* out) {
  for (const uint32_t place : places) {
    if (place >= members.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, ": node ", place, " of ", members.size()));
    }
    const base::Incarnation seat = members[place].incarnation;
    for (const base::Incarnation other : *out) {
      if (other == seat) {
        return absl::InvalidArgumentError(absl::StrCat(field, ": node ", place, " twice"));
      }
    }
    out->push_back(seat);
  }
  return absl::OkStatus();
}

absl::StatusOr<Placement> DecodeEntry(const v1::PartitionPlacement& message,
                                      const std::vector<Member>& members) {
  const auto refuse = [&message](auto... what) {
    return absl::InvalidArgumentError(
        absl::StrCat("partition ", message.partition(), ": ", what...));
  };
  Placement placement;
  if (message.partition() >= base::kPartitionCount) {
    return refuse("limit ", base::kPartitionCount - 1);
  }
  if (message.epoch() > kMaxEpoch) {
    return refuse("epoch: ", message.epoch(), ", limit ", kMaxEpoch);
  }
  placement.epoch = base::Epoch(message.epoch());
  placement.isr_version = message.isr_version();
  absl::Status seats = DecodeSeats(message.isr(), members, "isr", &placement.isr);
  if (!seats.ok()) return refuse(seats.message());
  seats = DecodeSeats(message.learners(), members, "learners", &placement.learners);
  if (!seats.ok()) return refuse(seats.message());
  for (const base::Incarnation learner : placement.learners) {
    if (placement.InIsr(learner)) return refuse("learners: a node of the isr");
  }
  if (message.has_primary()) {
    if (message.primary() >= members.size()) {
      return refuse("primary: node ", message.primary(), " of ", members.size());
    }
    placement.primary = members[message.primary()].incarnation;
    if (!placement.InIsr(placement.primary)) return refuse("primary: not in the isr");
  }
  placement.history = message.history();
  placement.reset_epoch = message.reset_epoch();
  placement.revived_from = base::Incarnation(message.revived_from());
  return placement;
}

// Entries that a delta left alone must not name members that it dropped.
absl::Status CheckSeatsAreMembers(const PlacementMap& map) {
  absl::flat_hash_set<base::Incarnation> known;
  for (const Member& member : map.members) known.insert(member.incarnation);
  for (uint32_t i = 0; i < map.partitions.size(); ++i) {
    for (const Seats* seats : {&map.partitions[i].isr, &map.partitions[i].learners}) {
      for (const base::Incarnation seat : *seats) {
        if (!known.contains(seat)) {
          return absl::InvalidArgumentError(
              absl::StrCat("partition ", i, ": a seat of a node that is not in nodes"));
        }
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

void EncodeMember(const Member& member, v1::Node* out) {
  out->set_name(member.name);
  out->set_incarnation(member.incarnation.value());
  out->set_zone(member.zone);
  out->set_weight(member.weight);
  out->set_state(EncodeState(member.state));
  out->set_address(member.address);
  for (const MemberListener& listener : member.listeners) {
    v1::Listener* encoded = out->add_listeners();
    encoded->set_name(listener.name);
    encoded->set_address(listener.address);
  }
  out->set_program_version(member.program_version);
}

absl::StatusOr<Member> DecodeMember(const v1::Node& node) {
  Member member;
  member.name = node.name();
  member.incarnation = base::Incarnation(node.incarnation());
  if (node.incarnation() == 0) {
    return absl::InvalidArgumentError(absl::StrCat("node ", node.name(), ": incarnation 0"));
  }
  member.zone = node.zone();
  member.weight = node.weight();
  if (node.weight() < 1 || node.weight() > kMaxWeight) {
    return absl::InvalidArgumentError(absl::StrCat("node ", node.name(), ": weight ", node.weight(),
                                                   ", limits 1 and ", kMaxWeight));
  }
  const std::optional<MemberState> state = DecodeState(node.state());
  if (!state.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("node ", node.name(), ": unknown state ", static_cast<int>(node.state())));
  }
  member.state = *state;
  member.address = node.address();
  for (const v1::Listener& listener : node.listeners()) {
    member.listeners.push_back({listener.name(), listener.address()});
  }
  member.program_version = node.program_version();
  return member;
}

v1::PlacementMap EncodeMap(const PlacementMap& map) {
  Places places;
  v1::PlacementMap out = EncodeHead(map, &places);
  out.mutable_partitions()->Reserve(static_cast<int>(map.partitions.size()));
  for (size_t i = 0; i < map.partitions.size(); ++i) {
    EncodeEntry(base::PartitionId(static_cast<uint16_t>(i)), map.partitions[i], places,
                out.add_partitions());
  }
  return out;
}

v1::PlacementMap EncodeDelta(const PlacementMap* base, const PlacementMap& map) {
  // Version 0 cannot be named by `delta_from`, and a base that is newer, of another cluster or
  // without partitions shares nothing that a delta could build on.
  if (base == nullptr || base->version == 0 || base->version > map.version ||
      base->cluster_id != map.cluster_id || base->partitions.size() != map.partitions.size()) {
    return EncodeMap(map);
  }
  Places places;
  v1::PlacementMap out = EncodeHead(map, &places);
  out.set_delta_from(base->version);
  for (size_t i = 0; i < map.partitions.size(); ++i) {
    if (map.partitions[i] == base->partitions[i]) continue;
    EncodeEntry(base::PartitionId(static_cast<uint16_t>(i)), map.partitions[i], places,
                out.add_partitions());
  }
  return out;
}

absl::StatusOr<PlacementMap> DecodeMap(const v1::PlacementMap& message, const PlacementMap* base) {
  const bool is_delta = message.delta_from() != 0;
  if (is_delta && (base == nullptr || base->version != message.delta_from())) {
    return absl::FailedPreconditionError(
        absl::StrCat("delta_from: ", message.delta_from(), ", but the map here is ",
                     base == nullptr ? "none" : absl::StrCat(base->version)));
  }
  if (message.partition_count() != base::kPartitionCount) {
    return absl::InvalidArgumentError(absl::StrCat("partition_count: ", message.partition_count(),
                                                   ", not ", base::kPartitionCount));
  }
  if (message.replication_factor() < 1 || message.replication_factor() > kMaxReplicationFactor) {
    return absl::InvalidArgumentError(
        absl::StrCat("replication_factor: ", message.replication_factor(), ", limits 1 and ",
                     kMaxReplicationFactor));
  }
  PlacementMap map;
  map.version = message.version();
  map.cluster = message.cluster();
  map.cluster_id = message.cluster_id();
  map.replication_factor = message.replication_factor();
  absl::StatusOr<std::vector<Member>> members = DecodeMembers(message.nodes());
  if (!members.ok()) return members.status();
  map.members = *std::move(members);

  const size_t sent = static_cast<size_t>(message.partitions_size());
  if (is_delta) {
    map.partitions = base->partitions;
    if (sent > map.partitions.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("partitions: ", sent, " in a delta over ", map.partitions.size()));
    }
  } else if (sent != 0 && sent != base::kPartitionCount) {
    return absl::InvalidArgumentError(
        absl::StrCat("partitions: ", sent, ", not ", base::kPartitionCount));
  } else {
    map.partitions.resize(sent);
  }
  std::vector<bool> seen(base::kPartitionCount);
  for (const v1::PartitionPlacement& entry : message.partitions()) {
    absl::StatusOr<Placement> placement = DecodeEntry(entry, map.members);
    if (!placement.ok()) return placement.status();
    if (seen[entry.partition()]) {
      return absl::InvalidArgumentError(absl::StrCat("partition ", entry.partition(), " twice"));
    }
    seen[entry.partition()] = true;
    map.partitions[entry.partition()] = *std::move(placement);
  }
  if (is_delta) {
    if (absl::Status status = CheckSeatsAreMembers(map); !status.ok()) return status;
  }
  return map;
}

v1::PartitionPlacement EncodePlacement(const PlacementMap& map, base::PartitionId partition,
                                       Nodes* nodes) {
  const Placement& placement = map.at(partition);
  Places places;
  for (int i = 0; i < nodes->size(); ++i) {
    places.emplace(base::Incarnation(nodes->Get(i).incarnation()), static_cast<uint32_t>(i));
  }
  for (const Seats* seats : {&placement.isr, &placement.learners}) {
    for (const base::Incarnation seat : *seats) {
      const Member* member = map.FindMember(seat);
      if (member == nullptr || places.contains(seat)) continue;
      places.emplace(seat, static_cast<uint32_t>(nodes->size()));
      EncodeMember(*member, nodes->Add());
    }
  }
  v1::PartitionPlacement out;
  EncodeEntry(partition, placement, places, &out);
  return out;
}

absl::StatusOr<DecodedPlacement> DecodePlacement(const v1::PartitionPlacement& message,
                                                 const Nodes& nodes) {
  absl::StatusOr<std::vector<Member>> members = DecodeMembers(nodes);
  if (!members.ok()) return members.status();
  absl::StatusOr<Placement> placement = DecodeEntry(message, *members);
  if (!placement.ok()) return placement.status();
  return DecodedPlacement{base::PartitionId(static_cast<uint16_t>(message.partition())),
                          *std::move(placement), *std::move(members)};
}

void AddressNodesFor(std::string_view listener, Nodes* nodes) {
  for (v1::Node& node : *nodes) {
    const std::string* address = nullptr;
    for (const v1::Listener& candidate : node.listeners()) {
      if (candidate.name() == listener) {
        address = &candidate.address();
        break;
      }
      if (candidate.name() == "client") address = &candidate.address();
    }
    if (address != nullptr) node.set_address(*address);
    node.clear_listeners();
  }
}

}  // namespace atoll::ring
