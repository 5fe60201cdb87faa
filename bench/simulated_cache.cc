#include "bench/simulated_cache.h"

#include <algorithm>

namespace atoll::bench {

SimulatedCache::SimulatedCache(uint64_t capacity)
    : capacity_(std::max<uint64_t>(capacity, 1)),
      small_capacity_(std::max<uint64_t>(capacity_ / 10, 1)) {}

void SimulatedCache::Queue::Push(const Entry& entry) {
  entries.push_back(entry);
  used += entry.size;
}

SimulatedCache::Entry SimulatedCache::Queue::Pop() {
  const Entry entry = entries.front();
  entries.pop_front();
  used -= entry.size;
  return entry;
}

bool SimulatedCache::Access(uint64_t key, uint64_t size) {
  if (const auto found = index_.find(key); found != index_.end()) {
    found->second->hits = static_cast<uint8_t>(std::min(found->second->hits + 1, 3));
    return true;
  }
  if (size > capacity_) return false;
  MakeRoom(size);
  Queue& queue = ghost_index_.contains(key) ? main_ : small_;
  queue.Push({.key = key, .size = size});
  index_[key] = std::prev(queue.entries.end());
  return false;
}

void SimulatedCache::MakeRoom(uint64_t size) {
  while (used() + size > capacity_) {
    if (small_.used > small_capacity_ || main_.entries.empty()) {
      EvictFromSmall();
    } else {
      EvictFromMain();
    }
  }
}

void SimulatedCache::EvictFromSmall() {
  Entry entry = small_.Pop();
  if (entry.hits > 0) {
    entry.hits = 0;
    main_.Push(entry);
    index_[entry.key] = std::prev(main_.entries.end());
    return;
  }
  index_.erase(entry.key);
  Remember(entry);
}

void SimulatedCache::EvictFromMain() {
  Entry entry = main_.Pop();
  if (entry.hits > 0) {
    --entry.hits;
    main_.Push(entry);
    index_[entry.key] = std::prev(main_.entries.end());
    return;
  }
  index_.erase(entry.key);
}

void SimulatedCache::Remember(const Entry& entry) {
  if (const auto old = ghost_index_.find(entry.key); old != ghost_index_.end()) {
    ghost_.used -= old->second->size;
    ghost_.entries.erase(old->second);
  }
  ghost_.Push(entry);
  ghost_index_[entry.key] = std::prev(ghost_.entries.end());
  while (ghost_.used > capacity_ - small_capacity_ && !ghost_.entries.empty()) {
    ghost_index_.erase(ghost_.Pop().key);
  }
}

}  // namespace atoll::bench
