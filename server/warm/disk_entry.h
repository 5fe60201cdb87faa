// An entry as RocksDB holds it: a header of 32 bytes, little endian, then the value.
//
//   0 format (1)   1 three bytes, zero   4 flags   8 version   16 key hash   24 expiry   28 max
//   idle
//
// Not protobuf: telling an entry's version must not cost a copy of its value.
//
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/types/span.h"
#include "server/store/store.h"

namespace atoll::warm {

inline constexpr size_t kDiskEntryHeaderBytes = 32;

struct DiskEntry {
  store::EntryMeta meta;
  uint64_t hash = 0;
  std::string_view value;  // into the record
};

std::string EncodeDiskEntry(const store::EntryMeta& meta, uint64_t hash,
                            absl::Span<const std::string_view> value);
// Nothing if it is too short or of another format.
std::optional<DiskEntry> DecodeDiskEntry(std::string_view record);

}  // namespace atoll::warm
