// Memory of the index: runs of lines of 64 B, in segments of the arena of its own.
//
// The general allocator took half as much again for an index that grows, in size classes and in
// pages that its extents had outgrown. A run lies within one segment. Segments are listed by their
// longest free run: the one where a run fits most closely gives it, so that holes are used up and
// an allocation takes a microsecond however large the index is.
//
// Thread safety: all methods may be called by any thread. Lifetime: the arena outlives it.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/mutex.h"
#include "server/store/arena.h"

namespace atoll::store {

class ExtentPool {
 public:
  static constexpr uint32_t kLineBytes = 64;
  static constexpr uint32_t kMaxLines = 65;

  explicit ExtentPool(Arena* arena);

  // 1 to kMaxLines, uninitialized, at a multiple of kLineBytes. nullptr if the arena has no segment
  // left.
  void* Allocate(uint32_t lines);
  void Free(void* at, uint32_t lines);
  // How many runs were handed out so far: what a step of the index's may cost is counted in these.
  uint64_t Allocations() const;

 private:
  struct Segment {
    uint64_t* used = nullptr;  // a bit a line: its own first lines, so that no heap is asked
    uint32_t free_lines = 0;
    // In its list: linked, as the heap took 90 us to make an array of them longer.
    SegmentId next = kNoSegment;
    SegmentId previous = kNoSegment;
    uint8_t longest = 0;  // free run, at most kMaxLines
  };

  // Calls visit(first, lines) for each free run.
  template <typename Visit>
  void ForEachRun(const Segment& segment, Visit visit) const;
  // Where a run of `lines` is left that fits most closely; there is one.
  uint32_t ClosestRun(const Segment& segment, uint32_t lines) const;
  static void Mark(Segment& segment, uint32_t first, uint32_t lines, bool used);
  bool AddSegmentLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ListLocked(SegmentId id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void UnlistLocked(SegmentId id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Arena* const arena_;
  const uint32_t lines_per_segment_;
  const uint32_t map_lines_;  // those are
  mutable base::Mutex mu_;
  uint64_t allocations_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<Segment> segments_ ABSL_GUARDED_BY(mu_);  // by id; others' are empty
  std::array<SegmentId, kMaxLines + 1> by_longest_ ABSL_GUARDED_BY(mu_);  // first ones
};

}  // namespace atoll::store
