// Keys whose value was a large one when it was read last: it is asked for at once on the stream
// that may bring it, instead of on one that can only tell that it is too large.
//
// A guess: one key takes another's place, and a value may have become another. So it is right to
// ask that way for any key, and only dearer for a small value.
//
// Thread safety: all methods.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace atoll::client {

class LargeKeys {
 public:
  static constexpr size_t kPlaces = 1024;

  // `hash`: base::HashKey.
  bool Has(uint64_t hash) const { return PlaceOf(hash) == hash && hash != 0; }
  void Note(uint64_t hash, bool large) {
    std::atomic<uint64_t>& place = places_[hash % kPlaces];
    const uint64_t before = place.load(std::memory_order_relaxed);
    if (large ? before != hash : before == hash) {
      place.store(large ? hash : 0, std::memory_order_relaxed);
    }
  }

 private:
  uint64_t PlaceOf(uint64_t hash) const {
    return places_[hash % kPlaces].load(std::memory_order_relaxed);
  }

  // Relaxed: a guess.
  std::array<std::atomic<uint64_t>, kPlaces> places_{};
};

}  // namespace atoll::client
