#include "base/hash.h"

#define XXH_INLINE_ALL  // Inlined: a key costs a few nanoseconds, the call would be a third of it.
#include <xxhash.h>

#include <algorithm>
#include <array>

#include "base/copy.h"

namespace atoll::base {

uint64_t HashKey(std::string_view namespace_name, std::string_view key) {
  // Longest valid input: 1 + 63 + 1,024. Anything longer is hashed in a stream, with the same
  // result.
  std::array<uint8_t, 1 + 63 + 1024> buffer;
  const size_t size = 1 + namespace_name.size() + key.size();
  const auto length = static_cast<unsigned char>(std::min<size_t>(namespace_name.size(), 255));
  if (size <= buffer.size()) {
    buffer[0] = length;
    CopyBytes(key, CopyBytes(namespace_name, buffer.data() + 1));
    return XXH3_64bits(buffer.data(), size);
  }
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  XXH3_64bits_update(&state, &length, 1);
  XXH3_64bits_update(&state, namespace_name.data(), namespace_name.size());
  XXH3_64bits_update(&state, key.data(), key.size());
  return XXH3_64bits_digest(&state);
}

}  // namespace atoll::base
