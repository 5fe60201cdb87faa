// What store.h promises of deletions: how long they are remembered, and in how much memory.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/store/store.h"
#include "tests/server/store/store_test_util.h"

namespace atoll::store {
namespace {

using base::PartitionId;
using base::Version;

class StoreDeletions : public OneStoreTest {};

TEST_F(StoreDeletions, RemembersDeletionsUntilCommitted) {
  const Key key = KeyIn(kPartition, "k");
  Put("k", 5, "five");
  EXPECT_EQ(store_->Erase(key, Version(6)), WriteResult::kApplied);
  const Found found = Find("k");
  EXPECT_EQ(found.presence, Presence::kAbsent);
  EXPECT_EQ(found.meta.version, Version(6));
  EXPECT_EQ(Put("k", 6, "late"), WriteResult::kStale);
  EXPECT_EQ(store_->Erase(key, Version(6)), WriteResult::kStale);
  EXPECT_EQ(store_->Stats().tombstones, 1u);
  store_->SetCommitted(kPartition, Version(6));
  store_->Maintain();
  EXPECT_EQ(store_->Stats().tombstones, 0u);
  EXPECT_EQ(Find("k").meta.version, Version());
}

TEST_F(StoreDeletions, RetainsDeletionsWhileALearnerCopies) {
  store_->RetainTombstones(kPartition, true);
  EXPECT_EQ(store_->Erase(KeyIn(kPartition, "k"), Version(6)), WriteResult::kApplied);
  store_->SetCommitted(kPartition, Version(9));
  store_->Maintain();
  EXPECT_EQ(Put("k", 5, "of the snapshot"), WriteResult::kStale);
  store_->RetainTombstones(kPartition, false);
  EXPECT_EQ(store_->Stats().tombstones, 0u);
}

TEST_F(StoreDeletions, AKeyDeletedOverAndOverTakesNoMoreMemory) {
  store_->RetainTombstones(kPartition, true);
  uint64_t version = 0;
  const auto round = [&](int times) {
    for (int i = 0; i < times; ++i) {
      Put("k", ++version, "v");
      store_->Erase(KeyIn(kPartition, "k"), Version(++version));
      store_->SetCommitted(kPartition, Version(version));
    }
  };
  round(100);
  const uint64_t before = store_->Stats().index_bytes;
  round(static_cast<int>(kOperations / 2));
  EXPECT_EQ(store_->Stats().tombstones, 1u);
  EXPECT_EQ(store_->Stats().index_bytes, before);
  EXPECT_EQ(Put("k", 1, "of the snapshot"), WriteResult::kStale);
}

TEST_F(StoreDeletions, TombstonesOfAllPartitionsTakeAFiftiethOfMemory) {
  constexpr uint64_t most = kMinMemoryBytes / 50;
  constexpr int kPartitions = 256;
  for (const bool learners : {true, false}) {
    SCOPED_TRACE(learners ? "kept for learners" : "not committed");
    Open(kMinMemoryBytes);
    const uint64_t before = store_->Stats().index_bytes;
    for (int p = 0; p < kPartitions; ++p) {
      store_->OpenPartition(PartitionId(p));
      store_->RetainTombstones(PartitionId(p), learners);
    }
    for (uint64_t i = 1; i <= 1500; ++i) {
      const std::string name = std::to_string(i);
      for (int p = 0; p < kPartitions; ++p) {
        const PartitionId partition(p);
        ASSERT_EQ(store_->Erase(KeyIn(partition, name), Version(i)), WriteResult::kApplied);
        if (learners) store_->SetCommitted(partition, Version(i));
      }
    }
    const StoreStats stats = store_->Stats();
    EXPECT_LE(stats.index_bytes - before, learners ? most / 2 : most);
    EXPECT_GE(stats.index_bytes - before, most / 4) << "and may be used";
    EXPECT_GE(stats.tombstones, (stats.index_bytes - before) / 48);
    // All goes when it is not wanted any more.
    for (int p = 0; p < kPartitions; ++p) {
      store_->RetainTombstones(PartitionId(p), false);
      store_->SetCommitted(PartitionId(p), Version(1500));
    }
    EXPECT_EQ(store_->Stats().tombstones, 0u);
    EXPECT_EQ(store_->Stats().index_bytes, before);
  }
}

// R4: an absence that is not committed is never taken for one that is, however many there are.
TEST_F(StoreDeletions, DeletionsBeyondTheBoundStillWaitForTheirCommit) {
  constexpr uint64_t kDeleted = 5000;
  const auto name = [](uint64_t i) { return "k" + std::to_string(i); };
  for (uint64_t i = 1; i <= kDeleted; ++i) {
    ASSERT_EQ(store_->Erase(KeyIn(kPartition, name(i)), Version(i)), WriteResult::kApplied);
  }
  ASSERT_LT(store_->Stats().tombstones, kDeleted) << "or nothing was tried";
  for (uint64_t i = 1; i <= kDeleted; ++i) {
    const Version seen = Find(name(i)).meta.version;
    ASSERT_GE(seen, Version(i));
    ASSERT_LE(seen, Version(kDeleted));
    ASSERT_EQ(Put(name(i), i, "outdated"), WriteResult::kStale) << i;
  }
  EXPECT_EQ(Put(name(1), kDeleted + 1, "new"), WriteResult::kApplied);
  EXPECT_EQ(Get(name(1)), "new");
  store_->SetCommitted(kPartition, Version(kDeleted));
  for (uint64_t i = 2; i <= kDeleted; ++i) {
    ASSERT_EQ(Find(name(i)).meta.version, Version());
  }
}

// What a copy brings is older than deletions that came with it, of other keys.
TEST_F(StoreDeletions, DeletionsBeyondTheBoundKeepNothingFromALearner) {
  store_->RetainTombstones(kPartition, true);
  for (uint64_t i = 1; i <= 5000; ++i) {
    store_->Erase(KeyIn(kPartition, std::to_string(i)), Version(1000 + i));
  }
  ASSERT_LT(store_->Stats().tombstones, 5000u) << "or nothing was tried";
  EXPECT_EQ(Put("copied", 7, "v"), WriteResult::kApplied);
  EXPECT_EQ(Get("copied"), "v");
}

}  // namespace
}  // namespace atoll::store
