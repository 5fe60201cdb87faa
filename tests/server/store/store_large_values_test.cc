// What store.h promises of large values: whole for as long as they are read, and no more of them
// than may be pinned.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "server/store/store.h"
#include "tests/server/store/store_test_util.h"

namespace atoll::store {
namespace {

using base::PartitionId;
using base::Version;

class StoreLargeValues : public OneStoreTest {
 protected:
  static constexpr size_t kMebibyte = size_t{1} << 20;
  void PutMebibyte(const std::string& name, uint64_t version) {
    EntryMeta meta = Meta(version);
    meta.flags = static_cast<uint32_t>(version);
    ASSERT_EQ(
        PutBytes(*store_, KeyIn(kPartition, name), meta, Pattern::Bytes(meta.flags, kMebibyte)),
        WriteResult::kApplied);
  }
};

TEST_F(StoreLargeValues, AReadKeepsItsLargeValueHoweverTheEntryChanges) {
  const std::string first(1 << 20, '1');
  Put("k", 1, first);
  const uint64_t copies = store_->Stats().large_value_copies;
  const Found found = Find("k");
  const Found again = Find("k");
  EXPECT_EQ(store_->Stats().large_value_copies, copies) << "reads copy nothing";
  EXPECT_EQ(found.value.pieces()[0].data(), again.value.pieces()[0].data());
  Put("k", 2, std::string(1 << 20, '2'));
  EXPECT_EQ(found.value.Flatten(), first);
  store_->Erase(KeyIn(kPartition, "k"), Version(3));
  EXPECT_GE(store_->Stats().pinned_bytes, first.size()) << "still charged";
  store_.reset();
  EXPECT_EQ(found.value.Flatten(), first) << "outlives the store";
}

TEST_F(StoreLargeValues, ALargeValueThatEndsGivesItsMemoryBackInSteps) {
  const std::string value(8 << 20, 'v');
  store_->SetCommitted(kPartition, Version(uint64_t{1} << 50));
  const uint64_t before = store_->Stats().memory_used_bytes;
  ASSERT_EQ(Put("large", 1, value), WriteResult::kApplied);
  store_->Erase(KeyIn(kPartition, "large"), Version(2));
  for (int i = 0; i < 1000 && store_->Maintain(); ++i) {
  }
  EXPECT_LT(store_->Stats().memory_used_bytes, before + value.size() / 4);
  // And nobody who needs it waits for housekeeping.
  for (uint64_t i = 0; i < 40; ++i) {
    ASSERT_EQ(Put("large", 3 + 2 * i, value), WriteResult::kApplied) << i;
    store_->Erase(KeyIn(kPartition, "large"), Version(4 + 2 * i));
  }
}

TEST_F(StoreLargeValues, PinnedValuesStayWhileTheRestIsEvicted) {
  std::vector<Found> held;
  uint64_t version = 0;
  for (int i = 0; i < 200; ++i) {
    ++version;
    EntryMeta meta = Meta(version);
    meta.flags = version;
    ASSERT_EQ(PutBytes(*store_, KeyIn(kPartition, std::to_string(i)), meta,
                       Pattern::Bytes(meta.flags, 1 << 20)),
              WriteResult::kApplied);
    store_->SetCommitted(kPartition, Version(version));
    if (i < 10) held.push_back(Find(std::to_string(i)));
    const StoreStats stats = store_->Stats();
    ASSERT_LE(stats.memory_used_bytes, stats.memory_limit_bytes);
  }
  for (const Found& found : held) {
    ASSERT_EQ(found.presence, Presence::kPresent);
    EXPECT_TRUE(Pattern::Matches(found.meta.flags, found.value));
  }
}

TEST_F(StoreLargeValues, NoMoreThanAQuarterOfMemoryIsPinned) {
  constexpr int kValues = 20;
  constexpr size_t kPinned = kMinMemoryBytes / 4 / kMebibyte;
  for (int i = 0; i < kValues; ++i) PutMebibyte(std::to_string(i), 1 + i);
  std::vector<Found> held;
  for (size_t i = 0; i < kPinned; ++i) held.push_back(Find(std::to_string(i)));
  for (const Found& found : held) {
    ASSERT_EQ(found.presence, Presence::kPresent);
    ASSERT_TRUE(Pattern::Matches(found.meta.flags, found.value));
  }
  EXPECT_EQ(store_->Stats().pinned_bytes, kPinned * kMebibyte);
  EXPECT_EQ(Find("0").presence, Presence::kPresent) << "pinned already";
  const std::string one_more = std::to_string(kPinned);
  for (const bool each : {false, true}) {
    SCOPED_TRACE(each);
    std::vector<Found> refused = {Find(one_more), Found()};
    const Key key = KeyIn(kPartition, one_more);
    FindMany(*store_, absl::MakeConstSpan(&key, 1), {}, each, buffer_,
             absl::MakeSpan(refused).subspan(1));
    for (const Found& found : refused) {
      EXPECT_EQ(found.presence, Presence::kPinLimit);
      EXPECT_EQ(found.meta.version, Version(1 + kPinned));
      EXPECT_EQ(found.meta.flags, 1 + kPinned);
      EXPECT_EQ(found.value_size, kMebibyte);
      EXPECT_EQ(found.value.size(), 0u);
      EXPECT_EQ(found.value.owner(), nullptr);
    }
  }
  const ScanChunk scanned = store_->Scan(kPartition, 0, {.max_bytes = uint64_t{kValues} << 20});
  ASSERT_EQ(scanned.entries.size(), static_cast<size_t>(kValues));
  for (const ScannedEntry& entry : scanned.entries) {
    EXPECT_EQ(entry.value_size, kMebibyte);
    EXPECT_EQ(entry.value.size(), entry.meta.version.raw() <= kPinned ? kMebibyte : 0);
  }
  EXPECT_EQ(Find(one_more, {.metadata_only = true}).presence, Presence::kPresent);
  EXPECT_EQ(store_->Stats().pinned_bytes, kPinned * kMebibyte) << "a refusal pins nothing";
  // Overwritten and deleted, they are held all the same.
  PutMebibyte("0", 100);
  store_->Erase(KeyIn(kPartition, "1"), Version(101));
  EXPECT_EQ(Find(one_more).presence, Presence::kPinLimit);
  // The scan holds the others, and that one is no copy.
  held.pop_back();
  EXPECT_EQ(Find(one_more).presence, Presence::kPinLimit);
}

TEST_F(StoreLargeValues, OneThatIsLetGoOfMakesRoomForTheNext) {
  for (int i = 0; i < 20; ++i) PutMebibyte(std::to_string(i), 1 + i);
  std::vector<Found> held;
  for (int i = 0; i < 20; ++i) {
    Found found = Find(std::to_string(i));
    if (found.presence == Presence::kPinLimit) {
      ASSERT_EQ(held.size(), 16u);
      held.erase(held.begin() + 3);
      found = Find(std::to_string(i));
    }
    ASSERT_EQ(found.presence, Presence::kPresent) << i;
    ASSERT_TRUE(Pattern::Matches(found.meta.flags, found.value));
    held.push_back(std::move(found));
  }
  EXPECT_EQ(held.size(), 16u);
  held.clear();
  EXPECT_EQ(store_->Stats().pinned_bytes, 0u);
}

TEST_F(StoreLargeValues, AValueAboveTheCapIsReadAlone) {
  EntryMeta meta = Meta(1);
  meta.flags = 1;
  constexpr size_t kLarger = kMinMemoryBytes / 4 + 1;
  ASSERT_EQ(PutBytes(*store_, KeyIn(kPartition, "huge"), meta, Pattern::Bytes(1, kLarger)),
            WriteResult::kApplied);
  PutMebibyte("k", 2);
  Found found = Find("huge");
  ASSERT_EQ(found.presence, Presence::kPresent);
  EXPECT_TRUE(Pattern::Matches(1, found.value));
  EXPECT_EQ(Find("k").presence, Presence::kPinLimit);
  found = Find("k");
  found = Found();
  found = Find("k");
  EXPECT_EQ(found.presence, Presence::kPresent);
  EXPECT_EQ(Find("huge").presence, Presence::kPinLimit);
}

// A reader holds what it found and goes through it slowly, as a stream does, while the keys get
// other values and their pages other owners.
TEST_F(StoreLargeValues, AValueOverwrittenWhileItIsStreamedIsNeverSeenInPart) {
  constexpr int kKeys = 4;
  const uint64_t seed = TestSeed();
  store_->SetCommitted(kPartition, Version(~uint64_t{0}));
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> streamed{0};
  const auto read = [&](uint64_t reader) {
    std::mt19937_64 random(seed + reader);
    ReadBuffer buffer;
    std::vector<Version> last(kKeys);
    while (!stop.load()) {
      const size_t k = random() % kKeys;
      const std::string name = std::to_string(k);
      const Found found = store_->Find(KeyIn(kPartition, name), {}, buffer);
      if (found.presence == Presence::kPinLimit) std::this_thread::yield();
      if (found.presence != Presence::kPresent) continue;
      EXPECT_GE(found.meta.version, last[k]) << "never an older one";
      last[k] = found.meta.version;
      EXPECT_GT(found.value_size, kMebibyte);
      EXPECT_EQ(found.value.size(), found.value_size);
      const std::string_view expected = Pattern::Bytes(found.meta.flags, found.value_size);
      size_t at = 0;
      for (std::string_view piece : found.value.pieces()) {
        while (!piece.empty()) {
          const std::string_view part = piece.substr(0, 256 << 10);
          ASSERT_EQ(part, expected.substr(at, part.size())) << found.meta.version << " " << at;
          at += part.size();
          piece.remove_prefix(part.size());
          std::this_thread::yield();
        }
      }
      ++streamed;
    }
  };
  std::thread one([&] { read(1); });
  std::thread other([&] { read(2); });
  std::mt19937_64 random(seed);
  // Until there were enough of both.
  for (uint64_t i = 1; i <= kOperations / 1000 || streamed.load() < 50; ++i) {
    const std::string name = std::to_string(random() % kKeys);
    if (random() % 20 == 0) {
      store_->Erase(KeyIn(kPartition, name), Version(i));
      continue;
    }
    EntryMeta meta = Meta(i);
    meta.flags = static_cast<uint32_t>(i);
    const size_t size = kMebibyte + 1 + random() % (3 * kMebibyte);
    ASSERT_EQ(PutBytes(*store_, KeyIn(kPartition, name), meta, Pattern::Bytes(meta.flags, size)),
              WriteResult::kApplied);
    if (i % 8 == 0) store_->Maintain();
  }
  stop = true;
  one.join();
  other.join();
}

}  // namespace
}  // namespace atoll::store
