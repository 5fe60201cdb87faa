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
  directory_.Clear(pool_);
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
    directory_.Start(ExtentRef(first));
  }
  if (const Extent* extent = ExtentOf(tag); extent->erased > extent->buckets * kSlotsPerBucket) {
    Rebuild(tag);
  }
  Extent* const extent = ExtentOf(tag);
  // Few entries and yet no room near by: equal tags, which growing would not part.
  const bool crowded = extent->used * 3 < extent->buckets * kSlotsPerBucket * 2;
  if (!Place(extent, slot, crowded ? kMaxBuckets : kUsualProbes) && !Grow(slot) &&
      !Place(extent, slot, kMaxBuckets)) {
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

bool Index::Plan::Fits(uint32_t extent_buckets, uint32_t extent_depth, absl::Span<const Slot> slots,
                       uint32_t max_probes) {
  buckets = extent_buckets;
  depth = extent_depth;
  std::array<uint32_t, kMaxBuckets> counts{};
  for (const Slot slot : slots) ++counts[ExtentRef::Home(slot.tag(), buckets, depth)];
  // What passes the last bucket begins anew at the first, in front of what belongs there: how much
  // that is takes a round of its own. No more rounds, as there is a place for each.
  uint32_t end = 0;
  for (uint32_t i = 0; i < buckets; ++i) end = std::max(end, i * kSlotsPerBucket) + counts[i];
  const uint32_t places = buckets * kSlotsPerBucket;
  end = end > places ? end - places : 0;
  overflowed = 0;
  for (uint32_t i = 0; i < buckets; ++i) {
    next[i] = std::max(end, i * kSlotsPerBucket);
    end = next[i] + counts[i];
    if (end <= (i + 1) * kSlotsPerBucket || counts[i] == 0) continue;
    const uint32_t passed = (end - 1) / kSlotsPerBucket - i;
    if (passed >= max_probes) return false;
    for (uint32_t at = i; at < i + passed; ++at) overflowed |= uint64_t{1} << at % buckets;
  }
  return true;
}

Index::Extent* Index::Build(const Plan& plan, absl::Span<const Slot> slots) {
  Extent* const extent = NewExtent(plan.buckets, plan.depth);
  if (extent == nullptr) return nullptr;
  extent->overflowed = plan.overflowed;
  extent->used = static_cast<uint32_t>(slots.size());
  std::array<uint32_t, kMaxBuckets> next = plan.next;
  const uint32_t places = plan.buckets * kSlotsPerBucket;
  for (const Slot slot : slots) {
    uint32_t at = next[extent->Home(slot.tag())]++;
    if (at >= places) at -= places;
    extent->bucket(at / kSlotsPerBucket)->slots[at % kSlotsPerBucket] = slot;
  }
  return extent;
}

Index::Extent* Index::Build(uint32_t at_least, uint32_t depth, absl::Span<const Slot> slots) {
  Plan plan;
  for (uint32_t buckets = std::max(at_least, 1u); buckets <= kMaxBuckets;
       buckets = std::max(buckets + 1, buckets * 9 / 8)) {
    if (size_t{buckets} * kSlotsPerBucket <= slots.size()) continue;
    const bool crowded = slots.size() * 3 < size_t{buckets} * kSlotsPerBucket * 2;
    if (plan.Fits(buckets, depth, slots, crowded ? kMaxBuckets : kUsualProbes)) {
      return Build(plan, slots);
    }
  }
  return nullptr;
}

absl::Span<const Slot> Index::SlotsOf(const Extent& extent, Slots* slots) {
  const uint32_t buckets = extent.buckets;
  for (uint32_t i = 0; i < buckets; ++i) __builtin_prefetch(extent.bucket(i));
  size_t count = 0;
  for (uint32_t i = 0; i < buckets; ++i) {
    // Without a branch: whether a place is empty cannot be foreseen.
    for (const Slot slot : extent.bucket(i)->slots) {
      (*slots)[count] = slot;
      count += slot.empty() ? 0 : 1;
    }
  }
  return absl::MakeConstSpan(slots->data(), count);
}

void Index::Rebuild(uint32_t tag) {
  Extent* const old = ExtentOf(tag);
  old->erased = 0;  // if it cannot be rebuilt, not again at once
  const uint32_t buckets = old->used * 9 / 8 / kSlotsPerBucket + 1;
  Slots slots;
  Extent* const anew = Build(std::min(buckets, old->buckets), old->depth, SlotsOf(*old, &slots));
  if (anew == nullptr) return;
  Replace(old, anew, tag);
  FreeExtent(old);
}

bool Index::Grow(Slot slot) {
  const uint32_t tag = slot.tag();
  Extent* const old = ExtentOf(tag);
  Slots all;
  const size_t held = SlotsOf(*old, &all).size();
  all[held] = slot;
  const auto slots = absl::MakeConstSpan(all.data(), held + 1);
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
  return Split(old, slots, tag);
}

bool Index::Split(Extent* old, absl::Span<const Slot> slots, uint32_t tag) {
  if (old->depth >= kMaxDepth) return false;
  const uint32_t depth = old->depth + 1;
  const uint32_t bit = 1u << (Slot::kTagBits - depth);
  std::array<Slots, 2> halves;
  std::array<size_t, 2> counts{};
  for (const Slot slot : slots) {
    const size_t half = (slot.tag() & bit) != 0 ? 1 : 0;
    halves[half][counts[half]++] = slot;
  }
  std::array<Extent*, 2> built{};
  for (size_t i = 0; i < 2; ++i) {
    const auto half = absl::MakeConstSpan(halves[i].data(), counts[i]);
    const size_t buckets = half.size() * 9 / 8 / kSlotsPerBucket + 1;
    built[i] = Build(static_cast<uint32_t>(buckets), depth, half);
    // All slots in one half, close together: as many buckets as there are, and the longest way.
    if (built[i] == nullptr) {
      Plan plan;
      if (half.size() <= size_t{kMaxBuckets} * kSlotsPerBucket &&
          plan.Fits(kMaxBuckets, depth, half, kMaxBuckets)) {
        built[i] = Build(plan, half);
      }
    }
    if (built[i] == nullptr) {
      if (i > 0) FreeExtent(built[0]);
      return false;
    }
  }
  if (depth > Depth()) directory_.Double(pool_);
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
