#include "server/store/shard.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <vector>

#include "tests/server/store/store_test_util.h"

namespace atoll::store {
namespace {

// One shard, of which nobody else knows.
class ShardTest : public testing::Test {
 protected:
  ShardTest() { shard_.Init(0, arena_.get(), &segments_); }

  // Fills a segment of the queue, which seals the one before it.
  SegmentId Fill(Queue queue, base::CacheSeconds expiry = 0)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard_.mu) {
    return shard_
        .Append(queue, TtlClassOf(expiry, kNow), arena_->segment_bytes(), expiry, kNow,
                /*from_reserve=*/false)
        .segment;
  }
  std::vector<SegmentId> WalkWarm() ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard_.mu) {
    std::vector<SegmentId> seen;
    for (Shard::Sealed at = shard_.WarmAt(); at.segment != kNoSegment; at = shard_.WarmAt()) {
      seen.push_back(at.segment);
      shard_.WarmNext();
    }
    return seen;
  }

  static constexpr base::CacheSeconds kNow = 1000;
  std::shared_ptr<Arena> arena_ = *Arena::Create(kMinMemoryBytes, 0);
  std::vector<SegmentInfo> segments_{arena_->segment_count()};
  Shard shard_;
};

TEST_F(ShardTest, AQueueGivesItsOldestFirstWhateverLeftItMeanwhile) {
  base::MutexLock lock(shard_.mu);
  std::mt19937_64 random(TestSeed());
  std::array<std::deque<SegmentId>, kQueues> expected;
  std::array<SegmentId, kQueues> open = {kNoSegment, kNoSegment};
  for (int i = 0; i < 20'000; ++i) {
    const size_t q = random() % kQueues;
    const auto queue = static_cast<Queue>(q);
    if (random() % 2 == 0) {
      const SegmentId filled = Fill(queue);
      if (filled == kNoSegment) continue;
      if (open[q] != kNoSegment) expected[q].push_back(open[q]);
      open[q] = filled;
    } else if (!expected[q].empty() && random() % 2 == 0) {
      const auto any = expected[q].begin() + static_cast<int64_t>(random() % expected[q].size());
      const SegmentId taken = *any;
      ASSERT_EQ(shard_.Take(taken).segment, taken);
      ASSERT_EQ(shard_.Take(taken).segment, kNoSegment) << "it is out already";
      expected[q].erase(any);
      if (random() % 2 == 0) {
        shard_.PutBack(taken);
        expected[q].push_back(taken);
      } else {
        shard_.Release(taken);
      }
    } else {
      const SegmentId oldest = shard_.TakeOldest(queue, /*seal_open=*/false).segment;
      ASSERT_EQ(oldest, expected[q].empty() ? kNoSegment : expected[q].front());
      if (oldest == kNoSegment) continue;
      expected[q].pop_front();
      shard_.Release(oldest);
    }
    ASSERT_EQ(shard_.SealedCount(), expected[0].size() + expected[1].size());
  }
}

TEST_F(ShardTest, AWalkPassesEachThatStays) {
  base::MutexLock lock(shard_.mu);
  std::vector<SegmentId> all;
  all.reserve(40);
  for (int i = 0; i < 40; ++i) all.push_back(Fill(static_cast<Queue>(i % 2)));
  std::vector<SegmentId> seen = WalkWarm();
  EXPECT_EQ(seen.size(), all.size());
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen, all);
  // Where the walk stands leaves, again and again: the walk goes on with the one behind.
  seen.clear();
  for (Shard::Sealed at = shard_.WarmAt(); at.segment != kNoSegment; at = shard_.WarmAt()) {
    seen.push_back(at.segment);
    if (shard_.Take(at.segment).segment == kNoSegment) shard_.WarmNext();
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen, all);
  EXPECT_EQ(shard_.SealedCount(), 0u);
}

TEST_F(ShardTest, WhatIsHalfDeadIsFoundUntilItIsFreed) {
  base::MutexLock lock(shard_.mu);
  const SegmentId first = Fill(Queue::kSmall);
  const SegmentId second = Fill(Queue::kSmall);
  const SegmentId third = Fill(Queue::kSmall);
  Fill(Queue::kSmall);
  for (const SegmentId id : {first, second, third, third}) {
    shard_.NoteHalfDead(id, segments_[id].generation.load());
  }
  // Freed since it was noted, and in use again: nobody's business.
  shard_.Take(second);
  shard_.Release(second);
  EXPECT_EQ(Fill(Queue::kMain), second);
  shard_.NoteHalfDead(second, segments_[second].generation.load() - 1);
  EXPECT_EQ(shard_.TakeHalfDead().segment, third);
  EXPECT_EQ(shard_.TakeHalfDead().segment, first);
  EXPECT_EQ(shard_.TakeHalfDead().segment, kNoSegment);
}

TEST_F(ShardTest, ExpiredSegmentsAreFoundInSteps) {
  base::MutexLock lock(shard_.mu);
  std::vector<SegmentId> expiring;
  for (int i = 0; i < 200; ++i) {
    const SegmentId id = Fill(Queue::kMain, /*expiry=*/i % 10 == 0 ? kNow + 60 : kNow + 800);
    if (i % 10 == 0) expiring.push_back(id);
  }
  std::vector<SegmentId> found;
  for (int steps = 0; steps < 1000; ++steps) {
    const SegmentId id = shard_.TakeExpired(kNow + 100, /*limit=*/7).segment;
    if (id != kNoSegment) found.push_back(id);
    if (id == kNoSegment && shard_.ExpiryWalkEnded()) break;
  }
  EXPECT_EQ(found, expiring);
}

}  // namespace
}  // namespace atoll::store
