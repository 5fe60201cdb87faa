// A cache with nothing in it but a policy: what a replay's hit ratio is held against.
//
// Thread safety: none.
#pragma once

#include <cstdint>
#include <list>

#include "absl/container/flat_hash_map.h"

namespace atoll::bench {

// S3-FIFO at the grain of entries: a small queue of a tenth, a main queue, and a ghost of the keys
// that left the small one. An entry that was hit once in the small queue moves to the main one.
// Source: Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023.
class SimulatedCache {
 public:
  // `capacity` in the unit of Access's `size`; at least 1.
  explicit SimulatedCache(uint64_t capacity);

  // Returns whether the key was there, and puts it there if not (look-aside). An entry larger than
  // the capacity is not kept.
  bool Access(uint64_t key, uint64_t size);

  uint64_t used() const { return small_.used + main_.used; }

 private:
  struct Entry {
    uint64_t key = 0;
    uint64_t size = 0;
    uint8_t hits = 0;  // at most 3
  };
  struct Queue {
    std::list<Entry> entries;  // oldest first
    uint64_t used = 0;
    void Push(const Entry& entry);
    Entry Pop();
  };

  void MakeRoom(uint64_t size);
  void EvictFromSmall();
  void EvictFromMain();
  void Remember(const Entry& entry);

  const uint64_t capacity_;
  const uint64_t small_capacity_;
  Queue small_;
  Queue main_;
  absl::flat_hash_map<uint64_t, std::list<Entry>::iterator> index_;
  Queue ghost_;
  absl::flat_hash_map<uint64_t, std::list<Entry>::iterator> ghost_index_;
};

}  // namespace atoll::bench
