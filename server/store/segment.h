// What is known of each segment of the log, beside its bytes.
//
// A segment is free, open (entries are appended), sealed (in its queue), or being cleaned. Entries
// below `used` can be walked in any state but free, whoever owns them by now.
//
// Thread safety: see each member.
#pragma once

#include <atomic>
#include <cstdint>

#include "server/store/arena.h"
#include "server/store/expiry.h"
#include "server/store/policy.h"

namespace atoll::store {

enum class SegmentState : uint8_t { kFree, kOpen, kSealed, kCleaning };

// Its neighbours in a SegmentList.
struct SegmentLinks {
  SegmentId next = kNoSegment;
  SegmentId previous = kNoSegment;
};

struct SegmentInfo {
  // Guarded by the mutex of the segment's shard.
  SegmentState state = SegmentState::kFree;
  bool half_dead = false;  // in the shard's list of those
  uint32_t used = 0;
  ExpiryBuckets expiry;
  SegmentLinks in_queue;
  SegmentLinks among_half_dead;
  // Written at opening, before any entry is in it, and const until it is free again: who holds the
  // mutex of an entry's partition may read them.
  Queue queue = Queue::kSmall;
  uint8_t ttl_class = 0;
  uint16_t shard = 0;
  // How often it was freed. Written under the shard's mutex; whoever holds that and sees the
  // generation that it noted knows that the segment is still that shard's.
  std::atomic<uint32_t> generation{0};
  // Guarded by the cleaner's mutex: how far the warm pass came, and when it looks again.
  uint32_t warm_upto = 0;
  base::CacheSeconds warm_next = 0;
  uint32_t warm_generation = 0;
  // Bytes of entries that are no more. The last thing of a segment that who ends an entry touches:
  // release there, acquire where a wholly dead segment is freed unwalked.
  std::atomic<uint32_t> dead{0};
};

}  // namespace atoll::store
