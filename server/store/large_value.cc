#include "server/store/large_value.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

namespace atoll::store {
namespace {

constexpr uint64_t kAllFree = ~uint64_t{0};
constexpr uint32_t kNoPlace = ~uint32_t{0};

uint64_t Mask(uint32_t first, uint32_t count) {
  return (count == 64 ? kAllFree : (uint64_t{1} << count) - 1) << first;
}

}  // namespace

PagePool::PagePool(std::shared_ptr<Arena> arena)
    : arena_(std::move(arena)), page_bytes_(arena_->segment_bytes() / kPagesPerSegment) {
  base::MutexLock lock(mu_);
  free_.resize(arena_->segment_count(), 0);
  place_.resize(arena_->segment_count(), kNoPlace);
}

void PagePool::SetFreeLocked(SegmentId id, uint64_t free) {
  const auto usable = [](uint64_t mask) { return mask == kAllFree ? 0 : std::popcount(mask); };
  free_pages_.fetch_add(static_cast<uint64_t>(int64_t{usable(free)} - usable(free_[id])),
                        std::memory_order_relaxed);
  free_[id] = free;
  if (free != 0 && free != kAllFree) {
    if (place_[id] == kNoPlace) {
      place_[id] = static_cast<uint32_t>(partial_.size());
      partial_.push_back(id);
    }
    return;
  }
  if (place_[id] != kNoPlace) {
    partial_[place_[id]] = partial_.back();
    place_[partial_.back()] = place_[id];
    partial_.pop_back();
    place_[id] = kNoPlace;
  }
  if (free == kAllFree) {
    free_[id] = 0;
    arena_->Free(id);
  }
}

void PagePool::Allocate(uint32_t* pages, std::vector<PageRun>* runs) {
  // Locked for one segment at a time: 64 MiB are hundreds of them.
  while (*pages > 0) {
    base::MutexLock lock(mu_);
    SegmentId id = kNoSegment;
    uint64_t free = 0;
    if (*pages < kPagesPerSegment && !partial_.empty()) {
      id = partial_.back();
      free = free_[id];
    } else {
      id = arena_->Allocate(/*from_reserve=*/false);
      free = kAllFree;
      if (id == kNoSegment && !partial_.empty()) {
        id = partial_.back();
        free = free_[id];
      }
    }
    if (id == kNoSegment) return;
    while (*pages > 0 && free != 0) {
      const auto first = static_cast<uint32_t>(std::countr_zero(free));
      const auto count = std::min(*pages, static_cast<uint32_t>(std::countr_one(free >> first)));
      free &= ~Mask(first, count);
      runs->push_back({id, first, count});
      *pages -= count;
    }
    SetFreeLocked(id, free);
  }
}

void PagePool::Free(std::vector<PageRun> runs) {
  if (runs.size() <= kRunsAtOnce) return FreeRuns(runs);
  base::MutexLock lock(mu_);
  ended_.push_back(std::move(runs));
  any_ended_.store(true, std::memory_order_relaxed);
}

bool PagePool::FreeSome() {
  if (!any_ended_.load(std::memory_order_relaxed)) return false;
  std::array<PageRun, kRunsAtOnce> some;
  size_t count = 0;
  {
    base::MutexLock lock(mu_);
    if (ended_.empty()) return false;
    std::vector<PageRun>& last = ended_.back();
    for (; count < some.size() && !last.empty(); ++count) {
      some[count] = last.back();
      last.pop_back();
    }
    if (last.empty()) ended_.pop_back();
    any_ended_.store(!ended_.empty(), std::memory_order_relaxed);
  }
  FreeRuns(absl::MakeConstSpan(some.data(), count));
  return true;
}

void PagePool::FreeRuns(absl::Span<const PageRun> runs) {
  for (const PageRun& run : runs) {
    base::MutexLock lock(mu_);
    SetFreeLocked(run.segment, free_[run.segment] | Mask(run.first, run.count));
  }
}

LargeValue::LargeValue(std::shared_ptr<PagePool> pool, uint64_t size)
    : pool_(std::move(pool)),
      size_(size),
      pages_missing_(
          static_cast<uint32_t>((size + pool_->page_bytes() - 1) / pool_->page_bytes())) {}

LargeValue::~LargeValue() {
  pool_->Free(std::move(runs_));
  if (metadata_charged_ != 0) pool_->arena().Charge(-metadata_charged_);
}

bool LargeValue::AllocateMore() {
  pool_->Allocate(&pages_missing_, &runs_);
  if (pages_missing_ > 0) return false;
  runs_.shrink_to_fit();
  metadata_charged_ =
      static_cast<int64_t>(sizeof(LargeValue) + 48 + runs_.size() * sizeof(PageRun));
  pool_->arena().Charge(metadata_charged_);
  return true;
}

uint64_t LargeValue::charge() const {
  return (size_ + pool_->page_bytes() - 1) / pool_->page_bytes() * pool_->page_bytes();
}

void LargeValue::Write(absl::Span<const std::string_view> pieces) {
  size_t run = 0;
  uint64_t in_run = 0;
  for (std::string_view piece : pieces) {
    while (!piece.empty()) {
      const uint64_t room = uint64_t{runs_[run].count} * pool_->page_bytes() - in_run;
      const size_t part = static_cast<size_t>(std::min<uint64_t>(room, piece.size()));
      std::memcpy(pool_->At(runs_[run]) + in_run, piece.data(), part);
      piece.remove_prefix(part);
      in_run += part;
      if (part == room) {
        ++run;
        in_run = 0;
      }
    }
  }
}

bool LargeValue::Read(const std::shared_ptr<LargeValue>& value, uint64_t cap, Value* out) {
  PagePool& pool = *value->pool_;
  const uint64_t charge = value->charge();
  if (value->pins_.fetch_add(1, std::memory_order_relaxed) == 0) {
    // What is the only pinned value may be as large as it likes.
    const uint64_t before = pool.pinned_bytes.fetch_add(charge, std::memory_order_relaxed);
    if (before > 0 && before + charge > cap) {
      value->Unpin();
      return false;
    }
  }
  absl::InlinedVector<std::string_view, 16> pieces;
  uint64_t left = value->size_;
  for (const PageRun& run : value->runs_) {
    const uint64_t bytes = std::min<uint64_t>(left, uint64_t{run.count} * pool.page_bytes());
    pieces.push_back({pool.At(run), static_cast<size_t>(bytes)});
    left -= bytes;
  }
  *out = Value(pieces,
               std::shared_ptr<const void>(value.get(), [value](const void*) { value->Unpin(); }));
  return true;
}

void LargeValue::Unpin() {
  if (pins_.fetch_sub(1, std::memory_order_relaxed) == 1) {
    pool_->pinned_bytes.fetch_sub(charge(), std::memory_order_relaxed);
  }
}

}  // namespace atoll::store
