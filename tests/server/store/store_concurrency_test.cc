// Many threads on one store: writers of partitions of their own, readers and walkers of all, the
// housekeeper, under memory pressure. What is read must be whole, and never older than before.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
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

constexpr int kWriters = 2;
constexpr int kReaders = 2;
constexpr int kPartitions = 32;
constexpr int kKeys = 600;  // a partition

class StoreConcurrency : public testing::Test {
 protected:
  void SetUp() override {
    StoreOptions options;
    options.memory_bytes = kMinMemoryBytes;
    options.clock = &clock_;
    store_ = *Store::Create(options);
    for (int p = 0; p < kPartitions; ++p) store_->OpenPartition(PartitionId(p));
    for (int k = 0; k < kKeys; ++k) names_.push_back("key" + std::to_string(k));
    // Cleaning computes these keys' hashes anew, without a lock.
    store_->NameNamespace(NamespaceId(2), "named");
    named_ = KeysByPartition(kPartitions, kKeys / 2, "named");
  }

  Key KeyAt(int p, int k) const {
    if (k % 2 == 0) return KeyIn(PartitionId(p), names_[k], NamespaceId(1));
    const std::string& name = named_[p][k / 2];
    return {NamespaceId(2), name, base::HashKey("named", name)};
  }

  void Write(int writer, uint64_t seed, uint64_t operations) {
    std::mt19937_64 random(seed);
    std::array<uint64_t, kPartitions> sequence{};
    for (uint64_t i = 0; i < operations; ++i) {
      const int p = static_cast<int>(random() % (kPartitions / kWriters)) * kWriters + writer;
      const int k = static_cast<int>(random() % kKeys);
      const Key key = KeyAt(p, k);
      const Version version(base::Epoch(1), ++sequence[p]);
      const uint64_t what = random() % 1000;
      if (what < 800) {
        EntryMeta meta{.version = version, .flags = static_cast<uint32_t>(random() | 1)};
        if (random() % 3 == 0) meta.expiry = base::ToCacheSeconds(clock_.Now()) + random() % 100;
        if (random() % 10 == 0) meta.max_idle = 50;
        const size_t size = random() % 50 == 0 ? random() % (1 << 20) : random() % 3000;
        if (PutBytes(*store_, key, meta, Pattern::Bytes(meta.flags, size)) == WriteResult::kStale) {
          ++failures_;
        }
      } else if (what < 880) {
        store_->Erase(key, version);
      } else if (what < 990) {
        store_->Touch(key, version, 0, random() % 2 * 100);
      } else if (what < 993) {
        store_->Flush(key.partition(), key.ns, version);
      } else if (what == 999) {
        store_->RetainTombstones(key.partition(), random() % 2 == 0);
      }
      if (i % 8 == 0) {
        store_->SetCommitted(PartitionId(p), Version(base::Epoch(1), sequence[p] - random() % 3));
      }
    }
  }

  void Check(const Found& found, Version* last) {
    if (found.presence != Presence::kPresent) return;
    if (!Pattern::Matches(found.meta.flags, found.value)) ++failures_;
    if (found.meta.version < *last) ++failures_;
    *last = found.meta.version;
  }

  void ReadAll(uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<Version> last(size_t{kPartitions} * kKeys);
    ReadBuffer buffer;
    std::vector<Value> held(16);
    while (!stop_.load()) {
      buffer.Reset();
      if (random() % 2 == 0) {
        std::vector<Key> keys;
        std::vector<size_t> which;
        for (int i = 0; i < 20; ++i) {
          const int p = static_cast<int>(random() % kPartitions);
          const int k = static_cast<int>(random() % kKeys);
          keys.push_back(KeyAt(p, k));
          which.push_back(p * kKeys + k);
        }
        std::vector<Found> found(keys.size());
        FindMany(*store_, keys, {}, random() % 2 == 0, buffer, absl::MakeSpan(found));
        for (size_t i = 0; i < keys.size(); ++i) Check(found[i], &last[which[i]]);
      } else {
        const int p = static_cast<int>(random() % kPartitions);
        const int k = static_cast<int>(random() % kKeys);
        const Found found = store_->Find(KeyAt(p, k), {}, buffer);
        Check(found, &last[p * kKeys + k]);
        if (found.value.owner() != nullptr) held[random() % held.size()] = found.value;
      }
    }
  }

