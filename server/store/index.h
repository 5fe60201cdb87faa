// Where the entries of one partition lie: a hash table of 8 B slots that grows a piece at a time.
//
// The partition's range of hashes is cut in *extents*, each a block of up to 32 buckets of 64 B; a
// full extent grows by an eighth or splits in two, alone, so that no pause grows with the table. A
// slot holds the 22 bits of the hash below the partition's 12: enough to place it anew without a
// look at the entry. Buckets are in the order of hashes, so a cursor is a hash. An entry whose
// bucket is full lies in one of the following; `overflowed` says which buckets were passed by.
//
// Thread safety: none; guarded by the partition's mutex.
#pragma once

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "server/store/arena.h"
#include "server/store/directory.h"
#include "server/store/extent_pool.h"

namespace atoll::store {

// Where an entry lies, and how often it was read since it came into its queue (0-3).
class Slot {
 public:
  static constexpr int kTagBits = 22;
  static constexpr uint32_t kMaxFrequency = 3;

  Slot() = default;
  Slot(uint32_t tag, uint32_t frequency, SegmentId segment, uint32_t offset)
      : word_(uint64_t{tag} << 42 | uint64_t{frequency} << 40 | uint64_t{segment + 1} << 15 |
              offset / 8) {}
  static uint32_t TagOf(uint64_t hash) {
    return static_cast<uint32_t>(hash >> 30) & ((1u << kTagBits) - 1);
  }

  bool empty() const { return word_ == 0; }
  uint32_t tag() const { return static_cast<uint32_t>(word_ >> 42); }
  uint32_t frequency() const { return static_cast<uint32_t>(word_ >> 40) & 3; }
  SegmentId segment() const { return (static_cast<uint32_t>(word_ >> 15) & 0x1ffffff) - 1; }
  uint32_t offset() const { return static_cast<uint32_t>(word_ & 0x7fff) * 8; }
  bool At(SegmentId segment, uint32_t offset) const {
    return (word_ & 0xff'ffff'ffff) == (uint64_t{segment + 1} << 15 | offset / 8);
  }
  void set_frequency(uint32_t frequency) {
    word_ = (word_ & ~(uint64_t{3} << 40)) | uint64_t{frequency} << 40;
  }
  void Touch() {
    if (frequency() < kMaxFrequency) word_ += uint64_t{1} << 40;
  }

 private:
  uint64_t word_ = 0;
};

class Index {
  struct Bucket;
  struct Extent;

 public:
  Index() = default;
  ~Index();
  // Where extents come from, before anything is inserted; outlives the index.
  void SetPool(ExtentPool* pool) { pool_ = pool; }
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;

  // The first slot of this hash for which match(slot) holds, or nullptr. Valid until the next
  // Insert or Clear.
  template <typename Match>
  Slot* Find(uint64_t hash, Match match) {
    const Spot spot = SpotOf(hash);
    return spot ? FindFrom(spot, hash, match) : nullptr;
  }
  // False if no room could be made in the table: the pool has none, or there are hundreds of equal
  // tags.
  bool Insert(uint64_t hash, Slot slot);
  void Erase(Slot* slot);
  void Clear();

  uint64_t size() const { return size_; }
  // Of extents and the directory, in the pool.
  int64_t pool_bytes() const { return extent_bytes_ + directory_.pool_bytes(); }
  // Of a directory that is not there.
  int64_t heap_bytes() const { return directory_.heap_bytes(); }
  // Where a Find of a hash begins, valid until the next Insert or Clear. Its lines may be asked
  // for: the bucket, behind which lies the next, and the head of their extent, which says whether
  // it ends there. Making one touches no other lines than the directory's. (gcc drops calls to what
  // does nothing but prefetch, so this does not.)
  class Spot {
   public:
    Spot() = default;
    explicit operator bool() const { return bucket_ != nullptr; }
    const char* bucket() const { return reinterpret_cast<const char*>(bucket_); }
    const char* head() const { return reinterpret_cast<const char*>(extent_); }

