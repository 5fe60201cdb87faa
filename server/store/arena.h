// The memory of a node: one mapping, cut in segments that a single pool hands out, and the account
// of everything that `--memory` bounds.
//
// The mapping is as large as the whole budget, and untouched memory costs nothing; the pool hands
// out no more segments than the budget leaves beside what is charged (index, ghosts, tables). When
// a charge grows, segments that are free but were touched are given back to the kernel, so that
// resident memory stays within the budget too.
//
// Thread safety: all methods may be called by any thread. Its mutex is the innermost of the store.
// Lifetime: shared with the values handed out, so that it outlives them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "base/mutex.h"

namespace atoll::store {

using SegmentId = uint32_t;
inline constexpr SegmentId kNoSegment = ~SegmentId{0};

// Makes pages, which hold nothing yet, resident.
void Populate(char* at, uint64_t bytes);

class Arena {
 public:
  // RESOURCE_EXHAUSTED if the memory cannot be mapped. `reserved_segments` are for the cleaner.
  static absl::StatusOr<std::shared_ptr<Arena>> Create(uint64_t memory_bytes,
                                                       uint32_t reserved_segments);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  static uint32_t SegmentBytesFor(uint64_t memory_bytes);

  uint64_t memory_bytes() const { return memory_bytes_; }
  uint32_t segment_bytes() const { return segment_bytes_; }
  uint32_t segment_count() const { return segment_count_; }
  char* At(SegmentId id) const { return base_ + uint64_t{id} * segment_bytes_; }

  // kNoSegment if the budget is spent. Only the cleaner may take what is reserved.
  SegmentId Allocate(bool from_reserve);
  void Free(SegmentId id);
  // Bytes outside of the segments. Never refused: the cleaner makes up for it.
  void Charge(int64_t bytes);

  // The two that call the kernel, for who holds no lock: a step each, and whether there is another.
  bool HasSurplus() const { return surplus_.load(std::memory_order_relaxed); }
  bool ReturnSurplus();
  bool Prepare();

  // Segments that Allocate(false) could still hand out.
  uint32_t Available() const { return available_.load(std::memory_order_relaxed); }
  uint64_t UsedBytes() const;
  uint64_t ChargedBytes() const { return charged_.load(std::memory_order_relaxed); }

 private:
  struct Mapping {
    void* at = nullptr;
    uint64_t bytes = 0;
  };
  Arena(Mapping mapping, uint64_t memory_bytes, uint32_t reserved_segments);
  // Segments that fit beside what is charged.
  uint64_t RoomLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Segments of which memory is in use, or will be at once.
  uint64_t ResidentLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return uint64_t{used_} + free_resident_.size() + preparing_;
  }
  bool WantsMorePreparedLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  struct Run {
    SegmentId first = kNoSegment;
    uint32_t count = 0;
  };
  // If more is wanted. The kernel's pages of them are still to come.
  Run TakeToPrepareLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void PublishLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Mapping mapping_;
  char* const base_;  // in it, at a multiple of a huge page
  const uint64_t memory_bytes_;
  const uint32_t segment_bytes_;
  const uint32_t segment_count_;
  const uint32_t reserved_;
  const uint32_t huge_segments_;  // in a huge page
  const uint32_t ahead_;          // so many free segments are to be resident

  mutable base::Mutex mu_;
  uint32_t used_ ABSL_GUARDED_BY(mu_) = 0;
  uint32_t fresh_ ABSL_GUARDED_BY(mu_) = 0;  // from here on nothing was ever touched
  uint32_t preparing_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<SegmentId> free_resident_ ABSL_GUARDED_BY(mu_);
  std::vector<SegmentId> free_returned_ ABSL_GUARDED_BY(mu_);  // to the kernel
  // Written under mu_; read without it as a hint (available_, surplus_) or a figure.
  std::atomic<uint64_t> charged_{0};
  std::atomic<bool> surplus_{false};
  std::atomic<uint32_t> available_{0};
};

}  // namespace atoll::store
