// A group of partitions that fills segments and gives them up together: open segments by queue and
// TTL class, the two queues of sealed ones, and the ghost.
//
// Thread safety: guarded by `mu`, but for the atomics. Lock order: partition, then shard.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "base/mutex.h"
#include "server/store/arena.h"
#include "server/store/ghost.h"
#include "server/store/policy.h"
#include "server/store/segment.h"
#include "server/store/segment_list.h"

namespace atoll::store {

class Shard {
 public:
  struct Place {
    SegmentId segment = kNoSegment;
    uint32_t offset = 0;
    char* at = nullptr;  // nullptr: no room
  };
  struct Sealed {
    SegmentId segment = kNoSegment;
    uint32_t used = 0;
  };

  // Neither is owned.
  void Init(uint16_t number, Arena* arena, std::vector<SegmentInfo>* segments);

  // Room for an entry. The caller writes it before it lets go of `mu`.
  Place Append(Queue queue, int ttl_class, uint32_t bytes, base::CacheSeconds expiry,
               base::CacheSeconds now, bool from_reserve) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // The oldest sealed segment of the queue (the fullest open one if there is none), as being
  // cleaned. kNoSegment if there is nothing in it at all.
  Sealed TakeOldest(Queue queue, bool seal_open = true) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // This one, if it is sealed.
  Sealed Take(SegmentId segment) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // One with half of it dead, as far as is known.
  Sealed TakeHalfDead() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // One with half of it expired, among the next `limit` of a walk through the sealed ones.
  Sealed TakeExpired(base::CacheSeconds now, size_t limit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Whether that walk has come to the end, and begins anew.
  bool ExpiryWalkEnded() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    return expiry_at_ == kNoSegment;
  }
  // Where a walk through the open and sealed ones stands, in no lasting order; kNoSegment at the
  // end, after which it begins anew.
  Sealed WarmAt() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void WarmNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Not to be cleaned now after all: to the end of its queue.
  void PutBack(SegmentId segment) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void Release(SegmentId segment) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Seals open segments that expiry waits for.
  void SealAged(base::CacheSeconds now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void NoteHalfDead(SegmentId segment, uint32_t generation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  size_t SealedCount() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    return sealed_[0].size() + sealed_[1].size();
  }

  // Segments and large values of a queue.
  uint64_t BytesOf(Queue queue) const {
    return bytes_[static_cast<size_t>(queue)].load(std::memory_order_relaxed);
  }
  uint64_t Bytes() const { return BytesOf(Queue::kSmall) + BytesOf(Queue::kMain); }
  void AddBytes(Queue queue, int64_t bytes) {
    bytes_[static_cast<size_t>(queue)].fetch_add(static_cast<uint64_t>(bytes),
                                                 std::memory_order_relaxed);
  }

  mutable base::Mutex mu;
  Ghost ghost ABSL_GUARDED_BY(mu);
  // Relaxed: figures that steer, and need not agree with each other at an instant.
  std::atomic<uint64_t> items{0};
  std::atomic<uint32_t> partitions{0};
  // Cleaning it gave nothing so many times; guarded by the cleaner's mutex.
  uint32_t fruitless = 0;

 private:
  void Seal(SegmentId segment) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Out of its queue, to be cleaned.
  Sealed TakeOut(SegmentId segment) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void ForgetHalfDead(SegmentId segment) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // The sealed one behind it, through both queues; the first if it is kNoSegment.
  SegmentId SealedAfter(SegmentId segment) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  SegmentInfo& Info(SegmentId segment) const { return (*segments_)[segment]; }

  uint16_t number_ = 0;
  Arena* arena_ = nullptr;
  std::vector<SegmentInfo>* segments_ = nullptr;
  std::array<std::array<SegmentId, kTtlClasses>, kQueues> open_ ABSL_GUARDED_BY(mu);
  std::array<SegmentList<&SegmentInfo::in_queue>, kQueues> sealed_ ABSL_GUARDED_BY(mu);
  SegmentList<&SegmentInfo::among_half_dead> half_dead_ ABSL_GUARDED_BY(mu);
  // Where walks stand among the sealed ones: what leaves its queue moves them on.
  SegmentId expiry_at_ ABSL_GUARDED_BY(mu) = kNoSegment;
  SegmentId warm_at_ ABSL_GUARDED_BY(mu) = kNoSegment;
  size_t warm_open_ ABSL_GUARDED_BY(mu) = 0;  // of the open ones, which come first
  std::array<std::atomic<uint64_t>, kQueues> bytes_{};
};

}  // namespace atoll::store
