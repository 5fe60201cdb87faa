// What the store's tests share: keys placed at will, values that can be recognized, seeds.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/hash.h"
#include "gtest/gtest.h"
#include "server/store/store.h"

namespace atoll::store {

// How many operations a random test does: sanitizers and unoptimized builds are 10 to 30 times
// slower.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ATOLL_STORE_TEST_SLOW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define ATOLL_STORE_TEST_SLOW 1
#endif
#endif
#if !defined(ATOLL_STORE_TEST_SLOW) && !defined(__OPTIMIZE__)
#define ATOLL_STORE_TEST_SLOW 1
#endif
#ifdef ATOLL_STORE_TEST_SLOW
inline constexpr uint64_t kOperations = 100'000;
#else
inline constexpr uint64_t kOperations = 1'000'000;
#endif

// From ATOLL_TEST_SEED, else random; printed, so that a failure can be run again.
inline uint64_t TestSeed() {
  uint64_t seed;
  if (const char* fixed = std::getenv("ATOLL_TEST_SEED"); fixed != nullptr) {
    seed = std::strtoull(fixed, nullptr, 10);
  } else {
    seed = std::random_device()();
  }
  std::cerr << "ATOLL_TEST_SEED=" << seed << "\n";
  return seed;
}

inline Key KeyIn(base::PartitionId partition, std::string_view key,
                 base::NamespaceId ns = base::NamespaceId(1)) {
  const uint64_t low = base::HashKey(std::to_string(ns.value()), key) << 12 >> 12;
  return {ns, key, uint64_t{partition.value()} << 52 | low};
}

// For each of the first `partitions`, `count` keys of a namespace of that name which fall into it.
inline std::vector<std::vector<std::string>> KeysByPartition(int partitions, int count,
                                                             std::string_view ns_name) {
  std::vector<std::vector<std::string>> keys(partitions);
  for (int missing = partitions * count, i = 0; missing > 0; ++i) {
    const std::string key = "key-" + std::to_string(i);
    const uint64_t partition = base::HashKey(ns_name, key) >> 52;
    if (partition >= keys.size() || static_cast<int>(keys[partition].size()) == count) continue;
    keys[partition].push_back(key);
    --missing;
  }
  return keys;
}

// Bytes that are told by their seed: a window into one pool of noise.
class Pattern {
 public:
  static constexpr size_t kPoolBytes = 24 << 20;
  static std::string_view Bytes(uint32_t seed, size_t size) {
    static const std::string* const pool = [] {
      auto* bytes = new std::string(kPoolBytes, '\0');
      std::mt19937_64 random(7);
      for (size_t i = 0; i + 8 <= kPoolBytes; i += 8) {
        const uint64_t word = random();
        std::memcpy(bytes->data() + i, &word, 8);
      }
      return bytes;
    }();
    const size_t offset = (uint64_t{seed} * 2654435761u) % (kPoolBytes - size);
    return std::string_view(*pool).substr(offset, size);
  }
  static bool Matches(uint32_t seed, const Value& value) {
    const std::string_view expected = Bytes(seed, value.size());
    size_t at = 0;
    for (const std::string_view piece : value.pieces()) {
      if (expected.substr(at, piece.size()) != piece) return false;
      at += piece.size();
    }
    return at == expected.size();
  }
};

// Sizes with the edges in: nothing, small ones, around the inline limit, large ones.
inline size_t RandomSize(std::mt19937_64& random, size_t largest) {
  const uint64_t kind = random() % 1000;
  size_t size;
  if (kind < 20) {
    size = 0;
  } else if (kind < 800) {
    size = random() % 300;
  } else if (kind < 970) {
    size = random() % (kInlineValueBytes + 1);
  } else if (kind < 980) {
    size = kInlineValueBytes - 1 + random() % 3;
  } else if (kind < 998) {
    size = random() % (100 << 10);
  } else {
    size = random() % (2 << 20);
  }
  return size < largest ? size : largest;
}

inline WriteResult PutBytes(Store& store, const Key& key, const EntryMeta& meta,
                            std::string_view value) {
  return store.Put(key, meta, absl::MakeConstSpan(&value, 1));
}

// What FindEach finds, as FindBatch returns it.
class FoundSink final : public FindSink {
 public:
  FoundSink(ReadBuffer& buffer, absl::Span<Found> results) : buffer_(buffer), results_(results) {}
  bool Begin(size_t index) override {
    place_ = nullptr;
    EXPECT_EQ(index, next_++) << "in order";
    return true;
  }
  char* Place(size_t /*index*/, const EntryMeta& meta, size_t size) override {
    placed_ = meta.version;
    return place_ = buffer_.Allocate(size);
  }
  void End(size_t index, Found& found) override {
    if (place_ != nullptr) {
      EXPECT_EQ(found.meta.version, placed_);
      found.value.Refer({place_, found.value_size});
    }
    results_[index] = std::move(found);
  }

 private:
  ReadBuffer& buffer_;
  const absl::Span<Found> results_;
  size_t next_ = 0;
  char* place_ = nullptr;
  base::Version placed_;
};

// By FindBatch, or as Exchange does.
inline void FindMany(Store& store, absl::Span<const Key> keys, const FindOptions& options,
                     bool each, ReadBuffer& buffer, absl::Span<Found> results) {
  if (!each) return store.FindBatch(keys, options, buffer, results);
  FoundSink sink(buffer, results);
  store.FindEach(keys, options, sink);
}

inline constexpr base::PartitionId kPartition{5};

// A store of its least size, on a clock of its own, with kPartition open.
class OneStoreTest : public testing::Test {
 protected:
  void SetUp() override { Open(kMinMemoryBytes); }
  void Open(uint64_t memory_bytes) {
    StoreOptions options;
    options.memory_bytes = memory_bytes;
    options.clock = &clock_;
    auto store = Store::Create(options);
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    store_ = std::move(*store);
    store_->OpenPartition(kPartition);
  }
  static EntryMeta Meta(uint64_t version) { return {.version = base::Version(version)}; }
  WriteResult Put(std::string_view key, uint64_t version, std::string_view value) {
    return PutBytes(*store_, KeyIn(kPartition, key), Meta(version), value);
  }
  Found Find(std::string_view key, const FindOptions& options = {}) {
    return store_->Find(KeyIn(kPartition, key), options, buffer_);
  }
  // The value, or "-" if there is none.
  std::string Get(std::string_view key, const FindOptions& options = {}) {
    const Found found = Find(key, options);
    return found.presence == Presence::kPresent ? found.value.Flatten() : "-";
  }
  base::CacheSeconds In(absl::Duration time) const {
    return base::ToCacheSeconds(clock_.Now() + time);
  }
  void MaintainAll() {
    for (int i = 0; i < 100'000; ++i) store_->Maintain();
  }

  base::FakeClock clock_;
  std::unique_ptr<Store> store_;
  ReadBuffer buffer_;
};

}  // namespace atoll::store
