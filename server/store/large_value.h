// Values above kInlineValueBytes: pages in segments of their own, referenced by their readers.
//
// A segment has 64 pages. A value is a list of runs of pages, each within one segment, so that free
// pages anywhere serve it. It is written before its entry exists and never changed after: nobody
// sees a part of it. Whoever drops the last reference gives the pages back, on any thread, under
// other locks too; that takes two short locks and no callback. Where they are many, they are only
// handed over, and FreeSome gives them back bit by bit.
//
// Thread safety: all methods may be called by any thread.
// Lifetime: an entry owns its value; readers share it; the pool outlives both.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "base/mutex.h"
#include "server/store/arena.h"
#include "server/store/value.h"

namespace atoll::store {

struct PageRun {
  SegmentId segment = kNoSegment;
  uint32_t first = 0;
  uint32_t count = 0;
};

// Free pages of the segments that hold large values.
class PagePool {
 public:
  static constexpr uint32_t kPagesPerSegment = 64;

  explicit PagePool(std::shared_ptr<Arena> arena);

  uint32_t page_bytes() const { return page_bytes_; }
  // Adds runs until `*pages` is nought, or no more are to be had: call again when there is room.
  void Allocate(uint32_t* pages, std::vector<PageRun>* runs);
  void Free(std::vector<PageRun> runs);
  // A step of what Free left to do. False if there was nothing.
  bool FreeSome();
  char* At(const PageRun& run) const {
    return arena_->At(run.segment) + uint64_t{run.first} * page_bytes_;
  }

  Arena& arena() { return *arena_; }
  // Of values that readers hold.
  std::atomic<uint64_t> pinned_bytes{0};
  // Pages that may be had without a new segment.
  uint64_t FreePages() const { return free_pages_.load(std::memory_order_relaxed); }

 private:
  // A run takes up to a tenth of a microsecond.
  static constexpr size_t kRunsAtOnce = 32;
  void FreeRuns(absl::Span<const PageRun> runs);
  void SetFreeLocked(SegmentId id, uint64_t free) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::shared_ptr<Arena> arena_;
  const uint32_t page_bytes_;
  std::atomic<uint64_t> free_pages_{0};  // written under mu_, read as a hint
  base::Mutex mu_;
  // By segment: a bit for each free page.
  std::vector<uint64_t> free_ ABSL_GUARDED_BY(mu_);
  // Segments with free pages, and where each stands in that list.
  std::vector<SegmentId> partial_ ABSL_GUARDED_BY(mu_);
  std::vector<uint32_t> place_ ABSL_GUARDED_BY(mu_);
  // Of values that are no more.
  std::vector<std::vector<PageRun>> ended_ ABSL_GUARDED_BY(mu_);
  std::atomic<bool> any_ended_{false};  // a hint: whether there are any
};

class LargeValue {
 public:
  // Without room for all of it yet: Fill it up by AllocateMore.
  LargeValue(std::shared_ptr<PagePool> pool, uint64_t size);
  ~LargeValue();
  LargeValue(const LargeValue&) = delete;
  LargeValue& operator=(const LargeValue&) = delete;

  // Whether all pages are there now.
  bool AllocateMore();
  void Write(absl::Span<const std::string_view> pieces);

  uint64_t size() const { return size_; }
  // What it takes of memory.
  uint64_t charge() const;
  // A reference for a reader; the value's pages are pinned until it goes. False, if `size` more
  // would exceed `cap` pinned bytes.
  static bool Read(const std::shared_ptr<LargeValue>& value, uint64_t cap, Value* out);

  // The entry's own reference. Guarded by the mutex of its partition.
  std::shared_ptr<LargeValue> self;

 private:
  void Unpin();

  const std::shared_ptr<PagePool> pool_;
  const uint64_t size_;
  uint32_t pages_missing_;
  int64_t metadata_charged_ = 0;
  std::vector<PageRun> runs_;
  // Readers. Relaxed: the pages' lifetime hangs on the shared_ptr, this is a figure.
  std::atomic<uint32_t> pins_{0};
};

}  // namespace atoll::store