   private:
    friend class Index;
    Spot(Bucket* bucket, Extent* extent) : bucket_(bucket), extent_(extent) {}
    Bucket* bucket_ = nullptr;
    Extent* extent_ = nullptr;
  };
  // None if the index is empty.
  Spot SpotOf(uint64_t hash) const {
    if (directory_.empty()) return {};
    const uint32_t tag = Slot::TagOf(hash);
    const ExtentRef ref = directory_[PlaceOf(tag)];
    Extent* const extent = ref.extent();
    return {extent->bucket(ref.Home(tag)), extent};
  }
  // As Find, from the spot of this hash on.
  template <typename Match>
  static Slot* FindFrom(Spot spot, uint64_t hash, Match match);

  // Adds the slots of the tags from `tag` to, not with, the one that it returns, in no order: a
  // sixteenth of an extent, some 12 slots, so that what is done with them fits under one lock. 1 <<
  // kTagBits is the end.
  uint32_t SlotsFrom(uint32_t tag, std::vector<Slot*>* slots);
  static constexpr uint32_t kPartsOfExtent = 16;

 private:
  static constexpr uint32_t kSlotsPerBucket = 8;
  // To split as many as these hold takes some 4 us of the 20 that a lock may be held.
  static constexpr uint32_t kMaxBuckets = 32;
  static constexpr uint32_t kExtentAlign = 64;
  // Splits end here; a partition then has 15 M entries or so.
  static constexpr uint32_t kMaxDepth = 16;
  struct alignas(64) Bucket {
    std::array<Slot, kSlotsPerBucket> slots;
    // A bit for each slot of this tag, for each empty one too if that is 0. Without a branch for
    // each slot, none of which could be foreseen.
    uint32_t Equal(uint32_t tag) const {
#ifdef __SSE2__
      // The upper halves of four slots; the tag is what of them is above 10 bits.
      const auto four = [this, tag](size_t first) {
        const auto* const at = reinterpret_cast<const float*>(slots.data() + first);
        const __m128 uppers =
            _mm_shuffle_ps(_mm_load_ps(at), _mm_load_ps(at + 4), _MM_SHUFFLE(3, 1, 3, 1));
        return _mm_cmpeq_epi32(_mm_srli_epi32(_mm_castps_si128(uppers), 10),
                               _mm_set1_epi32(static_cast<int>(tag)));
      };
      const __m128i eight = _mm_packs_epi32(four(0), four(4));
      return static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(eight, eight))) & 0xff;
#else
      uint32_t equal = 0;
      for (uint32_t i = 0; i < kSlotsPerBucket; ++i) {
        equal |= static_cast<uint32_t>(slots[i].tag() == tag) << i;
      }
      return equal;
#endif
    }
  };
  struct alignas(64) Extent {
    uint64_t overflowed = 0;  // bit: an entry that belongs there, or passed there, lies further on
    uint32_t buckets = 0;
    uint32_t used = 0;
    uint32_t erased = 0;  // since it was built
    uint32_t depth = 0;   // how many leading bits of the tag all its entries share
    Bucket* bucket(uint32_t i) { return reinterpret_cast<Bucket*>(this + 1) + i; }
    const Bucket* bucket(uint32_t i) const { return reinterpret_cast<const Bucket*>(this + 1) + i; }
    uint32_t Home(uint32_t tag) const { return ExtentRef::Home(tag, buckets, depth); }
  };
  // Where an extent is, and what a look-up needs to know of it: one miss fewer. Extents lie at
  // multiples of kExtentAlign, and addresses have 48 bits.
  class ExtentRef {
   public:
    ExtentRef() = default;
    explicit ExtentRef(Extent* extent)
        : word_(reinterpret_cast<uint64_t>(extent) | (extent->buckets - 1) |
                uint64_t{extent->depth} << 48) {}
    Extent* extent() const {
      // NOLINTNEXTLINE(performance-no-int-to-ptr): an address that shares its word.
      return reinterpret_cast<Extent*>(word_ & ((uint64_t{1} << 48) - kExtentAlign));
    }
    uint32_t Home(uint32_t tag) const {
      return Home(tag, static_cast<uint32_t>(word_ % kExtentAlign) + 1,
                  static_cast<uint32_t>(word_ >> 48));
    }
    static uint32_t Home(uint32_t tag, uint32_t buckets, uint32_t depth) {
      // What of the tag is below the depth, as a fraction of the extent's range.
      const uint32_t fraction = tag << (32 - Slot::kTagBits + depth);
      return static_cast<uint32_t>(uint64_t{fraction} * buckets >> 32);
    }

   private:
    uint64_t word_ = 0;
  };
  static_assert(kMaxBuckets <= kExtentAlign);

  // Which of the directory's places is a tag's.
  uint32_t PlaceOf(uint32_t tag) const { return tag >> (Slot::kTagBits - Depth()); }
  uint32_t Depth() const { return directory_.depth(); }
  Extent* ExtentOf(uint32_t tag) const {
    return directory_.empty() ? nullptr : directory_[PlaceOf(tag)].extent();
  }
  // nullptr if the pool has no room.
  Extent* NewExtent(uint32_t buckets, uint32_t depth);
  void FreeExtent(Extent* extent);
  // As many as an extent has places, and one that finds none.
  using Slots = std::array<Slot, size_t{kMaxBuckets} * kSlotsPerBucket + 1>;
  // Those of the extent, in `slots`.
  static absl::Span<const Slot> SlotsOf(const Extent& extent, Slots* slots);
  static bool Place(Extent* extent, Slot slot, uint32_t max_probes);
  // Where slots will lie, found by counting before any is placed: a try that fails costs little.
  struct Plan {
    uint32_t buckets = 0;
    uint32_t depth = 0;
    uint64_t overflowed = 0;
    // Of each bucket's slots the first one's place; from the number of places on, from 0 again.
    std::array<uint32_t, kMaxBuckets> next;

    // Whether each would lie within so many buckets from its own. There is a place for each.
    bool Fits(uint32_t extent_buckets, uint32_t extent_depth, absl::Span<const Slot> slots,
              uint32_t max_probes);
  };
  // nullptr if the pool has no room.
  Extent* Build(const Plan& plan, absl::Span<const Slot> slots);
  // One with room for all of `slots`; nullptr if kMaxBuckets are not enough, or the pool has no
  // room.
  Extent* Build(uint32_t at_least, uint32_t depth, absl::Span<const Slot> slots);
  // These take a slot in for which there is no place near by, the last of `slots`, or do nothing.
  // Planned together with it an extent is built once; where tags lie close together one that had
  // grown without it was up to eight times over not large enough, all under one lock.
  bool Grow(Slot slot);
  bool Split(Extent* old, absl::Span<const Slot> slots, uint32_t tag);
  // Anew, as large as it must be: erased entries leave their `overflowed` behind.
  void Rebuild(uint32_t tag);
  void Replace(Extent* old, Extent* with, uint32_t first_tag);

  // One extent may fill many places.
  Directory<ExtentRef> directory_;
  ExtentPool* pool_ = nullptr;
  uint64_t size_ = 0;
  int64_t extent_bytes_ = 0;
};

template <typename Match>
Slot* Index::FindFrom(Spot spot, uint64_t hash, Match match) {
  const uint32_t tag = Slot::TagOf(hash);
  Bucket* bucket = spot.bucket_;
  for (uint32_t probes = 0;;) {
    for (uint32_t equal = bucket->Equal(tag); equal != 0; equal &= equal - 1) {
      Slot& slot = bucket->slots[static_cast<size_t>(std::countr_zero(equal))];
      if (!slot.empty() && match(slot)) return &slot;
    }
    // Most look-ups end without a look at the extent's head.
    Extent& extent = *spot.extent_;
    const auto at = static_cast<uint32_t>(bucket - extent.bucket(0));
    if ((extent.overflowed >> at & 1) == 0 || ++probes == extent.buckets) return nullptr;
    bucket = at + 1 == extent.buckets ? extent.bucket(0) : bucket + 1;
  }
}

}  // namespace atoll::store
