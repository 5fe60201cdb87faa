#include "server/store/index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "tests/server/store/store_test_util.h"

namespace atoll::store {
namespace {

constexpr uint32_t kTags = 1u << Slot::kTagBits;

class IndexTest : public testing::Test {
 protected:
  IndexTest() { index_.SetPool(&pool_); }

  static uint64_t HashOf(uint32_t tag) { return uint64_t{tag} << 30; }
  // Every entry is its number as a segment.
  bool Insert(uint32_t tag) {
    const auto number = static_cast<SegmentId>(tags_.size());
    if (!index_.Insert(HashOf(tag), Slot(tag, 0, number, 0))) return false;
    tags_.push_back(tag);
    return true;
  }
  Slot* Find(SegmentId number) {
    return index_.Find(HashOf(tags_[number]),
                       [&](const Slot& slot) { return slot.segment() == number; });
  }
  void CheckAll(SegmentId first) {
    absl::flat_hash_set<SegmentId> seen;
    std::vector<Slot*> slots;
    for (uint32_t tag = 0; tag < kTags;) {
      slots.clear();
      tag = index_.SlotsFrom(tag, &slots);
      for (const Slot* const slot : slots) EXPECT_TRUE(seen.insert(slot->segment()).second);
    }
    EXPECT_EQ(seen.size(), tags_.size() - first);
    EXPECT_EQ(index_.size(), tags_.size() - first);
    for (SegmentId number = 0; number < tags_.size(); ++number) {
      const Slot* const slot = Find(number);
      ASSERT_EQ(slot != nullptr, number >= first) << number << " of tag " << tags_[number];
      ASSERT_TRUE(slot == nullptr || slot->tag() == tags_[number]);
    }
  }

  std::mt19937_64 random_{TestSeed()};
  std::shared_ptr<Arena> arena_ = *Arena::Create(kMinMemoryBytes, 0);
  ExtentPool pool_{arena_.get()};
  Index index_;
  std::vector<uint32_t> tags_;
};

TEST_F(IndexTest, HoldsWhatWasInserted) {
  for (int i = 0; i < 300'000; ++i) {
    ASSERT_TRUE(Insert(static_cast<uint32_t>(random_() % kTags)));
    if (i == 100 || i == 10'000) CheckAll(0);
    if (i > 10'000) {
      const auto bytes = static_cast<double>(index_.pool_bytes() + index_.heap_bytes());
      ASSERT_LE(bytes / i, 10.6) << i;
    }
  }
  CheckAll(0);
  // What is erased leaves room behind: extents are built anew, and no longer.
  const int64_t before = index_.pool_bytes();
  for (SegmentId erased = 0; erased < 300'000; ++erased) {
    index_.Erase(Find(erased));
    ASSERT_TRUE(Insert(static_cast<uint32_t>(random_() % kTags)));
  }
  CheckAll(300'000);
  EXPECT_LE(index_.pool_bytes(), before * 6 / 5);
  index_.Clear();
  EXPECT_EQ(index_.pool_bytes() + index_.heap_bytes(), 0);
}

// Places that lie together, at the end of an extent and of the range too: what passes the last
// bucket lies in the first ones.
TEST_F(IndexTest, HoldsTagsThatLieTogether) {
  for (const uint32_t from : {kTags - 3000, kTags / 2 - 1500, 0u}) {
    for (uint32_t i = 0; i < 3000; ++i) ASSERT_TRUE(Insert(from + i));
    for (uint32_t i = 0; i < 100; ++i) ASSERT_TRUE(Insert(from + 2999));
    CheckAll(0);
  }
}

// An extent that grew bit by bit until there was a place for what comes, or was split only then,
// was built up to eight times in one insert, under one lock.
TEST_F(IndexTest, AnInsertBuildsAnExtentOnce) {
  uint64_t most = 0;
  for (int i = 0; i < 60'000; ++i) {
    // Mostly in clusters, of which a slot's neighbourhood is full at any size of its extent.
    const uint32_t cluster = static_cast<uint32_t>(random_() % 200) * (kTags / 200);
    const uint32_t tag = cluster + static_cast<uint32_t>(random_() % (i % 10 == 0 ? 20'000 : 300));
    const uint64_t before = pool_.Allocations();
    ASSERT_TRUE(Insert(tag % kTags));
    most = std::max(most, pool_.Allocations() - before);
  }
  EXPECT_EQ(most, 3u) << "two halves of a split, and a directory";
  CheckAll(0);
}

TEST_F(IndexTest, RefusesMoreEqualTagsThanAnExtentHolds) {
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(Insert(static_cast<uint32_t>(random_() % kTags)));
  const SegmentId others = static_cast<SegmentId>(tags_.size());
  while (Insert(kTags - 1)) ASSERT_LT(tags_.size(), others + 1000);
  EXPECT_GE(tags_.size(), others + 200);
  CheckAll(0);
}

// Thousands of places: one that lies together with others makes many splits.
TEST_F(IndexTest, ADirectoryTooLongForThePoolLiesOnTheHeap) {
  for (uint32_t i = 0; i < 3000; ++i) ASSERT_TRUE(Insert(i));
  EXPECT_GT(index_.heap_bytes(), 0);
  CheckAll(0);
}

TEST_F(IndexTest, WithoutRoomNothingIsLost) {
  std::vector<std::pair<void*, uint32_t>> taken;
  for (uint32_t lines = ExtentPool::kMaxLines; lines > 0; --lines) {
    while (void* const at = pool_.Allocate(lines)) taken.emplace_back(at, lines);
  }
  ASSERT_GT(taken.size(), 16u);
  for (int i = 0; i < 16; ++i) pool_.Free(taken[i].first, taken[i].second);
  while (Insert(static_cast<uint32_t>(random_() % kTags))) ASSERT_LT(tags_.size(), 10'000);
  EXPECT_GT(tags_.size(), 1000u);
  CheckAll(0);
  index_.Clear();
  for (size_t i = 16; i < taken.size(); ++i) pool_.Free(taken[i].first, taken[i].second);
  EXPECT_EQ(arena_->UsedBytes(), 0u);
}

}  // namespace
}  // namespace atoll::store
