#include "bench/simulated_cache.h"

#include <algorithm>
#include <string_view>

#include "base/hash.h"

namespace atoll::bench {
namespace {

uint64_t HashOf(uint64_t key) {
  return base::HashKey("trace", {reinterpret_cast<const char*>(&key), sizeof(key)});
}

}  // namespace

SimulatedCache::SimulatedCache(uint64_t capacity) : capacity_(std::max<uint64_t>(capacity, 1)) {}

bool SimulatedCache::Access(uint64_t key, uint64_t size) {
  if (const auto found = index_.find(key); found != index_.end()) {
    uint32_t& frequency = found->second->frequency;
    frequency = std::min(frequency + 1, store::Policy::kMaxFrequency);
    return true;
  }
  if (size > capacity_) return false;
  MakeRoom(size);
  const store::Queue to = store::Policy::Admit(ghost_, HashOf(key), /*proven=*/false);
  Queue& queue = to == store::Queue::kSmall ? small_ : main_;
  queue.entries.push_back({.key = key, .size = size});
  queue.used += size;
  index_[key] = std::prev(queue.entries.end());
  return false;
}

void SimulatedCache::MakeRoom(uint64_t size) {
  if (used() + size <= capacity_) return;
  const uint64_t ghosts = store::Policy::GhostEntries(index_.size(), ghost_.capacity());
  const store::GhostTable done =
      ghosts != ghost_.capacity() ? ghost_.Resize(store::GhostTable(ghosts)) : ghost_.TakeSpent();
  while (used() + size > capacity_) {
    const bool small = store::Policy::Victim(small_.used, main_.used) == store::Queue::kSmall;
    // A queue that should give may have nothing to give.
    if (small ? !small_.entries.empty() : main_.entries.empty()) {
      Judge(small_, /*small=*/true);
    } else {
      Judge(main_, /*small=*/false);
    }
  }
}

void SimulatedCache::Judge(Queue& from, bool small) {
  const auto entry = from.entries.begin();
  from.used -= entry->size;
  const store::Candidate candidate{.frequency = entry->frequency};
  const store::Verdict verdict = small ? store::Policy::JudgeSmall(candidate)
                                       : store::Policy::JudgeMain(candidate, /*least=*/1);
  if (!verdict.keep) {
    if (verdict.remember) ghost_.Add(HashOf(entry->key));
    index_.erase(entry->key);
    from.entries.erase(entry);
    return;
  }
  Queue& to = verdict.queue == store::Queue::kSmall ? small_ : main_;
  entry->frequency = verdict.frequency;
  to.used += entry->size;
  to.entries.splice(to.entries.end(), from.entries, entry);
}

}  // namespace atoll::bench
