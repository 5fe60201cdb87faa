// The hash that places a key on the ring: a wire contract between nodes and clients of all
// versions.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/ids.h"

namespace atoll::base {

// XXH3-64, seed 0, over (u8 length of the namespace's name, the name, the key). `namespace_name`
// has at most 63 bytes, `key` at most 1,024. No allocation.
uint64_t HashKey(std::string_view namespace_name, std::string_view key);

// The partition of a hash: its top 12 bits.
inline PartitionId PartitionOfHash(uint64_t hash) {
  return PartitionId(static_cast<uint16_t>(hash >> (64 - kPartitionBits)));
}

}  // namespace atoll::base
