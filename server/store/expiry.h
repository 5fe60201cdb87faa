// Classes of time to live, and how a segment counts what will have expired when.
//
// Entries that live about as long lie in the same segments, so that a segment's entries expire
// together and cleaning it copies little.
//
// Thread safety: plain values.
#pragma once

#include <array>
#include <cstdint>

#include "base/clock.h"

namespace atoll::store {

inline constexpr int kTtlClasses = 3;

// 0: at most 15 minutes; 1: at most 4 hours; 2: longer, or never.
inline int TtlClassOf(base::CacheSeconds expiry, base::CacheSeconds now) {
  if (expiry == 0) return 2;
  const uint32_t left = expiry > now ? expiry - now : 0;
  return left <= 15 * 60 ? 0 : left <= 4 * 3600 ? 1 : 2;
}

// Bytes of a segment by the time they expire: 16 buckets from when it was opened.
class ExpiryBuckets {
 public:
  void Open(int ttl_class, base::CacheSeconds now) {
    bytes_.fill(0);
    opened_ = now;
    class_ = static_cast<uint8_t>(ttl_class);
  }
  void Add(base::CacheSeconds expiry, uint32_t bytes) {
    if (expiry == 0) return;
    const uint32_t bucket = (expiry > opened_ ? expiry - opened_ : 0) / Width();
    // Beyond the last: eviction comes first, or compaction opens anew.
    if (bucket < bytes_.size()) bytes_[bucket] += bytes;
  }
  uint32_t Expired(base::CacheSeconds now) const {
    uint32_t expired = 0;
    for (uint32_t i = 0; i < bytes_.size() && opened_ + (i + 1) * Width() <= now; ++i) {
      expired += bytes_[i];
    }
    return expired;
  }
  // An open segment older than this is sealed, so that expiry can clean it.
  bool Aged(base::CacheSeconds now) const {
    return class_ != 2 && now - opened_ >= 8 * Width() && now > opened_;
  }
  base::CacheSeconds opened() const { return opened_; }

 private:
  // 16 buckets span what a class may live, and the time that a segment stays open.
  uint32_t Width() const { return class_ == 0 ? 90 : class_ == 1 ? 1350 : 6 * 3600; }

  std::array<uint32_t, 16> bytes_{};
  base::CacheSeconds opened_ = 0;
  uint8_t class_ = 0;
};

}  // namespace atoll::store
