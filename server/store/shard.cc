#include "server/store/shard.h"

#include <algorithm>

namespace atoll::store {

void Shard::Init(uint16_t number, Arena* arena, std::vector<SegmentInfo>* segments) {
  number_ = number;
  arena_ = arena;
  segments_ = segments;
  base::MutexLock lock(mu);
  for (auto& queue : open_) queue.fill(kNoSegment);
}

Shard::Place Shard::Append(Queue queue, int ttl_class, uint32_t bytes, base::CacheSeconds expiry,
                           base::CacheSeconds now, bool from_reserve) {
  SegmentId& open = open_[static_cast<size_t>(queue)][static_cast<size_t>(ttl_class)];
  if (open == kNoSegment || Info(open).used + bytes > arena_->segment_bytes()) {
    const SegmentId fresh = arena_->Allocate(from_reserve);
    if (fresh == kNoSegment) return {};
    if (open != kNoSegment) Seal(open);
    open = fresh;
    SegmentInfo& info = Info(fresh);
    info.state = SegmentState::kOpen;
    info.used = 0;
    info.expiry.Open(ttl_class, now);
    info.queue = queue;
    info.ttl_class = static_cast<uint8_t>(ttl_class);
    info.shard = number_;
    info.dead.store(0, std::memory_order_relaxed);
    AddBytes(queue, arena_->segment_bytes());
  }
  SegmentInfo& info = Info(open);
  const Place place{open, info.used, arena_->At(open) + info.used};
  info.used += bytes;
  info.expiry.Add(expiry, bytes);
  return place;
}

void Shard::Seal(SegmentId segment) {
  SegmentInfo& info = Info(segment);
  info.state = SegmentState::kSealed;
  sealed_[static_cast<size_t>(info.queue)].push_back(segment);
}

Shard::Sealed Shard::TakeOldest(Queue queue, bool seal_open) {
  auto& sealed = sealed_[static_cast<size_t>(queue)];
  if (sealed.empty()) {
    if (!seal_open) return {};
    SegmentId* fullest = nullptr;
    for (SegmentId& open : open_[static_cast<size_t>(queue)]) {
      if (open != kNoSegment && (fullest == nullptr || Info(open).used > Info(*fullest).used)) {
        fullest = &open;
      }
    }
    if (fullest == nullptr) return {};
    Seal(*fullest);
    *fullest = kNoSegment;
  }
  const SegmentId oldest = sealed.front();
  sealed.pop_front();
  SegmentInfo& info = Info(oldest);
  info.state = SegmentState::kCleaning;
  return {oldest, info.used};
}

Shard::Sealed Shard::Take(SegmentId segment) {
  SegmentInfo& info = Info(segment);
  if (info.state != SegmentState::kSealed) return {};
  auto& sealed = sealed_[static_cast<size_t>(info.queue)];
  sealed.erase(std::find(sealed.begin(), sealed.end(), segment));
  info.state = SegmentState::kCleaning;
  return {segment, info.used};
}

Shard::Sealed Shard::TakeHalfDead() {
  while (!half_dead_.empty()) {
    const HalfDead next = half_dead_.back();
    half_dead_.pop_back();
    SegmentInfo& info = Info(next.segment);
    // Freed since, it is anybody's.
    if (info.generation.load(std::memory_order_relaxed) != next.generation) continue;
    if (info.state == SegmentState::kSealed) return Take(next.segment);
  }
  return {};
}

Shard::Sealed Shard::TakeExpired(base::CacheSeconds now, size_t* cursor, size_t limit) {
  for (size_t n = 0; n < limit; ++n, ++*cursor) {
    size_t at = *cursor;
    auto* sealed = &sealed_[0];
    if (at >= sealed->size()) {
      at -= sealed->size();
      sealed = &sealed_[1];
    }
    if (at >= sealed->size()) {
      *cursor = 0;
      return {};
    }
    const SegmentInfo& info = Info((*sealed)[at]);
    const uint32_t expired = info.expiry.Expired(now);
    if (expired > 0 && expired * 2 >= info.used) return Take((*sealed)[at]);
  }
  return {};
}

Shard::Sealed Shard::Nth(size_t i) const {
  for (const auto& queue : open_) {
    for (const SegmentId open : queue) {
      if (open == kNoSegment) continue;
      if (i == 0) return {open, Info(open).used};
      --i;
    }
  }
  for (const auto& sealed : sealed_) {
    if (i < sealed.size()) return {sealed[i], Info(sealed[i]).used};
    i -= sealed.size();
  }
  return {};
}

void Shard::PutBack(SegmentId segment) { Seal(segment); }

void Shard::Release(SegmentId segment) {
  SegmentInfo& info = Info(segment);
  info.state = SegmentState::kFree;
  info.dead.store(0, std::memory_order_relaxed);
  info.generation.fetch_add(1, std::memory_order_relaxed);
  AddBytes(info.queue, -int64_t{arena_->segment_bytes()});
  arena_->Free(segment);
}

void Shard::SealAged(base::CacheSeconds now) {
  for (auto& queue : open_) {
    for (SegmentId& open : queue) {
      if (open == kNoSegment || !Info(open).expiry.Aged(now)) continue;
      Seal(open);
      open = kNoSegment;
    }
  }
}

void Shard::NoteHalfDead(SegmentId segment, uint32_t generation) {
  half_dead_.push_back({segment, generation});
}

}  // namespace atoll::store
