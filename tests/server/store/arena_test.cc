#include "server/store/arena.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <set>
#include <vector>

namespace atoll::store {
namespace {

constexpr uint64_t kMemory = uint64_t{64} << 20;
constexpr uint32_t kReserved = 4;

std::shared_ptr<Arena> NewArena() { return *Arena::Create(kMemory, kReserved); }

// Whether the first page of the segment has memory.
bool Resident(const Arena& arena, SegmentId id) {
  unsigned char page = 0;
  return mincore(arena.At(id), 1, &page) == 0 && (page & 1) != 0;
}

TEST(Arena, WhatCannotBeMappedIsAnErrorWithTheSize) {
  const auto arena = Arena::Create(uint64_t{1} << 60, kReserved);
  EXPECT_EQ(arena.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(arena.status().message()),
              testing::HasSubstr("memory: 1152921504606846976 bytes could not be mapped"));
}

TEST(Arena, APreparedSegmentNeedsNoFirstTouch) {
  const std::shared_ptr<Arena> arena = NewArena();
  int steps = 0;
  while (arena->Prepare()) ASSERT_LT(++steps, 100);
  std::vector<SegmentId> taken;
  const uint32_t huge = (2 << 20) / arena->segment_bytes();
  for (uint32_t i = 0; i < huge; ++i) taken.push_back(arena->Allocate(false));
  for (const SegmentId id : taken) EXPECT_TRUE(Resident(*arena, id)) << id;
  EXPECT_FALSE(Resident(*arena, arena->Allocate(false))) << "no more than is soon needed";
  EXPECT_TRUE(arena->UsedBytes() == uint64_t{huge + 1} * arena->segment_bytes())
      << "what is prepared is not in use";
}

// Less than a huge page is left of the budget: its segments are touched ahead all the same.
TEST(Arena, TheLastSegmentsThatThereIsRoomForArePreparedToo) {
  const std::shared_ptr<Arena> arena = NewArena();
  const uint32_t huge = (2 << 20) / arena->segment_bytes();
  const uint32_t room = huge + huge / 4;
  arena->Charge(int64_t{arena->segment_count() - room} * arena->segment_bytes());
  std::vector<SegmentId> taken;
  for (uint32_t i = 0; i < room - kReserved; ++i) {
    while (arena->Prepare()) {
    }
    taken.push_back(arena->Allocate(false));
    EXPECT_TRUE(Resident(*arena, taken.back())) << i;
  }
  EXPECT_EQ(arena->Allocate(false), kNoSegment);
  EXPECT_FALSE(arena->HasSurplus()) << "no more than there is room for";
}

// What went back to the kernel is touched before it is used again.
TEST(Arena, ReturnedSegmentsArePreparedAgain) {
  const std::shared_ptr<Arena> arena = NewArena();
  std::vector<SegmentId> all;
  for (SegmentId id = arena->Allocate(true); id != kNoSegment; id = arena->Allocate(true)) {
    arena->At(id)[0] = 1;
    all.push_back(id);
  }
  for (const SegmentId id : all) arena->Free(id);
  arena->Charge(static_cast<int64_t>(kMemory - arena->segment_bytes()));
  while (arena->ReturnSurplus()) {
  }
  arena->Charge(-static_cast<int64_t>(kMemory - arena->segment_bytes()));
  for (size_t i = 0; i < all.size(); ++i) {
    while (arena->Prepare()) {
    }
    EXPECT_TRUE(Resident(*arena, arena->Allocate(true))) << i;
  }
}

TEST(Arena, WhatIsChargedIsTakenFromTheSegmentsAndFromResidentMemory) {
  const std::shared_ptr<Arena> arena = NewArena();
  std::vector<SegmentId> all;
  for (SegmentId id = arena->Allocate(false); id != kNoSegment; id = arena->Allocate(false)) {
    arena->At(id)[0] = 1;
    all.push_back(id);
  }
  EXPECT_EQ(all.size(), arena->segment_count() - kReserved);
  EXPECT_EQ(arena->Available(), 0u);
  for (const SegmentId id : all) arena->Free(id);
  EXPECT_FALSE(arena->HasSurplus()) << "there is room for all that was touched";
  arena->Charge(kMemory / 2);
  EXPECT_TRUE(arena->HasSurplus());
  while (arena->ReturnSurplus()) {
  }
  EXPECT_FALSE(arena->HasSurplus());
  uint64_t resident = 0;
  for (const SegmentId id : all) resident += Resident(*arena, id) ? 1 : 0;
  EXPECT_EQ(resident, arena->segment_count() / 2);
  EXPECT_FALSE(arena->Prepare()) << "beyond the budget";
  // What went back can be had again, each once, within what is left.
  std::set<SegmentId> again;
  for (SegmentId id = arena->Allocate(false); id != kNoSegment; id = arena->Allocate(false)) {
    EXPECT_TRUE(again.insert(id).second) << id;
  }
  EXPECT_EQ(again.size(), arena->segment_count() / 2 - kReserved);
  EXPECT_LE(arena->UsedBytes(), kMemory);
}

}  // namespace
}  // namespace atoll::store
