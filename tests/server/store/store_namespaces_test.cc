// What a namespace is to the store: a name that saves each entry 8 bytes, and shares of the memory.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <string>

#include "server/store/store.h"
#include "tests/server/store/store_test_util.h"

namespace atoll::store {
namespace {

using base::NamespaceId;
using base::PartitionId;
using base::Version;

class StoreNamespaces : public OneStoreTest {
 protected:
  bool Has(const Key& key) {
    buffer_.Reset();
    return store_->Find(key, {.touch = false}, buffer_).presence == Presence::kPresent;
  }
};

TEST_F(StoreNamespaces, AnEntryOfANamedNamespaceTakesLess) {
  const std::string key = KeysByPartition(6, 1, "named")[5][0];
  const Key unnamed{
      NamespaceId(1), key,
      base::HashKey("other", key) % (uint64_t{1} << 52) | uint64_t{kPartition.value()} << 52};
  const Key named{NamespaceId(2), key, base::HashKey("named", key)};
  store_->NameNamespace(NamespaceId(2), "named");
  store_->NameNamespace(NamespaceId(2), "not this");
  PutBytes(*store_, unnamed, Meta(1), std::string(100, 'v'));
  const uint64_t large = store_->Stats().live_bytes;
  PutBytes(*store_, named, Meta(2), std::string(100, 'v'));
  EXPECT_EQ(store_->Stats().live_bytes - large, large - 8);
  EXPECT_EQ(store_->Find(named, {}, buffer_).meta.version, Version(2));
}

// Such a key is found by its hash in the index, but not by who walks the segment: so it is kept.
TEST_F(StoreNamespaces, AHashThatIsNotItsNamesIsKept) {
  store_->NameNamespace(NamespaceId(1), "named");
  std::map<std::string, uint64_t> expected;
  for (uint64_t i = 1; i <= 1000; ++i) {
    const std::string key = "k" + std::to_string(i);
    Put(key, i, key);
    if (i % 3 != 0) expected[key] = KeyIn(kPartition, key).hash;
    if (i % 3 == 0) store_->Erase(KeyIn(kPartition, key), Version(1000 + i));
  }
  MaintainAll();
  std::map<std::string, uint64_t> scanned;
  uint64_t cursor = 0;
  for (bool done = false; !done;) {
    const ScanChunk page = store_->Scan(kPartition, cursor, {});
    for (const ScannedEntry& entry : page.entries) scanned[std::string(entry.key)] = entry.hash;
    cursor = page.next;
    done = page.done;
  }
  EXPECT_EQ(scanned, expected);
}

TEST_F(StoreNamespaces, ANamespaceUnderItsMinimumKeepsWhatNobodyReads) {
  const auto left_beside_a_scan = [this](uint32_t min_percent) {
    const NamespaceShare share{.ns = NamespaceId(2), .min_percent = min_percent, .max_percent = 0};
    store_->SetShares(absl::MakeConstSpan(&share, 1));
    store_->SetCommitted(kPartition, Version(~uint64_t{0}));
    const std::string value(1000, 'v');
    static uint64_t version = 0;
    const auto name = [](int i) { return "kept" + std::to_string(i); };
    for (int i = 0; i < 5000; ++i) {
      PutBytes(*store_, KeyIn(kPartition, name(i), NamespaceId(2)), Meta(++version), value);
    }
    for (int i = 0; i < 150'000; ++i) Put("scan" + std::to_string(i), ++version, value);
    int left = 0;
    for (int i = 0; i < 5000; ++i) {
      left += Has(KeyIn(kPartition, name(i), NamespaceId(2))) ? 1 : 0;
    }
    return left;
  };
  EXPECT_LT(left_beside_a_scan(0), 500) << "without a minimum a scan takes all";
  EXPECT_GE(left_beside_a_scan(10), 4900) << "5 MB of the 6.7 that are its own";
}

TEST_F(StoreNamespaces, ANamespaceOverItsMaximumGivesWayWhenMemoryIsFull) {
  const NamespaceShare share{.ns = NamespaceId(2), .min_percent = 0, .max_percent = 20};
  store_->SetShares(absl::MakeConstSpan(&share, 1));
  store_->SetCommitted(kPartition, Version(~uint64_t{0}));
  const std::string value(1000, 'v');
  uint64_t version = 0;
  for (int i = 0; i < 30'000; ++i) Put("k" + std::to_string(i), ++version, value);
  for (int i = 0; i < 60'000; ++i) {
    const std::string name = "scan" + std::to_string(i);
    PutBytes(*store_, KeyIn(kPartition, name, NamespaceId(2)), Meta(++version), value);
  }
  // Its neighbour wants more.
  for (int i = 0; i < 18'000; ++i) Put("more" + std::to_string(i), ++version, value);
  int left = 0;
  for (int i = 0; i < 30'000; ++i) left += Has(KeyIn(kPartition, "k" + std::to_string(i))) ? 1 : 0;
  EXPECT_GE(left, 27'000) << "the neighbour keeps nearly all of its 31 MB";
  int held = 0;
  for (int i = 0; i < 60'000; ++i) {
    const std::string name = "scan" + std::to_string(i);
    held += Has(KeyIn(kPartition, name, NamespaceId(2))) ? 1 : 0;
    buffer_.Reset();
  }
  EXPECT_LE(held * 1064.0 / static_cast<double>(kMinMemoryBytes), 0.25);
}

// A reader whose keys are about as popular as 1/rank, beside a namespace capped at 20% that writes
// ten keys for each of its requests.
class Neighbours {
 public:
  explicit Neighbours(uint64_t seed) : random_(seed) {
    StoreOptions options;
    options.memory_bytes = kMinMemoryBytes;
    options.clock = &clock_;
    store_ = *Store::Create(options);
    for (int p = 0; p < 64; ++p) {
      store_->OpenPartition(PartitionId(p));
      store_->SetCommitted(PartitionId(p), Version(~uint64_t{0}));
    }
    const NamespaceShare share{.ns = kCapped, .max_percent = 20};
    store_->SetShares({&share, 1});
  }

  // The reader's hit ratio in the second half.
  double Run(uint64_t requests, bool with_scanner, uint64_t keys) {
    uint64_t hits = 0;
    for (uint64_t i = 0; i < requests; ++i) {
      const double u = static_cast<double>(random_() >> 11) / 9007199254740992.0;
      const auto n = static_cast<uint64_t>(std::exp(u * std::log(static_cast<double>(keys))));
      const bool hit = Get(kReader, n);
      if (!hit) Put(kReader, n);
      hits += hit && i >= requests / 2 ? 1 : 0;
      for (int s = 0; with_scanner && s < 10; ++s) Put(kCapped, scanned_++);
      if (i > requests / 2 && i % 5000 == 0) most_held_ = std::max(most_held_, Held());
    }
    return static_cast<double>(hits) / static_cast<double>(requests - requests / 2);
  }
  // The largest share of the memory that the capped namespace's entries had.
  double most_held() const { return most_held_; }

 private:
  static constexpr NamespaceId kReader{1};
  static constexpr NamespaceId kCapped{2};

  Key KeyOf(NamespaceId ns, uint64_t n) {
    key_ = std::to_string(n);
    return KeyIn(PartitionId(n % 64), key_, ns);
  }
  bool Get(NamespaceId ns, uint64_t n) {
    buffer_.Reset();
    return store_->Find(KeyOf(ns, n), {}, buffer_).presence == Presence::kPresent;
  }
  void Put(NamespaceId ns, uint64_t n) {
    PutBytes(*store_, KeyOf(ns, n), {.version = Version(++version_)}, Pattern::Bytes(1, 400));
  }
  double Held() {
    uint64_t bytes = 0;
    for (int p = 0; p < 64; ++p) {
      uint64_t cursor = 0;
      for (bool done = false; !done;) {
        const ScanChunk page = store_->Scan(
            PartitionId(p), cursor, {.max_entries = 1000, .with_values = false, .ns = kCapped});
        for (const ScannedEntry& entry : page.entries) {
          bytes += (26 + entry.key.size() + entry.value_size + 7) / 8 * 8;
        }
        cursor = page.next;
        done = page.done;
      }
    }
    return static_cast<double>(bytes) / static_cast<double>(kMinMemoryBytes);
  }

  std::mt19937_64 random_;
  base::FakeClock clock_;
  std::unique_ptr<Store> store_;
  ReadBuffer buffer_;
  std::string key_;
  uint64_t version_ = 0;
  uint64_t scanned_ = 0;
  double most_held_ = 0;
};

TEST(StoreShares, ACappedNamespaceThatScansCostsItsNeighbourNothing) {
  const uint64_t seed = TestSeed();
  // The reader's keys all fit; or they would fill the memory three times.
  for (const uint64_t keys : {60'000, 500'000}) {
    SCOPED_TRACE(keys);
    const uint64_t requests = kOperations / 4;
    const double alone = Neighbours(seed).Run(requests, false, keys);
    Neighbours beside(seed);
    const double with_scanner = beside.Run(requests, true, keys);
    EXPECT_GE(with_scanner, alone - 0.01);
    EXPECT_GE(beside.most_held(), 0.18) << "or nothing was tried";
    EXPECT_LE(beside.most_held(), 0.22);
  }
}

}  // namespace
}  // namespace atoll::store
