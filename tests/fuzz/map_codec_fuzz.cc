// ring's codec of placement maps: whatever it takes comes back equal from what it writes, whole and
// as a delta, and nothing that it is given makes it fail but with a status.
//
// Input: a byte of options, then a PlacementMap message. A whole map needs all 4096 partitions,
// more than a fuzzer makes: with option 1 the message's partitions are repeated until all are
// there.
#include <utility>

#include "ring/placement_map.h"
#include "tests/fuzz/fuzz.h"

namespace atoll::ring {
namespace {

constexpr size_t kMaxListed = 64;  // partitions in an input; more only make it slow

PlacementMap MakeBase() {
  PlacementMap map{.version = 7, .cluster = "atoll", .cluster_id = "c", .replication_factor = 2};
  for (uint64_t i = 0; i < 3; ++i) {
    map.members.push_back({.name = std::string(1, static_cast<char>('a' + i)),
                           .incarnation = base::Incarnation(i + 1),
                           .listeners = {{"client", "h:1"}, {"peer", "h:2"}}});
  }
  for (uint32_t p = 0; p < base::kPartitionCount; ++p) {
    const base::Incarnation first(p % 3 + 1);
    const base::Incarnation second((p + 1) % 3 + 1);
    map.partitions.push_back({.epoch = base::Epoch(1),
                              .isr_version = 1,
                              .primary = first,
                              .isr = {first, second},
                              .history = p + 1});
  }
  return map;
}

void FillUp(v1::PlacementMap& message) {
  const int listed = message.partitions_size();
  for (int p = 0; listed > 0 && p < static_cast<int>(base::kPartitionCount); ++p) {
    if (p >= listed) *message.add_partitions() = message.partitions(p % listed);
    message.mutable_partitions(p)->set_partition(static_cast<uint32_t>(p));
  }
}

void CheckWhole(const PlacementMap& map) {
  const absl::StatusOr<PlacementMap> again = DecodeMap(EncodeMap(map), nullptr);
  FUZZ_EXPECT(again.ok());
  FUZZ_EXPECT(*again == map);
}

void CheckDelta(const PlacementMap& base, const PlacementMap& map) {
  const absl::StatusOr<PlacementMap> again = DecodeMap(EncodeDelta(&base, map), &base);
  FUZZ_EXPECT(again.ok());
  FUZZ_EXPECT(*again == map);
}

void CheckEntries(const v1::PlacementMap& message) {
  for (const v1::PartitionPlacement& entry : message.partitions()) {
    const absl::StatusOr<DecodedPlacement> decoded = DecodePlacement(entry, message.nodes());
    if (!decoded.ok()) continue;
    FUZZ_EXPECT(decoded->partition.value() < base::kPartitionCount);
    FUZZ_EXPECT(decoded->members.size() == static_cast<size_t>(message.nodes_size()));
  }
}

}  // namespace
}  // namespace atoll::ring

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace atoll;  // NOLINT(google-build-using-namespace): this function alone
  static const auto& base = *new ring::PlacementMap(ring::MakeBase());
  if (size == 0) return 0;
  v1::PlacementMap message;
  if (!message.ParseFromArray(data + 1, static_cast<int>(size - 1))) return 0;
  if (static_cast<size_t>(message.partitions_size()) > ring::kMaxListed) return 0;
  ring::CheckEntries(message);
  if ((data[0] & 1) != 0) ring::FillUp(message);
  for (const ring::PlacementMap* given : {static_cast<const ring::PlacementMap*>(nullptr), &base}) {
    const absl::StatusOr<ring::PlacementMap> map = ring::DecodeMap(message, given);
    if (!map.ok()) continue;
    ring::CheckWhole(*map);
    ring::CheckDelta(base, *map);
  }
  return 0;
}
