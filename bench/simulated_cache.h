// A cache with nothing in it but the store's own policy, an entry at a time: what a replay's hit
// ratio is held against, and what `atoll-bench trace` compares with other caches' policies.
//
// Thread safety: none.
#pragma once

#include <cstdint>
#include <list>

#include "absl/container/flat_hash_map.h"
#include "server/store/ghost.h"
#include "server/store/policy.h"

namespace atoll::bench {

// A policy at work on keys and sizes.
class CachePolicy {
 public:
  virtual ~CachePolicy() = default;
  // Returns whether the key was there, and puts it there if not (look-aside). An entry larger than
  // the capacity is not kept.
  virtual bool Access(uint64_t key, uint64_t size) = 0;
  // Never more than the capacity.
  virtual uint64_t used() const = 0;
};

// store::Policy at the grain of entries.
class SimulatedCache final : public CachePolicy {
 public:
  // `capacity` in the unit of Access's `size`; at least 1.
  explicit SimulatedCache(uint64_t capacity);

  bool Access(uint64_t key, uint64_t size) override;
  uint64_t used() const override { return small_.used + main_.used; }

 private:
  struct Entry {
    uint64_t key = 0;
    uint64_t size = 0;
    uint32_t frequency = 0;  // at most 3
  };
  struct Queue {
    std::list<Entry> entries;  // oldest first
    uint64_t used = 0;
  };

  void MakeRoom(uint64_t size);
  // What becomes of the oldest of `from`.
  void Judge(Queue& from, bool small);

  const uint64_t capacity_;
  Queue small_;
  Queue main_;
  absl::flat_hash_map<uint64_t, std::list<Entry>::iterator> index_;
  store::Ghost ghost_;
};

}  // namespace atoll::bench
