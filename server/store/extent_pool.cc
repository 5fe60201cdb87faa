#include "server/store/extent_pool.h"

#include <algorithm>
#include <bit>

namespace atoll::store {

ExtentPool::ExtentPool(Arena* arena)
    : arena_(arena),
      lines_per_segment_(arena->segment_bytes() / kLineBytes),
      map_lines_(lines_per_segment_ / 8 / kLineBytes) {
  base::MutexLock lock(mu_);
  segments_.resize(arena->segment_count());
  by_longest_.fill(kNoSegment);
}

template <typename Visit>
void ExtentPool::ForEachRun(const Segment& segment, Visit visit) const {
  uint32_t run = 0;
  uint32_t line = 0;
  while (line < lines_per_segment_) {
    const uint32_t left = 64 - line % 64;
    const uint64_t used = segment.used[line / 64] >> (line % 64);
    const uint32_t free = std::min(left, static_cast<uint32_t>(std::countr_zero(used)));
    run += free;
    line += free;
    if (free == left) continue;
    if (run > 0) visit(line - run, run);
    run = 0;
    line += static_cast<uint32_t>(std::countr_one(used >> free));
  }
  if (run > 0) visit(line - run, run);
}

uint32_t ExtentPool::ClosestRun(const Segment& segment, uint32_t lines) const {
  uint32_t closest = 0;
  uint32_t closest_lines = lines_per_segment_ + 1;
  ForEachRun(segment, [&](uint32_t first, uint32_t run) {
    if (run < lines || run >= closest_lines) return;
    closest = first;
    closest_lines = run;
  });
  return closest;
}

void ExtentPool::Mark(Segment& segment, uint32_t first, uint32_t lines, bool used) {
  for (uint32_t line = first; line < first + lines;) {
    const uint32_t count = std::min(first + lines - line, 64 - line % 64);
    const uint64_t mask = (count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1) << (line % 64);
    uint64_t& word = segment.used[line / 64];
    word = used ? word | mask : word & ~mask;
    line += count;
  }
}

void ExtentPool::ListLocked(SegmentId id) {
  Segment& segment = segments_[id];
  uint32_t longest = 0;
  ForEachRun(segment, [&](uint32_t, uint32_t run) { longest = std::max(longest, run); });
  segment.longest = static_cast<uint8_t>(std::min(longest, kMaxLines));
  SegmentId& first = by_longest_[segment.longest];
  segment.previous = kNoSegment;
  segment.next = first;
  if (first != kNoSegment) segments_[first].previous = id;
  first = id;
}

void ExtentPool::UnlistLocked(SegmentId id) {
  const Segment& segment = segments_[id];
  if (segment.next != kNoSegment) segments_[segment.next].previous = segment.previous;
  (segment.previous != kNoSegment ? segments_[segment.previous].next
                                  : by_longest_[segment.longest]) = segment.next;
}

bool ExtentPool::AddSegmentLocked() {
  const SegmentId id = arena_->Allocate(/*from_reserve=*/false);
  if (id == kNoSegment) return false;
  Segment& segment = segments_[id];
  segment.used = reinterpret_cast<uint64_t*>(arena_->At(id));
  std::fill_n(segment.used, lines_per_segment_ / 64, 0);
  Mark(segment, 0, map_lines_, true);
  segment.free_lines = lines_per_segment_ - map_lines_;
  ListLocked(id);
  return true;
}

void* ExtentPool::Allocate(uint32_t lines) {
  base::MutexLock lock(mu_);
  const auto fits = [](SegmentId first) { return first != kNoSegment; };
  auto list = std::find_if(by_longest_.begin() + lines, by_longest_.end(), fits);
  if (list == by_longest_.end()) {
    if (!AddSegmentLocked()) return nullptr;
    list = by_longest_.end() - 1;
  }
  const SegmentId id = *list;
  Segment& segment = segments_[id];
  UnlistLocked(id);
  const uint32_t first = ClosestRun(segment, lines);
  Mark(segment, first, lines, true);
  segment.free_lines -= lines;
  ++allocations_;
  ListLocked(id);
  return arena_->At(id) + uint64_t{first} * kLineBytes;
}

uint64_t ExtentPool::Allocations() const {
  base::MutexLock lock(mu_);
  return allocations_;
}

void ExtentPool::Free(void* at, uint32_t lines) {
  const auto offset = static_cast<uint64_t>(static_cast<char*>(at) - arena_->At(0));
  const auto id = static_cast<SegmentId>(offset / arena_->segment_bytes());
  const auto first = static_cast<uint32_t>(offset % arena_->segment_bytes() / kLineBytes);
  base::MutexLock lock(mu_);
  Segment& segment = segments_[id];
  UnlistLocked(id);
  Mark(segment, first, lines, false);
  segment.free_lines += lines;
  if (segment.free_lines < lines_per_segment_ - map_lines_) {
    ListLocked(id);
    return;
  }
  segment.used = nullptr;
  arena_->Free(id);
}

}  // namespace atoll::store
