#include "rpc/wire/arena.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>

namespace atoll::wire {
namespace {

bool Aligned(const void* place) { return reinterpret_cast<uintptr_t>(place) % 8 == 0; }

// Every way for a block to end: room for the array and its padding, for the array alone, for
// neither.
TEST(Arena, AnArrayIsAlignedWhateverWasTakenBeforeIt) {
  constexpr size_t kBlock =
      2001;  // kept from a message whose last piece was as long: it ends unaligned
  constexpr size_t kCount = 4;
  for (size_t before = 0; before <= kBlock; ++before) {
    Arena arena;
    arena.Bytes(kBlock);
    arena.Reset();
    arena.Bytes(before);
    ASSERT_TRUE(Aligned(arena.Array<uint64_t>(kCount))) << "after " << before << " bytes";
  }
}

TEST(Arena, WhatIsTakenDoesNotOverlap) {
  Arena arena;
  const char* const end_of_bytes = arena.Bytes(3) + 3;
  const auto* const first = arena.Array<uint64_t>(2);
  const char* const bytes = arena.Bytes(1);
  EXPECT_GE(reinterpret_cast<const char*>(first), end_of_bytes);
  EXPECT_GE(bytes, reinterpret_cast<const char*>(first + 2));
}

}  // namespace
}  // namespace atoll::wire
