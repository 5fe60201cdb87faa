#include "bench/trace_peers.h"

#include <algorithm>
#include <iterator>

namespace atoll::bench {

bool LruCache::Access(uint64_t key, uint64_t size) {
  if (const auto found = index_.find(key); found != index_.end()) {
    entries_.splice(entries_.end(), entries_, found->second);
    return true;
  }
  if (size > capacity_) return false;
  while (used_ + size > capacity_) {
    used_ -= entries_.front().size;
    index_.erase(entries_.front().key);
    entries_.pop_front();
  }
  used_ += size;
  entries_.push_back({key, size});
  index_[key] = std::prev(entries_.end());
  return false;
}

void SegmentedLruCache::Move(std::list<Entry>::iterator entry, Segment to) {
  used_[entry->segment] -= entry->size;
  used_[to] += entry->size;
  entries_[to].splice(entries_[to].end(), entries_[entry->segment], entry);
  entry->segment = to;
}

bool SegmentedLruCache::Access(uint64_t key, uint64_t size) {
  ++now_;
  if (const auto found = index_.find(key); found != index_.end()) {
    const auto entry = found->second;
    if (!entry->fetched) {
      entry->fetched = true;
      return true;
    }
    entry->time = now_;
    entry->active = true;
    if (entry->segment == kCold) {
      entry->active = false;
      Move(entry, kWarm);
      Settle(kWarm);
    }
    return true;
  }
  if (size > capacity_) return false;
  while (used() + size > capacity_) EvictFromCold();
  entries_[kHot].push_back({.key = key, .size = size, .time = now_});
  used_[kHot] += size;
  index_[key] = std::prev(entries_[kHot].end());
  Settle(kHot);
  Settle(kWarm);
  return false;
}

void SegmentedLruCache::Settle(Segment segment) {
  const uint64_t limit = capacity_ * (segment == kHot ? 20 : 40) / 100;
  while (!entries_[segment].empty()) {
    const auto tail = entries_[segment].begin();
    const uint64_t cold_age = entries_[kCold].empty() ? now_ : now_ - entries_[kCold].front().time;
    const uint64_t max_age = segment == kHot ? cold_age / 5 : cold_age * 2;
    const bool over = used_[segment] > limit || now_ - tail->time > max_age;
    if (!over) return;
    if (tail->active) {
      tail->active = false;
      Move(tail, kWarm);
    } else {
      Move(tail, kCold);
    }
  }
}

void SegmentedLruCache::EvictFromCold() {
  // Nothing may have come down yet: then the tails above give as they are.
  const Segment from = !entries_[kCold].empty() ? kCold : !entries_[kHot].empty() ? kHot : kWarm;
  const auto tail = entries_[from].begin();
  used_[from] -= tail->size;
  index_.erase(tail->key);
  entries_[from].erase(tail);
}

bool SampledLruCache::Access(uint64_t key, uint64_t size) {
  ++now_;
  if (const auto found = index_.find(key); found != index_.end()) {
    entries_[found->second].time = now_;
    return true;
  }
  if (size > capacity_) return false;
  while (used_ + size > capacity_) Evict();
  used_ += size;
  index_[key] = entries_.size();
  entries_.push_back({key, size, now_});
  return false;
}

void SampledLruCache::Sample() {
  for (int i = 0; i < kSamples; ++i) {
    const Entry& entry = entries_[random_() % entries_.size()];
    const bool pooled = std::any_of(pool_.begin(), pool_.end(),
                                    [&](const Pooled& p) { return p.key == entry.key; });
    if (pooled || (pool_.size() == kPool && entry.time >= pool_.front().time)) continue;
    const auto place = std::find_if(pool_.begin(), pool_.end(),
                                    [&](const Pooled& p) { return p.time <= entry.time; });
    pool_.insert(place, {entry.key, entry.time});
    if (pool_.size() > kPool) pool_.erase(pool_.begin());
  }
}

void SampledLruCache::Evict() {
  while (true) {
    Sample();
    while (!pool_.empty()) {
      const uint64_t key = pool_.back().key;
      pool_.pop_back();
      // Redis looks only whether the key is still there, not whether it was read since.
      const auto found = index_.find(key);
      if (found == index_.end()) continue;
      const size_t at = found->second;
      used_ -= entries_[at].size;
      index_.erase(found);
      if (at + 1 != entries_.size()) {
        entries_[at] = entries_.back();
        index_[entries_[at].key] = at;
      }
      entries_.pop_back();
      return;
    }
  }
}

}  // namespace atoll::bench
