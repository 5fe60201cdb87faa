// What nodes read back from RocksDB and etcd: any bytes are taken or refused, and what is taken
// comes back as it was.
//
// Input: a byte that says which record, then its bytes.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "atoll/internal/v1/storage.pb.h"
#include "ring/placement_map.h"
#include "server/cluster/descriptor.h"
#include "server/cluster/map_publisher.h"
#include "server/warm/disk_entry.h"
#include "server/warm/warm_db.h"
#include "tests/fuzz/fuzz.h"

namespace atoll {
namespace {

void CheckDiskEntry(std::string_view bytes) {
  const std::optional<warm::DiskEntry> entry = warm::DecodeDiskEntry(bytes);
  if (!entry.has_value()) return;
  const std::string again = warm::EncodeDiskEntry(entry->meta, entry->hash, {&entry->value, 1});
  FUZZ_EXPECT(again.size() == bytes.size());
  // Three bytes of the header say nothing.
  FUZZ_EXPECT(again[0] == bytes[0]);
  FUZZ_EXPECT(again.substr(4) == bytes.substr(4));
}

void CheckDiskKey(std::string_view bytes) {
  const warm::DiskKeyParts parts = warm::ParseDiskKey(bytes);
  if (bytes.size() < 4) return;
  const auto partition =
      static_cast<uint16_t>(static_cast<uint8_t>(bytes[0]) << 8 | static_cast<uint8_t>(bytes[1]));
  FUZZ_EXPECT(warm::DiskKey(base::PartitionId(partition), parts.ns, parts.key) == bytes);
}

void CheckDescriptor(std::string_view bytes) {
  internal::v1::NodeDescriptor descriptor;
  if (!descriptor.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  const ring::Member member = cluster::MemberOf(descriptor);
  FUZZ_EXPECT(member.state == ring::MemberState::kUp);
  cluster::PeerAddress(descriptor);
  for (const internal::v1::DiskCopies& copies : descriptor.disk_copies()) {
    const base::Incarnation left_by(copies.incarnation());
    FUZZ_EXPECT(cluster::HasDiskCopies(descriptor, left_by));
    for (uint32_t p = 0; p < base::kPartitionCount; p += 63) {
      cluster::HasDiskCopy(descriptor, left_by, base::PartitionId(static_cast<uint16_t>(p)));
    }
  }
}

void CheckMap(std::string_view bytes) {
  const absl::StatusOr<cluster::MapPtr> map = cluster::ParseMap(std::string(bytes));
  if (!map.ok()) return;
  const absl::StatusOr<cluster::MapPtr> again =
      cluster::ParseMap(ring::EncodeMap(**map).SerializeAsString());
  FUZZ_EXPECT(again.ok());
  FUZZ_EXPECT(**again == **map);
}

}  // namespace
}  // namespace atoll

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes = atoll::fuzz::AsBytes(data + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      atoll::CheckDiskEntry(bytes);
      break;
    case 1:
      atoll::CheckDiskKey(bytes);
      break;
    case 2:
      atoll::CheckDescriptor(bytes);
      break;
    default:
      atoll::CheckMap(bytes);
  }
  return 0;
}
