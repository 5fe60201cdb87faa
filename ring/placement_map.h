// The placement map: which node process is primary, in sync, or learning, for each partition.
//
// A map is immutable once it is shared (`std::shared_ptr<const PlacementMap>`); a new version
// replaces it. Seats name node processes by incarnation, so that a restarted node holds none.
//
// Thread safety: const access from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "atoll/v1/topology.pb.h"
#include "base/ids.h"

namespace atoll::ring {

inline constexpr int kMaxReplicationFactor = 3;
inline constexpr uint32_t kMaxWeight = 100;

enum class MemberState : uint8_t { kUp, kDraining, kLeaving, kDown };

struct MemberListener {
  std::string name;
  std::string address;
  friend bool operator==(const MemberListener&, const MemberListener&) = default;
};

// A node process that the map knows.
struct Member {
  std::string name;
  base::Incarnation incarnation;
  std::string zone;
  uint32_t weight = 1;  // 1-kMaxWeight
  MemberState state = MemberState::kUp;
  std::vector<MemberListener> listeners;
  // In a map handed to a client: where to reach the node. Empty between nodes, which use
  // `listeners`.
  std::string address;
  std::string program_version;
  friend bool operator==(const Member&, const Member&) = default;
};

using Seats = absl::InlinedVector<base::Incarnation, kMaxReplicationFactor>;

struct Placement {
  base::Epoch epoch;
  uint32_t isr_version = 0;   // raised at each change of isr or learners
  base::Incarnation primary;  // 0: nobody
  Seats isr;                  // the primary among them; kept when its members die
  Seats learners;
  uint64_t history = 0;
  uint32_t reset_epoch = 0;
  // Since Revive, until another copy is in sync: the process that left the copy on disk. For as
  // long as the node that was seated has not read it, it is worth as much as when the node was
  // seated.
  base::Incarnation revived_from;

  bool InIsr(base::Incarnation node) const;
  bool IsLearner(base::Incarnation node) const;
  friend bool operator==(const Placement&, const Placement&) = default;
};

struct PlacementMap {
  uint64_t version = 0;
  std::string cluster;
  std::string cluster_id;
  uint32_t replication_factor = 1;
  std::vector<Member> members;  // ordered by name, then incarnation
  std::vector<Placement>
      partitions;  // kPartitionCount of them, or none before the first assignment

  const Placement& at(base::PartitionId partition) const { return partitions[partition.value()]; }
  // nullptr if unknown. Linear in the number of members.
  const Member* FindMember(base::Incarnation incarnation) const;
  // The member of that name that is not kDown, else nullptr.
  const Member* FindLiveMember(std::string_view name) const;
  friend bool operator==(const PlacementMap&, const PlacementMap&) = default;
};

// A member as a message, with all its listeners.
void EncodeMember(const Member& member, v1::Node* out);
// INVALID_ARGUMENT names the field (incarnation 0, weight or state out of range).
absl::StatusOr<Member> DecodeMember(const v1::Node& node);

// The whole map as a message.
v1::PlacementMap EncodeMap(const PlacementMap& map);
// What changed since `base`, as a message. EncodeMap where that cannot be: `base` is nullptr, of
// version 0, newer, or of another cluster.
v1::PlacementMap EncodeDelta(const PlacementMap* base, const PlacementMap& map);
// INVALID_ARGUMENT names the field that does not hold together (an index out of range, a partition
// twice, a primary outside its ISR, ...). A delta needs `base` at exactly its `delta_from`:
// FAILED_PRECONDITION.
absl::StatusOr<PlacementMap> DecodeMap(const v1::PlacementMap& message, const PlacementMap* base);
// One partition's entry; the members that it names are added to `nodes` (each once), into which its
// seats point: for WRONG_OWNER and Explain.
v1::PartitionPlacement EncodePlacement(const PlacementMap& map, base::PartitionId partition,
                                       google::protobuf::RepeatedPtrField<v1::Node>* nodes);

// What EncodePlacement made.
struct DecodedPlacement {
  base::PartitionId partition;
  Placement placement;
  std::vector<Member> members;  // all of `nodes`
};
// INVALID_ARGUMENT as DecodeMap.
absl::StatusOr<DecodedPlacement> DecodePlacement(
    const v1::PartitionPlacement& message,
    const google::protobuf::RepeatedPtrField<v1::Node>& nodes);

// Makes encoded nodes fit for a client that came in by `listener`: sets `address` to that
// listener's
// (`client` where the node has no such listener) and clears `listeners`.
void AddressNodesFor(std::string_view listener,
                     google::protobuf::RepeatedPtrField<v1::Node>* nodes);

}  // namespace atoll::ring
