#include "server/store/arena.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace atoll::store {
namespace {

constexpr uint64_t kSmallMemory = uint64_t{4} << 30;
constexpr uint64_t kHugePageBytes = uint64_t{2} << 20;
constexpr uint64_t kPageBytes = 4096;
// Free segments that are kept resident: 1/64 of all, but no more than what writers fill in two
// rounds of housekeeping, 20 ms each.
constexpr uint32_t kAheadShare = 64;
constexpr uint32_t kMostHugePagesAhead = 4;

char* AlignedUp(void* at) {
  const auto address = reinterpret_cast<uintptr_t>(at);
  return static_cast<char*>(at) + (kHugePageBytes - address % kHugePageBytes) % kHugePageBytes;
}

}  // namespace

void Populate(char* at, uint64_t bytes) {
#ifdef MADV_POPULATE_WRITE
  if (madvise(at, bytes, MADV_POPULATE_WRITE) == 0) return;
#endif
  for (uint64_t offset = 0; offset < bytes; offset += kPageBytes) at[offset] = 0;
}

uint32_t Arena::SegmentBytesFor(uint64_t memory_bytes) {
  return memory_bytes < kSmallMemory ? 64 << 10 : 256 << 10;
}

absl::StatusOr<std::shared_ptr<Arena>> Arena::Create(uint64_t memory_bytes,
                                                     uint32_t reserved_segments) {
  Mapping mapping;
  mapping.bytes = memory_bytes + kHugePageBytes;
  if (mapping.bytes > memory_bytes) {
    mapping.at = mmap(nullptr, mapping.bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  } else {
    mapping.at = MAP_FAILED;
    errno = ENOMEM;
  }
  if (mapping.at == MAP_FAILED) {
    const absl::Status why = absl::ErrnoToStatus(errno, "mmap");
    return absl::ResourceExhaustedError(
        absl::StrCat("memory: ", memory_bytes, " bytes could not be mapped: ", why.message()));
  }
  // Until Prepare asks for others.
  madvise(mapping.at, mapping.bytes, MADV_NOHUGEPAGE);
  return std::shared_ptr<Arena>(new Arena(mapping, memory_bytes, reserved_segments));
}

Arena::Arena(Mapping mapping, uint64_t memory_bytes, uint32_t reserved_segments)
    : mapping_(mapping),
      base_(AlignedUp(mapping.at)),
      memory_bytes_(memory_bytes),
      segment_bytes_(SegmentBytesFor(memory_bytes)),
      segment_count_(static_cast<uint32_t>(memory_bytes / segment_bytes_)),
      reserved_(reserved_segments),
      huge_segments_(static_cast<uint32_t>(kHugePageBytes / segment_bytes_)),
      ahead_(std::clamp(segment_count_ / kAheadShare, huge_segments_,
                        kMostHugePagesAhead * huge_segments_)) {
  base::MutexLock lock(mu_);
  // Never longer: nothing is allocated under the lock, nor under those of who frees a segment.
  free_resident_.reserve(segment_count_);
  free_returned_.reserve(segment_count_);
  PublishLocked();
}

Arena::~Arena() { munmap(mapping_.at, mapping_.bytes); }

uint64_t Arena::RoomLocked() const {
  const uint64_t charged = charged_.load(std::memory_order_relaxed);
  return charged >= memory_bytes_ ? 0 : (memory_bytes_ - charged) / segment_bytes_;
}

void Arena::PublishLocked() {
  const uint64_t room = RoomLocked();
  const uint64_t taken = uint64_t{used_} + reserved_;
  // What is on its way from or to the kernel cannot be had at this instant.
  const uint64_t at_hand =
      free_resident_.size() + free_returned_.size() + (segment_count_ - fresh_);
  const uint64_t left = at_hand > reserved_ ? at_hand - reserved_ : 0;
  available_.store(room > taken ? static_cast<uint32_t>(std::min(room - taken, left)) : 0,
                   std::memory_order_relaxed);
  surplus_.store(!free_resident_.empty() && ResidentLocked() > room, std::memory_order_relaxed);
}

SegmentId Arena::Allocate(bool from_reserve) {
  base::MutexLock lock(mu_);
  if (uint64_t{used_} + (from_reserve ? 0 : reserved_) >= RoomLocked()) return kNoSegment;
  SegmentId id;
  if (!free_resident_.empty()) {
    id = free_resident_.back();
    free_resident_.pop_back();
  } else if (fresh_ < segment_count_) {
    id = fresh_++;
  } else if (!free_returned_.empty()) {
    id = free_returned_.back();
    free_returned_.pop_back();
  } else {
    return kNoSegment;
  }
  ++used_;
  PublishLocked();
  return id;
}

void Arena::Free(SegmentId id) {
  base::MutexLock lock(mu_);
  --used_;
  free_resident_.push_back(id);
  PublishLocked();
}

void Arena::Charge(int64_t bytes) {
  base::MutexLock lock(mu_);
  charged_.fetch_add(static_cast<uint64_t>(bytes), std::memory_order_relaxed);
  PublishLocked();
}

bool Arena::ReturnSurplus() {
  SegmentId id;
  {
    base::MutexLock lock(mu_);
    if (!HasSurplus()) return false;
    id = free_resident_.back();
    free_resident_.pop_back();
    PublishLocked();
  }
  // Not of a huge page any more, which the kernel would complete again.
  madvise(At(id), segment_bytes_, MADV_NOHUGEPAGE);
  madvise(At(id), segment_bytes_, MADV_DONTNEED);
  base::MutexLock lock(mu_);
  free_returned_.push_back(id);
  PublishLocked();
  return HasSurplus();
}

bool Arena::WantsMorePreparedLocked() const {
  return free_resident_.size() + preparing_ < ahead_ &&
         (fresh_ < segment_count_ || !free_returned_.empty()) && ResidentLocked() < RoomLocked();
}

Arena::Run Arena::TakeToPrepareLocked() {
  if (fresh_ == segment_count_) {
    const SegmentId returned = free_returned_.back();
    free_returned_.pop_back();
    return {.first = returned, .count = 1};
  }
  // A huge page, or what there is room for.
  const auto room = static_cast<uint32_t>(RoomLocked() - ResidentLocked());
  const Run run{
      .first = fresh_,
      .count = std::min({huge_segments_ - fresh_ % huge_segments_, segment_count_ - fresh_, room})};
  fresh_ += run.count;
  return run;
}

bool Arena::Prepare() {
  Run run;
  {
    base::MutexLock lock(mu_);
    if (!WantsMorePreparedLocked()) return false;
    run = TakeToPrepareLocked();
    preparing_ += run.count;
    PublishLocked();
  }
  const uint64_t bytes = uint64_t{run.count} * segment_bytes_;
  if (bytes == kHugePageBytes) madvise(At(run.first), bytes, MADV_HUGEPAGE);
  Populate(At(run.first), bytes);
  base::MutexLock lock(mu_);
  for (SegmentId id = run.first + run.count; id-- > run.first;) free_resident_.push_back(id);
  preparing_ -= run.count;
  PublishLocked();
  return WantsMorePreparedLocked();
}

uint64_t Arena::UsedBytes() const {
  base::MutexLock lock(mu_);
  return uint64_t{used_} * segment_bytes_ + charged_.load(std::memory_order_relaxed);
}

}  // namespace atoll::store
