// The memory engine: a log of segments, indexed by partition. See README.md for how its parts fit.
//
// Thread safety, lifetime: as store.h.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "server/store/cleaner.h"
#include "server/store/store.h"
#include "server/store/tables.h"

namespace atoll::store {

class Engine final : public Store {
 public:
  // INVALID_ARGUMENT, RESOURCE_EXHAUSTED.
  static absl::StatusOr<std::unique_ptr<Store>> Create(const StoreOptions& options);

  void OpenPartition(base::PartitionId partition) override;
  void DropPartition(base::PartitionId partition) override;
  Found Find(const Key& key, const FindOptions& options, ReadBuffer& buffer) override;
  void FindBatch(absl::Span<const Key> keys, const FindOptions& options, ReadBuffer& buffer,
                 absl::Span<Found> results) override;
  void FindEach(absl::Span<const Key> keys, const FindOptions& options, FindSink& sink) override;
  void Prefetch(absl::Span<const Key> keys) override;
  WriteResult Put(const Key& key, const EntryMeta& meta,
                  absl::Span<const std::string_view> pieces) override;
  WriteResult Erase(const Key& key, base::Version version) override;
  WriteResult Touch(const Key& key, base::Version version, base::CacheSeconds expiry,
                    uint32_t max_idle) override;
  void Flush(base::PartitionId partition, base::NamespaceId ns, base::Version version) override;
  std::vector<FlushMark> Flushes(base::PartitionId partition) override;
  void SetCommitted(base::PartitionId partition, base::Version committed) override;
  void RetainTombstones(base::PartitionId partition, bool retain) override;
  void NoteWarmed(base::PartitionId partition, bool note) override;
  void TakeWarmed(size_t most, std::vector<Warmed>* out) override;
  size_t MarkWarm(absl::Span<const Warmed> warmed) override;
  ScanChunk Scan(base::PartitionId partition, uint64_t cursor, const ScanOptions& options) override;
  void NameNamespace(base::NamespaceId ns, std::string_view name) override;
  void SetShares(absl::Span<const NamespaceShare> shares) override;
  void SetWarmSink(WarmSink* sink) override;
  bool Maintain() override;
  StoreStats Stats() const override;
  uint64_t ItemsIn(base::PartitionId partition) const override;

 private:
  // What is to be written; `pieces` are empty for a large value.
  struct NewEntry {
    const Key& key;
    const EntryMeta& meta;
    absl::Span<const std::string_view> pieces;
    uint64_t inline_bytes = 0;
    std::shared_ptr<LargeValue> large;
  };
  enum class Attempt : uint8_t { kApplied, kStale, kNoRoom, kRefused };

  explicit Engine(std::unique_ptr<Tables> tables);

  // --- engine_find.h ---
  // `place(value, found)` copies a small value, which is the entry's only while the partition's
  // lock is held.
  template <typename Place>
  void FindOne(const Key& key, const FindOptions& options, base::CacheSeconds now,
               const Place& place, Found* found);
  // With the key's slot, or nullptr, already found.
  template <typename Place>
  void FindIn(Partition& p, Slot* slot, const Key& key, const FindOptions& options,
              base::CacheSeconds now, const Place& place, Found* found)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);
  // What FindIn does, if the slot's entry is the key's, may be shown, and is nothing but a key and
  // a small value, as nearly all are. Else false, and nothing is done.
  template <typename Place>
  bool ReadPlain(Partition& p, Slot& slot, const EntryRef& entry, const Key& key,
                 const FindOptions& options, base::CacheSeconds now, const Place& place,
                 Found* found) ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);
  // Fills `found` from an entry that may be shown.
  template <typename Place>
  void Read(const EntryRef& entry, bool with_value, const Place& place, Found* found) const;

  // --- engine_read.cc ---
  void ReadLarge(const EntryRef& entry, bool with_value, Found* found) const;
  // What is found of a key that has no entry to show.
  void FindNone(Partition& p, const Key& key, const FindOptions& options, Found* found) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);
  // False if the entry was filtered out.
  bool ScanEntry(Partition& p, const Slot& slot, const ScanOptions& options, base::CacheSeconds now,
                 ScanChunk* chunk, uint64_t* bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);

  // Adds to a page, from the tag `next` on, what fits under one lock. False if the page is full.
  bool ScanPart(Partition& p, const ScanOptions& options, base::CacheSeconds now, uint32_t* next,
                ScanChunk* chunk, uint64_t* bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);

  // --- engine_batch.cc ---
  struct Group;
  struct GroupItem;
  template <typename Place>
  void FindGroups(absl::Span<const Key> keys, const FindOptions& options, base::CacheSeconds now,
                  const Place& place, absl::Span<Found> results);
  // Locks the partitions of the group's keys, and asks for their buckets.
  void LockGroup(Group& group, Group& before);
  static void FindHolder(Group& group, GroupItem& item, Group& before);
  // Asks for their entries.
  void FindSlots(Group& group);
  template <typename Place>
  void ReadGroup(Group& group, const FindOptions& options, base::CacheSeconds now,
                 const Place& place);
  static void UnlockGroup(Group& group);

  // --- engine_write.cc ---
  // Whether the key has this version already, or a later one.
  bool IsStale(Partition& p, const Key& key, const Slot* slot, base::Version version) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);
  // By what the partition remembers, which is something.
  static bool IsOutdated(const Partition& p, const Key& key, const Slot* slot,
                         base::Version version) ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);
  // nullptr if no room can be made.
  std::shared_ptr<LargeValue> NewLarge(uint64_t size, absl::Span<const std::string_view> pieces);
  Attempt TryPut(const NewEntry& entry, base::CacheSeconds now);
  bool Overwrite(Partition& p, Slot* slot, const NewEntry& entry, uint8_t options,
                 base::CacheSeconds now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);
  // Writes it beside the old one, whose place it takes in the index. False without room.
  bool Append(Partition& p, Slot* slot, const NewEntry& entry, uint8_t options,
              base::CacheSeconds now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);
  Attempt TryTouch(const Key& key, const EntryMeta& meta, base::CacheSeconds now);
  // Without room: the key loses its entry, and remembers the version.
  WriteResult GiveUp(const Key& key, base::Version version);
  // A slice of what flushes hide.
  bool SweepFlushed();

  const std::unique_ptr<Tables> tables_;
  const std::unique_ptr<Cleaner> cleaner_;
  struct Sweep {
    base::PartitionId partition;
    uint32_t tag = 0;
  };
  base::Mutex sweeps_mu_;
  std::deque<Sweep> sweeps_ ABSL_GUARDED_BY(sweeps_mu_);
  // Where taking what became warm begins next, so that no partition is always last.
  std::atomic<size_t> next_warmed_{0};
};

}  // namespace atoll::store
