// Copying and comparing a few dozen bytes, of which every look-up does both: the library's
// functions are called by pointer and begin with a choice of ways, which takes longer than that.
#pragma once

#include <cstdint>
#include <cstring>

namespace atoll::store {

inline constexpr size_t kShortBytes = 256;

// As memcpy. What is left at the end is copied with some of what is there already.
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
  if (size > 2 * kStep) {
    for (size_t at = 0; at + 2 * kStep < size; at += 2 * kStep) {
      step(at);
      step(at + kStep);
    }
    step(size - 2 * kStep);
  } else {
    step(0);
  }
  step(size - kStep);
}

inline bool EqualBytes(const char* a, const char* b, size_t size) {
  constexpr size_t kWord = sizeof(uint64_t);
  if (size < kWord || size > kShortBytes) return std::memcmp(a, b, size) == 0;
  const auto difference = [&](size_t at) {
    uint64_t of_a;
    uint64_t of_b;
    std::memcpy(&of_a, a + at, kWord);
    std::memcpy(&of_b, b + at, kWord);
    return of_a ^ of_b;
  };
  uint64_t any = difference(0) | difference(size - kWord);
  if (size > 2 * kWord) {
    any |= difference(kWord) | difference(size - 2 * kWord);
    for (size_t at = 2 * kWord; at + 2 * kWord < size; at += kWord) any |= difference(at);
  }
  return any == 0;
}

}  // namespace atoll::store
