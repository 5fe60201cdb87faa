// The eviction policies of other caches, on keys and sizes: what Atoll's is held against.
//
// Time is counted in requests: a trace has no other. Each sees the same capacity, in bytes of
// entries, and none of what the real server takes beside them.
//
// Thread safety: none.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <random>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "bench/simulated_cache.h"

namespace atoll::bench {

class LruCache final : public CachePolicy {
 public:
  explicit LruCache(uint64_t capacity) : capacity_(capacity) {}
  bool Access(uint64_t key, uint64_t size) override;
  uint64_t used() const override { return used_; }

 private:
  struct Entry {
    uint64_t key;
    uint64_t size;
  };
  const uint64_t capacity_;
  uint64_t used_ = 0;
  std::list<Entry> entries_;  // oldest first
  absl::flat_hash_map<uint64_t, std::list<Entry>::iterator> index_;
};

// memcached 1.6 as it comes (lru_segmented, the rules of items.c): HOT at most 20% and a fifth of
// COLD's age, WARM at most 40% and twice COLD's age, the rest COLD, which gives. The second hit
// makes an entry active: then HOT's and WARM's tails go to WARM's head, and COLD's at once. One
// slab class of exact sizes, which flatters it.
class SegmentedLruCache final : public CachePolicy {
 public:
  explicit SegmentedLruCache(uint64_t capacity) : capacity_(capacity) {}
  bool Access(uint64_t key, uint64_t size) override;
  uint64_t used() const override { return used_[kHot] + used_[kWarm] + used_[kCold]; }

 private:
  enum Segment : uint8_t { kHot, kWarm, kCold };
  struct Entry {
    uint64_t key = 0;
    uint64_t size = 0;
    uint64_t time = 0;
    Segment segment = kHot;
    bool fetched = false;
    bool active = false;
  };

  void Move(std::list<Entry>::iterator entry, Segment to);
  // The maintainer: settles the tail of HOT or WARM until the segment is within its bounds.
  void Settle(Segment segment);
  void EvictFromCold();

  const uint64_t capacity_;
  uint64_t now_ = 0;
  std::array<std::list<Entry>, 3> entries_;  // oldest first
  std::array<uint64_t, 3> used_{};
  absl::flat_hash_map<uint64_t, std::list<Entry>::iterator> index_;
};

// Redis 7 with allkeys-lru as it comes: five samples at random join a pool of the 16 idlest, and
// the idlest of all that is still there goes. Idle time by the request, where Redis' clock ticks
// once a second.
class SampledLruCache final : public CachePolicy {
 public:
  explicit SampledLruCache(uint64_t capacity) : capacity_(capacity) {}
  bool Access(uint64_t key, uint64_t size) override;
  uint64_t used() const override { return used_; }

 private:
  static constexpr int kSamples = 5;
  static constexpr size_t kPool = 16;
  struct Entry {
    uint64_t key = 0;
    uint64_t size = 0;
    uint64_t time = 0;  // of the last access
  };
  struct Pooled {
    uint64_t key = 0;
    uint64_t time = 0;  // as it was when it was sampled
  };

  void Sample();
  void Evict();

  const uint64_t capacity_;
  uint64_t used_ = 0;
  uint64_t now_ = 0;
  std::vector<Entry> entries_;
  absl::flat_hash_map<uint64_t, size_t> index_;
  std::vector<Pooled> pool_;  // idlest last
  std::mt19937_64 random_{5};
};

}  // namespace atoll::bench