  void WalkAll() {
    int p = 0;
    uint64_t cursor = 0;
    while (!stop_.load()) {
      const ScanChunk chunk = store_->Scan(PartitionId(p), cursor, {});
      for (const ScannedEntry& entry : chunk.entries) {
        if (entry.value.size() == entry.value_size &&
            !Pattern::Matches(entry.meta.flags, entry.value)) {
          ++failures_;
        }
      }
      cursor = chunk.done ? 0 : chunk.next;
      if (chunk.done) p = (p + 1) % kPartitions;
      const StoreStats stats = store_->Stats();
      if (stats.memory_used_bytes > stats.memory_limit_bytes) ++failures_;
    }
  }

  class Sink final : public WarmSink {
   public:
    explicit Sink(std::atomic<int>* failures) : failures_(failures) {}
    void OfferWarm(const ScannedEntry& entry) override {
      if (!Pattern::Matches(entry.meta.flags, entry.value)) ++*failures_;
    }

   private:
    std::atomic<int>* failures_;
  };

  base::FakeClock clock_;
  std::unique_ptr<Store> store_;
  std::vector<std::string> names_;
  std::vector<std::vector<std::string>> named_;  // by partition
  std::atomic<bool> stop_{false};
  std::atomic<int> failures_{0};
};

TEST_F(StoreConcurrency, ReadersSeeWholeValuesThatNeverGoBack) {
  const uint64_t seed = TestSeed();
  Sink sink(&failures_);
  store_->SetWarmSink(&sink);
  std::vector<std::thread> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([this, w, seed] { Write(w, seed + w, kOperations / 5); });
  }
  std::vector<std::thread> others;
  for (int r = 0; r < kReaders; ++r) {
    others.emplace_back([this, r, seed] { ReadAll(seed + 100 + r); });
  }
  others.emplace_back([this] { WalkAll(); });
  others.emplace_back([this] {
    while (!stop_.load()) {
      if (!store_->Maintain()) clock_.Advance(absl::Seconds(1));
    }
  });
  for (std::thread& writer : writers) writer.join();
  stop_ = true;
  for (std::thread& other : others) other.join();
  EXPECT_EQ(failures_.load(), 0);
  const StoreStats stats = store_->Stats();
  EXPECT_GT(stats.evictions, 0u);
  for (int p = 0; p < kPartitions; ++p) store_->DropPartition(PartitionId(p));
  EXPECT_EQ(store_->Stats().items, 0u);
  EXPECT_EQ(store_->Stats().live_bytes, 0u);
  store_->SetWarmSink(nullptr);
}

TEST_F(StoreConcurrency, PartitionsComeAndGoUnderReads) {
  const uint64_t seed = TestSeed();
  std::thread reader([this, seed] { ReadAll(seed); });
  std::thread housekeeper([this] {
    while (!stop_.load()) store_->Maintain();
  });
  std::mt19937_64 random(seed);
  for (uint64_t i = 1; i < kOperations / 20; ++i) {
    const int p = static_cast<int>(random() % kPartitions);
    // Versions go on: the reader compares them over the drop.
    const EntryMeta meta{.version = Version(i), .flags = static_cast<uint32_t>(i)};
    PutBytes(*store_, KeyAt(p, static_cast<int>(random() % kKeys)), meta,
             Pattern::Bytes(meta.flags, random() % 20'000));
    store_->SetCommitted(PartitionId(p), Version(i));
    if (i % 500 == 0) {
      store_->DropPartition(PartitionId(p));
      EXPECT_EQ(store_->ItemsIn(PartitionId(p)), 0u);
      store_->OpenPartition(PartitionId(p));
    }
  }
  stop_ = true;
  reader.join();
  housekeeper.join();
  EXPECT_EQ(failures_.load(), 0);
}

}  // namespace
}  // namespace atoll::store
