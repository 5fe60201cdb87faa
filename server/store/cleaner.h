// Makes room: evicts, compacts and expires, segment by segment, in slices of at most 2 entries.
//
// It has no thread. Writers clean in proportion to what they write when memory runs low, and all it
// takes when there is none; Maintain does slices when nobody waits for them. A slice locks one
// partition at a time, and the cleaner is locked for one slice at a time.
//
// Thread safety: every public method takes `mu`, the outermost mutex of the store.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/mutex.h"
#include "server/store/policy.h"
#include "server/store/tables.h"

namespace atoll::store {

class Cleaner {
 public:
  explicit Cleaner(Tables* tables);

  // Whether a writer should do a slice.
  bool MemoryIsLow() const { return tables_.arena->Available() < low_water_; }
  // Eviction on behalf of who is about to write so many bytes, unless another thread is at it, or
  // there is no need.
  void Help(uint64_t bytes);
  // Evicts until a segment (or, for large values, a page) may be had. False if nothing more may go.
  bool MakeRoom(bool for_pages);
  // Some slices of eviction, compaction, expiry or the warm pass. Whether there is more to do at
  // once.
  bool Maintain();
  uint64_t GhostBytes();

 private:
  enum class Kind : uint8_t { kEvictSmall, kEvictMain, kCompact };
  struct Job {
    bool active = false;
    Kind kind = Kind::kCompact;
    Shard* shard = nullptr;
    std::vector<Shard::Sealed> sources;
    size_t source = 0;
    uint32_t offset = 0;
    // Main segments are walked twice: first to count what was read how often.
    bool surveying = false;
    std::array<uint64_t, 4> bytes_by_frequency{};
    uint32_t threshold = 1;
    uint64_t budget = 0;  // bytes that may still stay
    bool spare_others = false;
    uint32_t patience = 0;   // how many fruitless jobs that may cost
    uint32_t moved = 0;      // bytes of this source that stay
    uint64_t reclaimed = 0;  // what was dead counts once its segment is free
  };
  // A ghost on its way to another table.
  struct GhostSizing {
    Shard* shard = nullptr;
    bool made = false;
    GhostTable table;
  };
  // What became of an entry.
  enum class Fate : uint8_t { kWasDead, kGone, kStays, kMustStay };

  // Whether anything was done.
  bool SliceLocked(bool always) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // `for_room`: memory is low; else a namespace has too much of it.
  bool StartEvictionLocked(bool for_room) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool StartCompactionLocked(base::CacheSeconds now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void StartLocked(Job& job, Kind kind, Shard* shard) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Up to 2 entries of the job.
  void RunLocked(Job& job, bool for_room) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void NextSourceLocked(Job& job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void FinishLocked(Job& job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Fate CleanLocked(Job& job, SegmentId segment, uint32_t offset, base::CacheSeconds now,
                   uint32_t* bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Verdict JudgeLocked(Job& job, const Candidate& candidate, Queue from, uint32_t frequency,
                      uint64_t weight) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool MaintainLocked(base::CacheSeconds now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Whether the shard's ghost is to have another table, or has one to give back.
  bool MayResizeGhost(Shard& shard) ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard.mu);
  // A step of what sizing_ wants. It asks the kernel for memory, so nothing is locked meanwhile.
  void SizeGhost();
  // Whether there is another.
  bool SizeGhostStep(GhostSizing& sizing);
  bool WarmPassLocked(base::CacheSeconds now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Tables& tables_;
  // Below so many free segments writers help.
  const uint32_t low_water_;
  base::Mutex mu_;
  Job evict_ ABSL_GUARDED_BY(mu_);
  Job compact_ ABSL_GUARDED_BY(mu_);
  GhostSizing sizing_ ABSL_GUARDED_BY(mu_);
  bool sizing_now_ ABSL_GUARDED_BY(mu_) = false;  // some thread has it out
  // Jobs in a row that gave nothing back.
  uint64_t fruitless_ ABSL_GUARDED_BY(mu_) = 0;
  // Where the searches of Maintain stand, and when they begin anew: not twice in a second.
  base::CacheSeconds next_search_ ABSL_GUARDED_BY(mu_) = 0;
  base::CacheSeconds next_warm_pass_ ABSL_GUARDED_BY(mu_) = 0;
  size_t expiry_shard_ ABSL_GUARDED_BY(mu_) = 0;
  size_t warm_shard_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace atoll::store
