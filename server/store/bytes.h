// Copying and comparing a few dozen bytes, of which every look-up does both: the library's
// functions are called by pointer and begin with a choice of ways, which takes longer than that.
#pragma once

#include <cstdint>
#include <cstring>

namespace atoll::store {

inline constexpr size_t kShortBytes = 256;

// As memcpy.
inline void CopyBytes(char* to, const char* from, size_t size) {
  constexpr size_t kStep = 16;
  if (size < kStep || size > kShortBytes) {
    std::memcpy(to, from, size);
    return;
  }
  const auto step = [&](size_t at) {
    char piece[kStep];
    std::memcpy(piece, from + at, kStep);
    std::memcpy(to + at, piece, kStep);
  };
  for (size_t at = 0; at + kStep <= size; at += kStep) step(at);
  step(size - kStep);  // what is left, and some of what is there already
}

inline bool EqualBytes(const char* a, const char* b, size_t size) {
  constexpr size_t kStep = sizeof(uint64_t);
  if (size < kStep || size > kShortBytes) return std::memcmp(a, b, size) == 0;
  const auto difference = [&](size_t at) {
    uint64_t of_a;
    uint64_t of_b;
    std::memcpy(&of_a, a + at, kStep);
    std::memcpy(&of_b, b + at, kStep);
    return of_a ^ of_b;
  };
  uint64_t any = difference(size - kStep);
  for (size_t at = 0; at + kStep <= size; at += kStep) any |= difference(at);
  return any == 0;
}

}  // namespace atoll::store
