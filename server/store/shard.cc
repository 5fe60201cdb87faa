#include "server/store/shard.h"

#include <utility>

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
  sealed_[static_cast<size_t>(info.queue)].PushBack(*segments_, segment);
}

SegmentId Shard::SealedAfter(SegmentId segment) const {
  if (segment == kNoSegment) {
    return sealed_[0].empty() ? sealed_[1].front() : sealed_[0].front();
  }
  const SegmentInfo& info = Info(segment);
  const SegmentId next = info.in_queue.next;
  return next == kNoSegment && info.queue == Queue::kSmall ? sealed_[1].front() : next;
}

Shard::Sealed Shard::TakeOut(SegmentId segment) {
  if (segment == expiry_at_) expiry_at_ = SealedAfter(segment);
  if (segment == warm_at_) warm_at_ = SealedAfter(segment);
  SegmentInfo& info = Info(segment);
  sealed_[static_cast<size_t>(info.queue)].Remove(*segments_, segment);
  info.state = SegmentState::kCleaning;
  return {segment, info.used};
}

Shard::Sealed Shard::TakeOldest(Queue queue, bool seal_open) {
  const auto& sealed = sealed_[static_cast<size_t>(queue)];
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
  return TakeOut(sealed.front());
}

Shard::Sealed Shard::Take(SegmentId segment) {
  return Info(segment).state == SegmentState::kSealed ? TakeOut(segment) : Sealed();
}

void Shard::ForgetHalfDead(SegmentId segment) {
  SegmentInfo& info = Info(segment);
  if (!std::exchange(info.half_dead, false)) return;
  half_dead_.Remove(*segments_, segment);
}

Shard::Sealed Shard::TakeHalfDead() {
  while (!half_dead_.empty()) {
    const SegmentId next = half_dead_.back();
    ForgetHalfDead(next);
    if (Info(next).state == SegmentState::kSealed) return TakeOut(next);
  }
  return {};
}

Shard::Sealed Shard::TakeExpired(base::CacheSeconds now, size_t limit) {
  if (expiry_at_ == kNoSegment) expiry_at_ = SealedAfter(kNoSegment);
  for (size_t n = 0; n < limit && expiry_at_ != kNoSegment; ++n) {
    const SegmentInfo& info = Info(expiry_at_);
    const uint32_t expired = info.expiry.Expired(now);
    if (expired > 0 && expired * 2 >= info.used) return TakeOut(expiry_at_);
    expiry_at_ = SealedAfter(expiry_at_);
  }
  return {};
}

Shard::Sealed Shard::WarmAt() {
  constexpr size_t kOpen = size_t{kQueues} * kTtlClasses;
  for (; warm_open_ < kOpen; ++warm_open_) {
    const SegmentId open = open_[warm_open_ / kTtlClasses][warm_open_ % kTtlClasses];
    if (open != kNoSegment) return {open, Info(open).used};
  }
  if (warm_open_ == kOpen) {
    ++warm_open_;
    warm_at_ = SealedAfter(kNoSegment);
  }
  if (warm_at_ != kNoSegment) return {warm_at_, Info(warm_at_).used};
  warm_open_ = 0;
  return {};
}

void Shard::WarmNext() {
  if (warm_at_ != kNoSegment) {
    warm_at_ = SealedAfter(warm_at_);
  } else {
    ++warm_open_;
  }
}

void Shard::PutBack(SegmentId segment) { Seal(segment); }

void Shard::Release(SegmentId segment) {
  SegmentInfo& info = Info(segment);
  info.state = SegmentState::kFree;
  ForgetHalfDead(segment);
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
  SegmentInfo& info = Info(segment);
  // Freed since, it is anybody's.
  if (info.generation.load(std::memory_order_relaxed) != generation) return;
  if (!std::exchange(info.half_dead, true)) half_dead_.PushBack(*segments_, segment);
}

}  // namespace atoll::store
