#include "server/warm/disk_entry.h"

#include <bit>
#include <cstring>

namespace atoll::warm {
namespace {

static_assert(std::endian::native == std::endian::little, "records are little endian");
constexpr char kFormat = 1;

template <typename Integer>
void Store(char* at, Integer value) {
  std::memcpy(at, &value, sizeof(value));
}

template <typename Integer>
Integer Load(const char* at) {
  Integer value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

}  // namespace

std::string EncodeDiskEntry(const store::EntryMeta& meta, uint64_t hash,
                            absl::Span<const std::string_view> value) {
  size_t size = kDiskEntryHeaderBytes;
  for (const std::string_view piece : value) {
    size += piece.size();
  }
  std::string record;
  record.reserve(size);
  record.resize(kDiskEntryHeaderBytes);
  record[0] = kFormat;
  Store<uint32_t>(&record[4], meta.flags);
  Store<uint64_t>(&record[8], meta.version.raw());
  Store<uint64_t>(&record[16], hash);
  Store<uint32_t>(&record[24], meta.expiry);
  Store<uint32_t>(&record[28], meta.max_idle);
  for (const std::string_view piece : value) {
    record.append(piece);
  }
  return record;
}

std::optional<DiskEntry> DecodeDiskEntry(std::string_view record) {
  if (record.size() < kDiskEntryHeaderBytes || record[0] != kFormat) {
    return std::nullopt;
  }
  DiskEntry entry;
  entry.meta.flags = Load<uint32_t>(&record[4]);
  entry.meta.version = base::Version(Load<uint64_t>(&record[8]));
  entry.hash = Load<uint64_t>(&record[16]);
  entry.meta.expiry = Load<uint32_t>(&record[24]);
  entry.meta.max_idle = Load<uint32_t>(&record[28]);
  entry.value = record.substr(kDiskEntryHeaderBytes);
  return entry;
}

}  // namespace atoll::warm
