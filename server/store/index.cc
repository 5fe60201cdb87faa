#include "server/store/index.h"

#include <algorithm>
#include <new>

namespace atoll::store {

static_assert(ExtentPool::kLineBytes == 64, "an extent's head and its buckets are a line each");

namespace {

// An entry further from its bucket than this makes its extent grow, if that is well filled.
constexpr uint32_t kUsualProbes = 6;

}  // namespace

Index::~Index() { Clear(); }

Index::Extent* Index::NewExtent(uint32_t buckets, uint32_t depth) {
  void* const memory = pool_->Allocate(1 + buckets);
  if (memory == nullptr) return nullptr;
  auto* const extent = new (memory) Extent;
  extent->buckets = buckets;
  extent->depth = depth;
  for (uint32_t i = 0; i < buckets; ++i) new (extent->bucket(i)) Bucket;
  extent_bytes_ += static_cast<int64_t>(sizeof(Extent) + buckets * sizeof(Bucket));
  return extent;
}

void Index::FreeExtent(Extent* extent) {
  extent_bytes_ -= static_cast<int64_t>(sizeof(Extent) + extent->buckets * sizeof(Bucket));
  pool_->Free(extent, 1 + extent->buckets);
}

void Index::Clear() {
  for (size_t i = 0; i < directory_.size();) {
    Extent* const extent = directory_[i].extent();
    i += size_t{1} << (Depth() - extent->depth);
    FreeExtent(extent);
  }
  directory_.clear();
  directory_.shrink_to_fit();
  size_ = 0;
}

bool Index::Place(Extent* extent, Slot slot, uint32_t max_probes) {
  const uint32_t home = extent->Home(slot.tag());
  const uint32_t limit = std::min(max_probes, extent->buckets);
  uint64_t passed = 0;
  uint32_t at = home;
  for (uint32_t probes = 0; probes < limit; ++probes) {
    for (Slot& place : extent->bucket(at)->slots) {
      if (!place.empty()) continue;
      place = slot;
      extent->overflowed |= passed;
      ++extent->used;
      return true;
    }
    passed |= uint64_t{1} << at;
    at = at + 1 == extent->buckets ? 0 : at + 1;
  }
  return false;
}

bool Index::Insert(uint64_t hash, Slot slot) {
  const uint32_t tag = Slot::TagOf(hash);
  if (directory_.empty()) {
    Extent* const first = NewExtent(1, 0);
    if (first == nullptr) return false;
    directory_.push_back(ExtentRef(first));
  }
  if (const Extent* extent = ExtentOf(tag); extent->erased > extent->buckets * kSlotsPerBucket) {
    Rebuild(tag);
  }
  while (true) {
    Extent* const extent = ExtentOf(tag);
    // Few entries and yet no room near by: equal tags, which growing would not part.
    const bool crowded = extent->used * 3 < extent->buckets * kSlotsPerBucket * 2;
    if (Place(extent, slot, crowded ? kMaxBuckets : kUsualProbes)) break;
    if (Grow(tag)) continue;
    if (Place(extent, slot, kMaxBuckets)) break;
    return false;
  }
  ++size_;
  return true;
}

void Index::Erase(Slot* slot) {
  Extent* const extent = ExtentOf(slot->tag());
  *slot = Slot();
  --extent->used;
  ++extent->erased;
  --size_;
}

Index::Extent* Index::Build(uint32_t at_least, uint32_t depth, const std::vector<Slot>& slots) {
  for (uint32_t buckets = std::max(at_least, 1u); buckets <= kMaxBuckets;
       buckets = std::max(buckets + 1, buckets * 9 / 8)) {
    if (buckets * kSlotsPerBucket <= slots.size()) continue;
    Extent* const extent = NewExtent(buckets, depth);
    if (extent == nullptr) return nullptr;
    const bool crowded = slots.size() * 3 < size_t{buckets} * kSlotsPerBucket * 2;
    const uint32_t probes = crowded ? kMaxBuckets : kUsualProbes;
    bool all = true;
    for (const Slot slot : slots) all = all && Place(extent, slot, probes);
    if (all) return extent;
    FreeExtent(extent);
  }
  return nullptr;
}

std::vector<Slot> Index::SlotsOf(const Extent& extent) {
  std::vector<Slot> slots;
  slots.reserve(extent.used);
  for (uint32_t i = 0; i < extent.buckets; ++i) {
    for (const Slot slot : extent.bucket(i)->slots) {
      if (!slot.empty()) slots.push_back(slot);
    }
  }
  return slots;
}

void Index::Rebuild(uint32_t tag) {
  Extent* const old = ExtentOf(tag);
  old->erased = 0;  // if it cannot be rebuilt, not again at once
  const uint32_t buckets = old->used * 9 / 8 / kSlotsPerBucket + 1;
  Extent* const anew = Build(std::min(buckets, old->buckets), old->depth, SlotsOf(*old));
  if (anew == nullptr) return;
  Replace(old, anew, tag);
  FreeExtent(old);
}

bool Index::Grow(uint32_t tag) {
  Extent* const old = ExtentOf(tag);
  const std::vector<Slot> slots = SlotsOf(*old);
  if (old->buckets < kMaxBuckets) {
    const uint32_t buckets =
        std::min(std::max(old->buckets + 1, old->buckets * 9 / 8), kMaxBuckets);
    Extent* const grown = Build(buckets, old->depth, slots);
    if (grown != nullptr) {
      Replace(old, grown, tag);
      FreeExtent(old);
      return true;
    }
  }
  return Split(tag, slots);
}

bool Index::Split(uint32_t tag, const std::vector<Slot>& slots) {
  Extent* const old = ExtentOf(tag);
  if (old->depth >= kMaxDepth) return false;
  const uint32_t depth = old->depth + 1;
  const uint32_t bit = 1u << (Slot::kTagBits - depth);
  std::array<std::vector<Slot>, 2> halves;
  for (const Slot slot : slots) halves[(slot.tag() & bit) != 0 ? 1 : 0].push_back(slot);
  std::array<Extent*, 2> built{};
  for (int i = 0; i < 2; ++i) {
    const size_t count = halves[i].size();
    built[i] = Build(static_cast<uint32_t>(count * 9 / 8 / kSlotsPerBucket + 1), depth, halves[i]);
    // All slots in one half, close together: as many buckets as there are, and the longest way.
    if (built[i] == nullptr) {
      built[i] = NewExtent(kMaxBuckets, depth);
      if (built[i] == nullptr) {
        if (i > 0) FreeExtent(built[0]);
        return false;
      }
      for (const Slot slot : halves[i]) Place(built[i], slot, kMaxBuckets);
    }
  }
  if (depth > Depth()) {
    const size_t places = directory_.size();
    directory_.resize(places * 2);
    for (size_t i = places; i-- > 0;) directory_[2 * i] = directory_[2 * i + 1] = directory_[i];
  }
  const uint32_t first = tag & ~(2 * bit - 1);
  Replace(old, built[0], first);
  Replace(old, built[1], first | bit);
  FreeExtent(old);
  return true;
}

void Index::Replace(Extent* old, Extent* with, uint32_t first_tag) {
  const uint32_t places = 1u << (Depth() - with->depth);
  const uint32_t first = PlaceOf(first_tag) & ~(places - 1);
  for (uint32_t i = first; i < first + places; ++i) {
    if (directory_[i].extent() == old) directory_[i] = ExtentRef(with);
  }
}

uint32_t Index::SlotsFrom(uint32_t tag, std::vector<Slot*>* slots) {
  Extent* const extent = ExtentOf(tag);
  if (extent == nullptr) return 1u << Slot::kTagBits;
  const uint32_t range = 1u << (Slot::kTagBits - extent->depth);
  const uint32_t part = std::max(range / kPartsOfExtent, 1u);
  const uint32_t end = (tag & ~(part - 1)) + part;
  for (uint32_t i = 0; i < extent->buckets; ++i) {
    for (Slot& slot : extent->bucket(i)->slots) {
      if (!slot.empty() && slot.tag() >= tag && slot.tag() < end) slots->push_back(&slot);
    }
  }
  return end;
}

}  // namespace atoll::store
