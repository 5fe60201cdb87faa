// Copies of a few bytes, in line: most keys and heads have up to 32, of which the copy takes fewer
// instructions than the call of memcpy.
//
// Thread safety: pure function.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace atoll::base {

// Returns the end of the copy.
[[gnu::always_inline]] inline uint8_t* CopyBytes(std::string_view bytes, uint8_t* out) {
  const char* const from = bytes.data();
  const size_t size = bytes.size();
  // The first and the last so many, which overlap.
  const auto both_ends = [&]<typename Block>(Block first) {
    Block last;
    std::memcpy(&first, from, sizeof first);
    std::memcpy(&last, from + size - sizeof last, sizeof last);
    std::memcpy(out, &first, sizeof first);
    std::memcpy(out + size - sizeof last, &last, sizeof last);
  };
  if (size > 32) {
    std::memcpy(out, from, size);
  } else if (size >= 16) {
    both_ends(std::array<uint64_t, 2>());
  } else if (size >= 8) {
    both_ends(uint64_t{});
  } else if (size >= 4) {
    both_ends(uint32_t{});
  } else {
    for (size_t i = 0; i < size; ++i) out[i] = static_cast<uint8_t>(from[i]);
  }
  return out + size;
}

}  // namespace atoll::base
