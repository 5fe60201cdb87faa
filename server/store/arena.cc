#include "server/store/arena.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "absl/strings/str_cat.h"

namespace atoll::store {
namespace {

constexpr uint64_t kSmallMemory = uint64_t{4} << 30;

}  // namespace

uint32_t Arena::SegmentBytesFor(uint64_t memory_bytes) {
  return memory_bytes < kSmallMemory ? 64 << 10 : 256 << 10;
}

absl::StatusOr<std::shared_ptr<Arena>> Arena::Create(uint64_t memory_bytes,
                                                     uint32_t reserved_segments) {
  const uint64_t segment = SegmentBytesFor(memory_bytes);
  const uint64_t mapped = memory_bytes / segment * segment;
  void* const base = mmap(nullptr, mapped, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) {
    return absl::ErrnoToStatus(
        errno, absl::StrCat("memory: ", memory_bytes, " bytes could not be mapped"));
  }
  // Look-ups touch memory at random: a page of 2 MiB saves most of their TLB misses. Small arenas
  // would rather keep untouched memory unbacked.
  if (memory_bytes >= uint64_t{1} << 30) madvise(base, mapped, MADV_HUGEPAGE);
  return std::shared_ptr<Arena>(
      new Arena(static_cast<char*>(base), memory_bytes, reserved_segments));
}

Arena::Arena(char* base, uint64_t memory_bytes, uint32_t reserved_segments)
    : base_(base),
      memory_bytes_(memory_bytes),
      segment_bytes_(SegmentBytesFor(memory_bytes)),
      segment_count_(static_cast<uint32_t>(memory_bytes / segment_bytes_)),
      reserved_(reserved_segments) {
  base::MutexLock lock(mu_);
  PublishLocked();
}

Arena::~Arena() { munmap(base_, uint64_t{segment_count_} * segment_bytes_); }

uint64_t Arena::RoomLocked() const {
  const uint64_t charged = charged_.load(std::memory_order_relaxed);
  return charged >= memory_bytes_ ? 0 : (memory_bytes_ - charged) / segment_bytes_;
}

void Arena::PublishLocked() {
  const uint64_t room = RoomLocked();
  const uint64_t taken = uint64_t{used_} + reserved_;
  available_.store(room > taken ? static_cast<uint32_t>(room - taken) : 0,
                   std::memory_order_relaxed);
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
  ReturnToKernelLocked();
  PublishLocked();
  return id;
}

void Arena::Free(SegmentId id) {
  base::MutexLock lock(mu_);
  --used_;
  free_resident_.push_back(id);
  ReturnToKernelLocked();
  PublishLocked();
}

void Arena::Charge(int64_t bytes) {
  base::MutexLock lock(mu_);
  charged_.fetch_add(static_cast<uint64_t>(bytes), std::memory_order_relaxed);
  ReturnToKernelLocked();
  PublishLocked();
}

void Arena::ReturnToKernelLocked() {
  while (!free_resident_.empty() && uint64_t{used_} + free_resident_.size() > RoomLocked()) {
    const SegmentId id = free_resident_.back();
    free_resident_.pop_back();
    madvise(At(id), segment_bytes_, MADV_DONTNEED);
    free_returned_.push_back(id);
  }
}

uint64_t Arena::UsedBytes() const {
  base::MutexLock lock(mu_);
  return uint64_t{used_} * segment_bytes_ + charged_.load(std::memory_order_relaxed);
}

}  // namespace atoll::store
