// What store.h promises, one sentence a test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "server/store/store.h"
#include "tests/server/store/store_test_util.h"

namespace atoll::store {
namespace {

using base::NamespaceId;
using base::PartitionId;
using base::Version;

class RecordingSink final : public WarmSink {
 public:
  void OfferWarm(const ScannedEntry& entry) override {
    offered.insert(std::string(entry.key));
    values_right = values_right && entry.value.Flatten() == "value of " + std::string(entry.key);
  }
  std::multiset<std::string> offered;
  bool values_right = true;
};

class StoreContract : public OneStoreTest {};

TEST_F(StoreContract, RefusesOptionsByName) {
  const auto message = [](StoreOptions options) {
    return std::string(Store::Create(options).status().message());
  };
  EXPECT_THAT(message({.memory_bytes = 1 << 20, .clock = &clock_}),
              testing::HasSubstr("memory: 1048576 bytes, minimum 67108864"));
  EXPECT_THAT(message({.cores = 0, .clock = &clock_}), testing::HasSubstr("cores"));
  EXPECT_THAT(message({}), testing::HasSubstr("clock"));
}

TEST_F(StoreContract, FindsWhatWasPut) {
  EntryMeta meta = Meta(7);
  meta.flags = 0xdeadbeef;
  meta.expiry = In(absl::Hours(1));
  meta.max_idle = 900;
  EXPECT_EQ(PutBytes(*store_, KeyIn(kPartition, "k"), meta, "value"), WriteResult::kApplied);
  const Found found = Find("k");
  ASSERT_EQ(found.presence, Presence::kPresent);
  EXPECT_EQ(found.meta.version, Version(7));
  EXPECT_EQ(found.meta.flags, 0xdeadbeef);
  EXPECT_EQ(found.meta.expiry, meta.expiry);
  EXPECT_EQ(found.meta.max_idle, 900u);
  EXPECT_EQ(found.value_size, 5u);
  EXPECT_EQ(found.value.Flatten(), "value");
  EXPECT_EQ(Get("other"), "-");
}

TEST_F(StoreContract, AValueOfNoLengthIsAValue) {
  EXPECT_EQ(store_->Put(KeyIn(kPartition, "k"), Meta(1), {}), WriteResult::kApplied);
  const Found found = Find("k");
  EXPECT_EQ(found.presence, Presence::kPresent);
  EXPECT_EQ(found.value_size, 0u);
  EXPECT_EQ(found.value.size(), 0u);
}

TEST_F(StoreContract, JoinsThePiecesOfAValue) {
  const std::string large(20'000, 'x');
  const std::vector<std::string_view> pieces = {"ab", "", "c", large};
  EXPECT_EQ(store_->Put(KeyIn(kPartition, "k"), Meta(1), pieces), WriteResult::kApplied);
  EXPECT_EQ(Get("k"), "abc" + large);
  EXPECT_EQ(store_->Put(KeyIn(kPartition, "k"), Meta(2), absl::MakeSpan(pieces).subspan(0, 3)),
            WriteResult::kApplied);
  EXPECT_EQ(Get("k"), "abc");
}

TEST_F(StoreContract, HoldsKeysAndValuesOfEverySizeAllowed) {
  Open(uint64_t{640} << 20);
  uint64_t version = 0;
  for (const size_t key_size : {size_t{1}, size_t{2}, size_t{1023}, kMaxKeyBytes}) {
    for (const size_t size :
         {size_t{0}, size_t{1}, size_t{7}, size_t{8}, size_t{8191}, size_t{8192}, size_t{8193},
          size_t{65535}, size_t{65536}, size_t{65537}, size_t{1} << 20, (size_t{20} << 20) + 3}) {
      const std::string key(key_size, 'k');
      ++version;
      EntryMeta meta = Meta(version);
      meta.flags = static_cast<uint32_t>(version);
      ASSERT_EQ(PutBytes(*store_, KeyIn(kPartition, key), meta, Pattern::Bytes(meta.flags, size)),
                WriteResult::kApplied)
          << key_size << " " << size;
      const Found found = Find(key);
      ASSERT_EQ(found.presence, Presence::kPresent);
      EXPECT_EQ(found.value.size(), size);
      EXPECT_TRUE(Pattern::Matches(meta.flags, found.value)) << key_size << " " << size;
    }
  }
  const std::string large(kMaxValueBytes, 'v');
  EXPECT_EQ(Put("max", ++version, large), WriteResult::kApplied);
  EXPECT_EQ(Get("max"), large);
}

TEST_F(StoreContract, TellsNamespacesApart) {
  Key a = KeyIn(kPartition, "k", NamespaceId(1));
  Key b = a;
  b.ns = NamespaceId(2);
  EXPECT_EQ(PutBytes(*store_, a, Meta(1), "a"), WriteResult::kApplied);
  EXPECT_EQ(PutBytes(*store_, b, Meta(2), "b"), WriteResult::kApplied);
  EXPECT_EQ(store_->Find(a, {}, buffer_).value.Flatten(), "a");
  EXPECT_EQ(store_->Find(b, {}, buffer_).value.Flatten(), "b");
}

TEST_F(StoreContract, TellsKeysOfEqualHashApart) {
  for (int i = 0; i < 40; ++i) {
    const std::string name = std::to_string(i);
    Key key{NamespaceId(1), name, uint64_t{5} << 52 | 99};
    EXPECT_EQ(PutBytes(*store_, key, Meta(1 + i), name), WriteResult::kApplied);
  }
  for (int i = 0; i < 40; ++i) {
    const std::string name = std::to_string(i);
    Key key{NamespaceId(1), name, uint64_t{5} << 52 | 99};
    EXPECT_EQ(store_->Find(key, {}, buffer_).value.Flatten(), name);
  }
  const ScanChunk chunk = store_->Scan(kPartition, 0, {.max_entries = 4});
  EXPECT_EQ(chunk.entries.size(), 40u) << "the cursor cannot stop between equal hashes";
  EXPECT_TRUE(chunk.done);
}

TEST_F(StoreContract, TheHighestVersionStays) {
  EXPECT_EQ(Put("k", 5, "five"), WriteResult::kApplied);
  EXPECT_EQ(Put("k", 5, "again"), WriteResult::kStale);
  EXPECT_EQ(Put("k", 4, "four"), WriteResult::kStale);
  EXPECT_EQ(store_->Erase(KeyIn(kPartition, "k"), Version(5)), WriteResult::kStale);
  EXPECT_EQ(store_->Touch(KeyIn(kPartition, "k"), Version(5), 0, 0), WriteResult::kStale);
  EXPECT_EQ(Get("k"), "five");
  EXPECT_EQ(Put("k", 6, "six"), WriteResult::kApplied);
  EXPECT_EQ(Get("k"), "six");
}

TEST_F(StoreContract, ARefusalLeavesTheEntryAsItWas) {
  const std::string large(kInlineValueBytes + 1, 'l');
  for (const std::string& value : {std::string("value"), large}) {
    SCOPED_TRACE(value.size());
    const Key key = KeyIn(kPartition, value.size() == 5 ? "small" : "large");
    EntryMeta meta = Meta(9);
    meta.flags = 0xabcd;
    meta.expiry = In(absl::Hours(1));
    meta.max_idle = 600;
    ASSERT_EQ(PutBytes(*store_, key, meta, value), WriteResult::kApplied);
    const auto expect_unchanged = [&] {
      for (const bool each : {false, true}) {
        std::vector<Found> found(1);
        FindMany(*store_, absl::MakeConstSpan(&key, 1), {}, each, buffer_, absl::MakeSpan(found));
        ASSERT_EQ(found[0].presence, Presence::kPresent);
        EXPECT_EQ(found[0].meta.version, Version(9));
        EXPECT_EQ(found[0].meta.flags, 0xabcd);
        EXPECT_EQ(found[0].meta.expiry, meta.expiry);
        EXPECT_EQ(found[0].meta.max_idle, 600u);
        EXPECT_EQ(found[0].value.Flatten(), value);
      }
      EXPECT_EQ(store_->Stats().tombstones, 0u);
    };
    for (const uint64_t version : {uint64_t{9}, uint64_t{8}, uint64_t{1}}) {
      SCOPED_TRACE(version);
      for (const std::string& other : {std::string("other"), std::string(7, 'o'), large + "o"}) {
        EXPECT_EQ(PutBytes(*store_, key, Meta(version), other), WriteResult::kStale);
        expect_unchanged();
      }
      EXPECT_EQ(store_->Erase(key, Version(version)), WriteResult::kStale);
      expect_unchanged();
      EXPECT_EQ(store_->Touch(key, Version(version), In(absl::Seconds(1)), 1), WriteResult::kStale);
      expect_unchanged();
    }
    const NamespaceId other_ns(2);
    store_->Flush(kPartition, other_ns, Version(20));
    EXPECT_EQ(PutBytes(*store_, KeyIn(kPartition, key.key, other_ns), Meta(10), "flushed"),
              WriteResult::kStale);
    expect_unchanged();
  }
}

TEST_F(StoreContract, TouchKeepsTheValue) {
  const Key key = KeyIn(kPartition, "k");
  const std::string large(100'000, 'l');
  Put("k", 1, "small");
  Put("large", 2, large);
  EXPECT_EQ(store_->Touch(key, Version(3), In(absl::Minutes(1)), 30), WriteResult::kApplied);
  EXPECT_EQ(store_->Touch(KeyIn(kPartition, "large"), Version(4), In(absl::Minutes(1)), 0),
            WriteResult::kApplied);
  EXPECT_EQ(Get("k"), "small");
  EXPECT_EQ(Find("k").meta.version, Version(3));
  EXPECT_EQ(Find("k").meta.max_idle, 30u);
  EXPECT_EQ(Get("large"), large);
  clock_.Advance(absl::Minutes(1));
  EXPECT_EQ(Get("k"), "-");
  EXPECT_EQ(Get("large"), "-");
}

TEST_F(StoreContract, TouchOfNothingIsRemembered) {
  EXPECT_EQ(store_->Touch(KeyIn(kPartition, "k"), Version(3), 0, 0), WriteResult::kApplied);
  EXPECT_EQ(Put("k", 2, "older"), WriteResult::kStale);
  EXPECT_EQ(Put("k", 4, "newer"), WriteResult::kApplied);
}

TEST_F(StoreContract, ExpiresOnRead) {
  EntryMeta meta = Meta(1);
  meta.expiry = In(absl::Seconds(10));
  PutBytes(*store_, KeyIn(kPartition, "k"), meta, "v");
  clock_.Advance(absl::Seconds(9));
  EXPECT_EQ(Get("k"), "v");
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(Get("k"), "-");
  EXPECT_TRUE(store_->Scan(kPartition, 0, {}).entries.empty());
}

TEST_F(StoreContract, ExpiresWithoutReads) {
  for (int i = 0; i < 20'000; ++i) {
    EntryMeta meta = Meta(i + 1);
    meta.expiry = In(absl::Seconds(10 + i % 50));
    PutBytes(*store_, KeyIn(kPartition, "k" + std::to_string(i)), meta, std::string(200, 'v'));
  }
  store_->SetCommitted(kPartition, Version(1'000'000));
  clock_.Advance(absl::Hours(24));
  MaintainAll();
  EXPECT_LE(store_->Stats().items, 20'000u / 20) << "at most 5% expired entries stay";
}

TEST_F(StoreContract, ExpiresByIdleTimeOnlyWhereAsked) {
  EntryMeta meta = Meta(1);
  meta.max_idle = 160;
  PutBytes(*store_, KeyIn(kPartition, "k"), meta, "v");
  for (int i = 0; i < 5; ++i) {
    clock_.Advance(absl::Seconds(140));
    EXPECT_EQ(Get("k"), "v") << "reads restart it";
  }
  clock_.Advance(absl::Seconds(160));
  EXPECT_EQ(Get("k", {.touch = false, .enforce_idle = false}), "v");
  EXPECT_EQ(Get("k"), "-");
}

TEST_F(StoreContract, ReadsThatDoNotTouchAreNotCounted) {
  Put("k", 1, "v");
  Get("k", {.touch = false});
  Get("x", {.touch = false});
  EXPECT_EQ(store_->Stats().hits, 0u);
  EXPECT_EQ(store_->Stats().misses, 0u);
  Get("k");
  Get("x");
  EXPECT_EQ(store_->Stats().hits, 1u);
  EXPECT_EQ(store_->Stats().misses, 1u);
}

TEST_F(StoreContract, MetadataOnlyLeavesTheValue) {
  Put("k", 1, "value");
  const Found found = Find("k", {.metadata_only = true});
  EXPECT_EQ(found.presence, Presence::kPresent);
  EXPECT_EQ(found.value_size, 5u);
  EXPECT_EQ(found.value.size(), 0u);
}

TEST_F(StoreContract, MaintainComesToRest) {
  RecordingSink sink;
  store_->SetWarmSink(&sink);
  for (int i = 0; i < 5000; ++i) Put("k" + std::to_string(i), i + 1, std::string(1000, 'x'));
  for (int second = 0; second < 200; ++second) {
    clock_.Advance(absl::Seconds(1));
    int slices = 0;
    while (store_->Maintain()) ASSERT_LT(++slices, 2000) << "the node's thread would spin";
  }
  store_->SetWarmSink(nullptr);
}

TEST_F(StoreContract, FlushHidesWhatIsOlder) {
  Put("old", 1, "1");
  Put("new", 9, "9");
  Key other = KeyIn(kPartition, "other", NamespaceId(2));
  PutBytes(*store_, other, Meta(2), "2");
  store_->Flush(kPartition, NamespaceId(1), Version(5));
  EXPECT_EQ(Get("old"), "-");
  EXPECT_EQ(Get("new"), "9");
  EXPECT_EQ(store_->Find(other, {}, buffer_).value.Flatten(), "2");
  EXPECT_EQ(Put("old", 5, "late"), WriteResult::kStale);
  EXPECT_EQ(Put("old", 10, "fresh"), WriteResult::kApplied);
  EXPECT_EQ(store_->Scan(kPartition, 0, {}).entries.size(), 3u);
  ASSERT_EQ(store_->Flushes(kPartition).size(), 1u);
  EXPECT_EQ(store_->Flushes(kPartition)[0].version, Version(5));
  store_->Flush(kPartition, NamespaceId(1), Version(3));
  EXPECT_EQ(store_->Flushes(kPartition)[0].version, Version(5)) << "marks only rise";
}

TEST_F(StoreContract, FlushGivesMemoryBack) {
  for (int i = 0; i < 1000; ++i) Put(std::to_string(i), i + 1, std::string(20'000, 'x'));
  store_->Flush(kPartition, NamespaceId(1), Version(2000));
  store_->SetCommitted(kPartition, Version(2000));
  MaintainAll();
  EXPECT_EQ(store_->Stats().items, 0u);
  EXPECT_LT(store_->Stats().live_bytes, 100'000u);
}

TEST_F(StoreContract, AClosedPartitionTakesNothing) {
  const Key key = KeyIn(PartitionId(6), "k");
  EXPECT_EQ(PutBytes(*store_, key, Meta(1), "v"), WriteResult::kNoRoom);
  EXPECT_EQ(store_->Find(key, {}, buffer_).presence, Presence::kAbsent);
  EXPECT_TRUE(store_->Scan(PartitionId(6), 0, {}).done);
  store_->DropPartition(PartitionId(6));
}

TEST_F(StoreContract, ADroppedPartitionHoldsNothing) {
  for (int i = 0; i < 1000; ++i)
    Put(std::to_string(i), i + 1, std::string(size_t{20} * static_cast<size_t>(i), 'x'));
  store_->Flush(kPartition, NamespaceId(1), Version(5));
  store_->Erase(KeyIn(kPartition, "gone"), Version(2000));
  store_->DropPartition(kPartition);
  store_->DropPartition(kPartition);
  EXPECT_EQ(store_->Stats().items, 0u);
  EXPECT_EQ(store_->Stats().tombstones, 0u);
  store_->OpenPartition(kPartition);
  EXPECT_EQ(Get("999"), "-");
  EXPECT_TRUE(store_->Flushes(kPartition).empty());
  EXPECT_EQ(Put("1", 1, "again"), WriteResult::kApplied);
  EXPECT_EQ(store_->ItemsIn(kPartition), 1u);
}

TEST_F(StoreContract, ScanListsEachEntryOnceInPages) {
  std::set<std::string> expected;
  for (int i = 0; i < 3000; ++i) {
    const std::string key = "k" + std::to_string(i);
    Put(key, i + 1, "value of " + key);
    expected.insert(key);
  }
  for (const size_t page : {size_t{1}, size_t{7}, size_t{64}, size_t{10'000}}) {
    SCOPED_TRACE(page);
    std::set<std::string> seen;
    uint64_t cursor = 0;
    while (true) {
      const ScanChunk chunk = store_->Scan(kPartition, cursor, {.max_entries = page});
      EXPECT_LE(chunk.entries.size(), page + 8);
      for (const ScannedEntry& entry : chunk.entries) {
        EXPECT_TRUE(seen.insert(std::string(entry.key)).second) << entry.key;
        EXPECT_EQ(entry.value.Flatten(), "value of " + std::string(entry.key));
        EXPECT_EQ(entry.hash, KeyIn(kPartition, entry.key).hash);
      }
      if (chunk.done) break;
      ASSERT_GT(chunk.next, cursor);
      cursor = chunk.next;
    }
    EXPECT_EQ(seen, expected);
  }
}

TEST_F(StoreContract, ScanFiltersAndBoundsItsBytes) {
  for (int i = 0; i < 100; ++i) {
    Put("a" + std::to_string(i), i + 1, std::string(1000, 'a'));
    PutBytes(*store_, KeyIn(kPartition, "b" + std::to_string(i), NamespaceId(2)), Meta(i + 1),
             std::string(1000, 'b'));
  }
  EXPECT_EQ(store_->Scan(kPartition, 0, {.max_entries = 1000, .ns = NamespaceId(2)}).entries.size(),
            100u);
  EXPECT_EQ(store_->Scan(kPartition, 0, {.max_entries = 1000, .prefix = "a1"}).entries.size(), 11u);
  const ScanChunk chunk = store_->Scan(kPartition, 0, {.max_entries = 1000, .max_bytes = 10'000});
  EXPECT_LE(chunk.entries.size(), 12u);
  EXPECT_FALSE(chunk.done);
  const ScanChunk keys = store_->Scan(kPartition, 0, {.max_entries = 1000, .with_values = false});
  EXPECT_EQ(keys.entries.size(), 200u);
  EXPECT_EQ(keys.entries[0].value_size, 1000u);
  EXPECT_EQ(keys.entries[0].value.size(), 0u);
}

TEST_F(StoreContract, FindBatchAndFindEachAnswerLikeFind) {
  std::vector<std::string> names;
  for (int i = 0; i < 500; ++i) names.push_back("k" + std::to_string(i));
  for (int p = 0; p < 40; ++p) store_->OpenPartition(PartitionId(p));
  std::vector<Key> keys;
  for (int i = 0; i < 500; ++i) {
    keys.push_back(KeyIn(PartitionId(i % 40), names[i]));
    const std::string value(i % 7 == 0 ? 9000 : i, 'v');
    if (i % 3 != 0) PutBytes(*store_, keys.back(), Meta(i + 1), value);
  }
  for (const bool each : {false, true}) {
    SCOPED_TRACE(each);
    std::vector<Found> found(keys.size());
    FindMany(*store_, keys, {}, each, buffer_, absl::MakeSpan(found));
    for (int i = 0; i < 500; ++i) {
      SCOPED_TRACE(i);
      ASSERT_EQ(found[i].presence, i % 3 != 0 ? Presence::kPresent : Presence::kAbsent);
      if (i % 3 == 0) continue;
      EXPECT_EQ(found[i].value.Flatten(), std::string(i % 7 == 0 ? 9000 : i, 'v'));
      EXPECT_EQ(found[i].meta.version, Version(i + 1));
    }
  }
}

TEST_F(StoreContract, FindEachPutsSmallValuesWhereItIsTold) {
  struct Sink final : FindSink {
    bool Begin(size_t index) override { return index != 3; }
    char* Place(size_t index, const EntryMeta& meta, size_t size) override {
      EXPECT_EQ(meta.version, Version(index + 1));
      if (index == 2) return nullptr;
      places[index].resize(size);
      return places[index].data();
    }
    void End(size_t index, Found& found) override {
      ended.push_back(index);
      if (found.presence == Presence::kPresent) sizes[index] = found.value_size;
      large[index] = found.value.Flatten();
    }
    std::array<std::string, 6> places;
    std::array<std::string, 6> large;
    std::array<size_t, 6> sizes{};
    std::vector<size_t> ended;
  } sink;
  const std::string big(kInlineValueBytes + 1, 'b');
  const std::string at_limit(kInlineValueBytes, 'l');
  const std::vector<std::string> names = {"a", "b", "c", "skipped", "big", "none"};
  const std::vector<std::string> values = {"one", at_limit, "unwanted", "?", big};
  std::vector<Key> keys;
  for (size_t i = 0; i < names.size(); ++i) {
    keys.push_back(KeyIn(kPartition, names[i]));
    if (i < values.size()) Put(names[i], i + 1, values[i]);
  }
  store_->FindEach(keys, {}, sink);
  EXPECT_THAT(sink.ended, testing::ElementsAre(0, 1, 2, 4, 5));
  EXPECT_THAT(sink.sizes, testing::ElementsAre(3, at_limit.size(), 8, 0, big.size(), 0));
  EXPECT_THAT(sink.places, testing::ElementsAre("one", at_limit, "", "", "", ""));
  EXPECT_THAT(sink.large, testing::ElementsAre("", "", "", "", big, ""));
}

TEST_F(StoreContract, MemoryHolds) {
  for (int p = 0; p < 64; ++p) store_->OpenPartition(PartitionId(p));
  std::mt19937_64 random(1);
  for (uint64_t i = 1; i < 60'000; ++i) {
    const PartitionId partition(i % 64);
    PutBytes(*store_, KeyIn(partition, std::to_string(i)), Meta(i),
             Pattern::Bytes(i, 500 + random() % 4000));
    store_->SetCommitted(partition, Version(i));
    if (i % 100 == 0) {
      const StoreStats stats = store_->Stats();
      ASSERT_LE(stats.memory_used_bytes, stats.memory_limit_bytes);
    }
  }
  const StoreStats stats = store_->Stats();
  EXPECT_GT(stats.evictions, 0u);
  EXPECT_GT(stats.live_bytes, stats.memory_limit_bytes / 2) << "and is used";
}

TEST_F(StoreContract, MemoryHoldsWithOneByteAndOneMebibyteInTurn) {
  for (int p = 0; p < 64; ++p) store_->OpenPartition(PartitionId(p));
  for (uint64_t i = 1; i < 3000; ++i) {
    const PartitionId partition(i % 64);
    EntryMeta meta = Meta(i);
    meta.flags = static_cast<uint32_t>(i);
    const size_t size = i % 2 == 0 ? 1 : 1 << 20;
    const std::string name = std::to_string(i % 1000);
    const Key key = KeyIn(partition, name);
    ASSERT_EQ(PutBytes(*store_, key, meta, Pattern::Bytes(meta.flags, size)),
              WriteResult::kApplied);
    store_->SetCommitted(partition, Version(i));
    const StoreStats stats = store_->Stats();
    ASSERT_LE(stats.memory_used_bytes, stats.memory_limit_bytes) << i;
    buffer_.Reset();
    const Found found = store_->Find(key, {}, buffer_);
    ASSERT_EQ(found.presence, Presence::kPresent) << i;
    ASSERT_EQ(found.value_size, size);
    ASSERT_TRUE(Pattern::Matches(meta.flags, found.value)) << i;
    // After the read: of entries that were all read, it would evict the one that was not yet.
    if (i % 7 == 0) store_->Maintain();
    ASSERT_LE(store_->Stats().memory_used_bytes, stats.memory_limit_bytes) << i;
  }
  EXPECT_GT(store_->Stats().evictions, 0u);
}

TEST_F(StoreContract, HotEntriesOutliveAScan) {
  for (int i = 0; i < 1000; ++i) Put("hot" + std::to_string(i), i + 1, std::string(1000, 'h'));
  store_->SetCommitted(kPartition, Version(uint64_t{1} << 50));
  for (uint64_t i = 0; i < 200'000; ++i) {
    Put("cold" + std::to_string(i), 10'000 + i, std::string(1000, 'c'));
    Get("hot" + std::to_string(i % 1000));
  }
  int left = 0;
  for (int i = 0; i < 1000; ++i) left += Get("hot" + std::to_string(i)) != "-" ? 1 : 0;
  EXPECT_GE(left, 990);
}

TEST_F(StoreContract, DoesNotEvictWhatIsNotCommitted) {
  // Most of memory is uncommitted in one partition, so that its shard is the first to be asked; the
  // rest churns in another.
  constexpr int kUncommitted = 15'000;
  for (int i = 1; i <= kUncommitted; ++i) {
    ASSERT_EQ(Put("u" + std::to_string(i), i, Pattern::Bytes(i, 3000)), WriteResult::kApplied);
  }
  store_->OpenPartition(PartitionId(6));
  for (uint64_t i = 1; i < 20'000; ++i) {
    PutBytes(*store_, KeyIn(PartitionId(6), std::to_string(i)), Meta(i), Pattern::Bytes(i, 3000));
    store_->SetCommitted(PartitionId(6), Version(i));
  }
  for (int i = 1; i <= kUncommitted; ++i) {
    const Found found = Find("u" + std::to_string(i));
    ASSERT_EQ(found.presence, Presence::kPresent) << i;
    ASSERT_TRUE(Pattern::Matches(i, found.value));
  }
  EXPECT_GT(store_->Stats().evictions, 0u);
}

TEST_F(StoreContract, WithoutRoomTheKeyHasNoEntryButItsVersion) {
  Put("k", 1, "old");
  store_->SetCommitted(kPartition, Version(1));
  // Nothing after this may be evicted.
  uint64_t version = 2;
  WriteResult result = WriteResult::kApplied;
  while (result == WriteResult::kApplied && version < 100'000) {
    result = Put("f" + std::to_string(version), version, std::string(4000, 'f'));
    ++version;
  }
  ASSERT_EQ(result, WriteResult::kNoRoom);
  const std::string key = "f2";
  ASSERT_EQ(Put(key, version, std::string(1 << 20, 'n')), WriteResult::kNoRoom);
  const Found found = Find(key);
  EXPECT_EQ(found.presence, Presence::kAbsent) << "never an older value";
  EXPECT_EQ(found.meta.version, Version(version));
  EXPECT_EQ(Put(key, version, "again"), WriteResult::kStale);
  const StoreStats stats = store_->Stats();
  EXPECT_LE(stats.memory_used_bytes, stats.memory_limit_bytes);
  store_->SetCommitted(kPartition, Version(version));
  EXPECT_EQ(Put(key, version + 1, std::string(1 << 20, 'n')), WriteResult::kApplied)
      << "room comes with the commit";
}

TEST_F(StoreContract, OffersWhatWasReadAfterItsWriteOnce) {
  RecordingSink sink;
  store_->SetWarmSink(&sink);
  for (int i = 0; i < 2000; ++i) {
    const std::string key = "k" + std::to_string(i);
    Put(key, i + 1, "value of " + key);
  }
  store_->SetCommitted(kPartition, Version(5000));
  for (int i = 0; i < 100; ++i) Get("k" + std::to_string(i));
  for (int round = 0; round < 5; ++round) {
    // Open segments are sealed by age, sealed ones visited a minute later.
    clock_.Advance(absl::Minutes(10));
    for (int i = 0; i < 20'000; ++i) store_->Maintain();
  }
  EXPECT_EQ(sink.offered.size(), 100u);
  EXPECT_EQ(sink.offered.count("k7"), 1u);
  EXPECT_EQ(sink.offered.count("k700"), 0u);
  EXPECT_TRUE(sink.values_right);
  store_->SetWarmSink(nullptr);
}

// No time passes: only eviction, which walks over them, can offer them.
TEST_F(StoreContract, EvictionOffersWhatWasReadBeforeItGoes) {
  RecordingSink sink;
  store_->SetWarmSink(&sink);
  store_->SetCommitted(kPartition, Version(~uint64_t{0}));
  uint64_t version = 0;
  const auto put = [&](const std::string& key) {
    std::string value = "value of " + key;
    ASSERT_EQ(Put(key, ++version, value), WriteResult::kApplied);
  };
  for (int i = 0; i < 2000; ++i) put("k" + std::to_string(i));
  for (int i = 0; i < 2000; i += 20) Get("k" + std::to_string(i));
  for (int i = 0; i < 1000; ++i) store_->Maintain();
  EXPECT_TRUE(sink.offered.empty()) << "memory is free yet";
  while (store_->Stats().evictions < 5000) {
    for (int i = 0; i < 1000; ++i) put("scan" + std::to_string(version));
    store_->Maintain();
    ASSERT_LT(version, 4'000'000u);
  }
  MaintainAll();
  EXPECT_EQ(sink.offered.size(), 100u);
  for (int i = 0; i < 2000; i += 20) EXPECT_EQ(sink.offered.count("k" + std::to_string(i)), 1u);
  EXPECT_TRUE(sink.values_right);
  store_->SetWarmSink(nullptr);
}

}  // namespace
}  // namespace atoll::store
