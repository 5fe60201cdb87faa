// What the engine's parts share: partitions, shards, segments and pools, and the steps that keep
// their accounts in step with each other.
//
// Thread safety: as each part says. Lock order: cleaner, partition, shard, page pool, arena.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "server/store/arena.h"
#include "server/store/bytes.h"
#include "server/store/entry.h"
#include "server/store/extent_pool.h"
#include "server/store/large_value.h"
#include "server/store/namespaces.h"
#include "server/store/partition.h"
#include "server/store/segment.h"
#include "server/store/shard.h"
#include "server/store/store.h"
#include "server/store/warm_queue.h"

namespace atoll::store {

class Tables {
 public:
  // RESOURCE_EXHAUSTED if the arena cannot be mapped.
  static absl::StatusOr<std::unique_ptr<Tables>> Create(const StoreOptions& options);
  ~Tables();

  Partition& At(base::PartitionId id) { return partitions[id.value()]; }
  const Partition& At(base::PartitionId id) const { return partitions[id.value()]; }
  // In the shard with the fewest, for good.
  void Seat(Partition& p) ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);
  Partition& OfHash(uint64_t hash) { return partitions[hash >> 52]; }
  EntryRef EntryAt(const Slot& slot) const {
    return EntryRef(arena->At(slot.segment()) + slot.offset());
  }
  base::CacheSeconds Now() const { return options.clock->NowSeconds(); }

  bool Holds(const Slot& slot, const Key& key) const {
    const EntryRef entry = EntryAt(slot);
    const std::string_view held = entry.key();
    return entry.ns() == key.ns && held.size() == key.key.size() &&
           EqualBytes(held.data(), key.key.data(), held.size());
  }
  // nullptr if there is none.
  Slot* FindSlot(Partition& p, const Key& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);
  // Whether a flush hides an entry of this version.
  static bool Flushed(const Partition& p, base::NamespaceId ns, base::Version version)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu) {
    return p.memory != nullptr && FlushedBy(*p.memory, ns, version);
  }
  static bool Expired(const EntryRef& entry, base::CacheSeconds now) {
    return entry.expiry() != 0 && entry.expiry() <= now;
  }
  // Ends an entry: takes it out of the index and every account.
  void Unlink(Partition& p, Slot* slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);
  // Ends the slot's entry, and another one of the same key takes its place in the index.
  void Replace(Partition& p, Slot* slot, const Slot& with) ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);
  // Counts an entry that was just written, or leaves uncounted (sign -1) one that ends.
  void Count(Partition& p, const EntryRef& entry, Queue queue, int sign)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);
  // `bytes` of the segment belong to no entry any more.
  void AddDead(Shard& shard, SegmentId segment, uint32_t bytes);
  // Copies the entry to a place of its own; its slot then points there. False without room.
  bool Move(Partition& p, Slot* slot, Queue queue, uint32_t frequency, base::CacheSeconds now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);
  Partition::Memory& MemoryOf(Partition& p) ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu) {
    if (p.memory == nullptr) p.memory = std::make_unique<Partition::Memory>(&tombstone_budget);
    return *p.memory;
  }
  // A version for which the key has no entry.
  void Remember(Partition& p, uint64_t hash, base::Version version)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);
  // The key has an entry now.
  void ForgetDeletion(Partition& p, uint64_t hash) ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu) {
    if (p.memory != nullptr && p.memory->tombstones.size() != 0) ForgetTombstone(p, hash);
  }
  // A slice of what is committed. True if there may be more.
  bool ForgetCommitted(Partition& p) ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);
  // After a change of the index or the tombstones: what of them is on the heap.
  void Charge(Partition& p) ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);
  // Names a warm entry to the sink, once. Not if the queue to it is full.
  void OfferWarm(EntryRef entry, Partition& p) ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);
  // Counts a read of the slot's entry; the first one is noted, if it is wanted.
  void Touch(Partition& p, Slot* slot, const EntryRef& entry, uint64_t hash)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu) {
    if (slot->frequency() == 0 && p.note_warmed) NoteWarmed(p, hash, entry.version());
    slot->Touch();
  }
  bool HasSink() const { return sink.load(std::memory_order_relaxed) != nullptr; }

  const StoreOptions options;
  const std::shared_ptr<Arena> arena;
  const std::shared_ptr<PagePool> pages;
  ExtentPool extents;
  const uint64_t pin_cap;
  TombstoneBudget tombstone_budget;  // outlives the partitions
  std::vector<SegmentInfo> segments;
  std::vector<Shard> shards;
  std::vector<Partition> partitions;
  Namespaces namespaces;
  WarmQueue warm_queue;
  std::atomic<WarmSink*> sink{nullptr};
  // A bit for each partition that has noted something: set and cleared under the partition's mutex,
  // read without it (relaxed: what is noted just now is taken next time).
  std::array<std::atomic<uint64_t>, base::kPartitionCount / 64> has_warmed{};
  std::atomic<uint64_t> warmed_dropped{0};
  std::atomic<uint64_t> large_copies{0};

 private:
  void ForgetTombstone(Partition& p, uint64_t hash) ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);
  static bool FlushedBy(const Partition::Memory& memory, base::NamespaceId ns,
                        base::Version version);
  // The rest of what is to do for an entry that has left the index. Its bytes may be anybody's
  // after.
  void End(Partition& p, const Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);
  void NoteWarmed(Partition& p, uint64_t hash, base::Version version)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);
  Tables(const StoreOptions& store_options, std::shared_ptr<Arena> mapped, size_t shard_count);
};

}  // namespace atoll::store
