// The memory engine: every entry that this node holds, partition by partition, within `--memory`.
//
// The store knows nothing of replication, RPC or disk. Callers (replication) decide what to write
// and give it a version; the store keeps the entry with the highest version of each key, expires
// it, and evicts what it must.
//
// Thread safety: every method may be called by any thread. Writes of one partition must be ordered
// by their caller (replication holds its own mutex for a partition); reads need no order. No
// callback of a caller runs under a lock of the store. Lifetime: values above kInlineValueBytes are
// handed out by reference and may outlive everything but the process.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/clock.h"
#include "base/ids.h"
#include "server/store/value.h"

namespace atoll::store {

inline constexpr size_t kMaxKeyBytes = 1024;
inline constexpr uint64_t kMaxValueBytes = uint64_t{64} << 20;
inline constexpr uint64_t kMinMemoryBytes = uint64_t{64} << 20;

struct StoreOptions {
  // Everything: arena, index, ghosts. At least kMinMemoryBytes.
  uint64_t memory_bytes = uint64_t{1} << 30;
  // Sizes the number of evicting shards.
  int cores = 2;
  // Cluster clock: expiry is judged by Now(), idle time too.
  const base::Clock* clock = nullptr;
  // The name of the field and its limit are in the message.
  absl::Status Validate() const;
};

// A key with its place. `hash` is base::HashKey(name of the namespace, key).
struct Key {
  base::NamespaceId ns;
  std::string_view key;
  uint64_t hash = 0;
  base::PartitionId partition() const {
    return base::PartitionId(static_cast<uint16_t>(hash >> 52));
  }
};

struct EntryMeta {
  base::Version version = {};
  base::CacheSeconds expiry = 0;  // 0: never
  uint32_t max_idle = 0;          // seconds; 0: no limit
  uint32_t flags = 0;
};

enum class Presence : uint8_t {
  // No entry. `meta.version` is that of a remembered deletion, or of a flush not yet committed, or
  // 0.
  kAbsent,
  kPresent,
  // There is one, but readers hold so much memory that no further value may be pinned for them:
  // `meta` and `value_size` are filled, `value` is empty. The answer is RESOURCE_EXHAUSTED.
  kPinLimit,
};

struct FindOptions {
  // Counts as a read: frequency, last access, hit or miss figures.
  bool touch = true;
  // Only the primary expires by idle time.
  bool enforce_idle = true;
  // Leaves `value` empty, fills `value_size`.
  bool metadata_only = false;
};

struct Found {
  Presence presence = Presence::kAbsent;
  EntryMeta meta;
  uint64_t value_size = 0;
  // Small values are copied into the ReadBuffer, larger ones referenced.
  Value value;
};

// Takes what FindEach finds, key by key.
class FindSink {
 public:
  virtual ~FindSink() = default;
  // Before the look-up of keys[index], with no lock held. False: it is not looked up.
  virtual bool Begin(size_t index) = 0;
  // Room for a small value, which is copied there; nullptr if it is not wanted. Called under the
  // partition's lock: it takes none and does not wait.
  virtual char* Place(size_t index, const EntryMeta& meta, size_t size) = 0;
  // After it, with no lock held. A small value is at its place; `found.value` is a large one.
  virtual void End(size_t index, Found& found) = 0;
};

enum class WriteResult : uint8_t {
  kApplied,
  // The key already has this version or a later one: nothing changed. What a replica gets on a
  // resent record.
  kStale,
  // No room could be made. The key then has no entry at all, but remembers `version`: never an
  // older value.
  kNoRoom,
};

// An entry that the cursor found. The views live as long as the chunk that holds them.
struct ScannedEntry {
  base::NamespaceId ns;
  std::string_view key;
  uint64_t hash = 0;
  EntryMeta meta;
  uint64_t value_size = 0;
  Value value;
};

struct ScanOptions {
  size_t max_entries = 64;
  uint64_t max_bytes = 1 << 20;
  bool with_values = true;
  // Of all namespaces if 0.
  base::NamespaceId ns = {};
  std::string_view prefix = {};
};

// A page of a partition. An entry that lives throughout a walk is listed exactly once.
struct ScanChunk {
  std::vector<ScannedEntry> entries;
  // Hash to go on from; meaningful unless `done`.
  uint64_t next = 0;
  bool done = false;
  ReadBuffer buffer;
};

// An entry that was read, the first time since it was written or since eviction last judged it.
struct Warmed {
  uint64_t hash = 0;
  base::Version version;
};

struct FlushMark {
  base::NamespaceId ns;
  base::Version version;
};

// Limits of a namespace within this node's memory.
struct NamespaceShare {
  base::NamespaceId ns;
  uint32_t min_percent = 0;
  uint32_t max_percent = 0;  // 0: none
};

struct StoreStats {
  uint64_t items = 0;
  uint64_t memory_limit_bytes = 0;
  uint64_t memory_used_bytes = 0;
  uint64_t live_bytes = 0;
  uint64_t dead_bytes = 0;
  uint64_t pinned_bytes = 0;
  uint64_t index_bytes = 0;
  uint64_t ghost_bytes = 0;
  uint64_t tombstones = 0;
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t evictions = 0;
  uint64_t expirations = 0;
  uint64_t warmed_dropped = 0;  // not noted for want of room
  // Copies of values above kInlineValueBytes made by the engine; writing one in counts once.
  uint64_t large_value_copies = 0;
};

// Is told of entries that are worth persisting. Called on the store's own thread, never under a
// lock.
class WarmSink {
 public:
  virtual ~WarmSink() = default;
  // The entry was read after it was written, and has been there for a while or is about to be
  // evicted. Views live during the call.
  virtual void OfferWarm(const ScannedEntry& entry) = 0;
};

class Store {
 public:
  // INVALID_ARGUMENT (options), RESOURCE_EXHAUSTED (memory could not be mapped).
  static absl::StatusOr<std::unique_ptr<Store>> Create(const StoreOptions& options);
  virtual ~Store() = default;

  // --- Partitions. A partition must be open for its keys to be used; else reads are absent and
  // writes kNoRoom. ---
  virtual void OpenPartition(base::PartitionId partition) = 0;
  // Drops all that it holds. Safe to repeat.
  virtual void DropPartition(base::PartitionId partition) = 0;

  // --- Reads ---
  // The result's small values live as long as `buffer` is neither reset nor destroyed.
  virtual Found Find(const Key& key, const FindOptions& options, ReadBuffer& buffer) = 0;
  // The same for many keys, of any partitions; `results` has as many places as `keys`.
  virtual void FindBatch(absl::Span<const Key> keys, const FindOptions& options, ReadBuffer& buffer,
                         absl::Span<Found> results) = 0;
  // The same, but that each key is handed to `sink`, in order.
  virtual void FindEach(absl::Span<const Key> keys, const FindOptions& options, FindSink& sink) = 0;

  // Brings near what reading or writing these keys will touch; no more of them than some dozens.
  virtual void Prefetch(absl::Span<const Key> keys) = 0;

  // --- Writes ---
  // `pieces` together are the value. INVALID sizes are a caller's bug: they were validated before.
  virtual WriteResult Put(const Key& key, const EntryMeta& meta,
                          absl::Span<const std::string_view> pieces) = 0;
  // Remembers the version as a tombstone until it is committed (SetCommitted).
  virtual WriteResult Erase(const Key& key, base::Version version) = 0;
  // New version, expiry and idle limit for the value that is there; kApplied too where there is
  // none (a replica may have evicted it), and then the version is remembered.
  virtual WriteResult Touch(const Key& key, base::Version version, base::CacheSeconds expiry,
                            uint32_t max_idle) = 0;
  // Hides the namespace's entries of this partition at or below `version`; `ns` 0 is not allowed.
  virtual void Flush(base::PartitionId partition, base::NamespaceId ns, base::Version version) = 0;
  virtual std::vector<FlushMark> Flushes(base::PartitionId partition) = 0;

  // --- Replication's bounds ---
  // Entries above `committed` are not evicted, and tombstones above it are kept (R4), all in all in
  // 2% of memory: beyond that, until the next commit, an absent key may have the version of another
  // one's deletion.
  virtual void SetCommitted(base::PartitionId partition, base::Version committed) = 0;
  // Keeps committed tombstones too while a learner copies, the newest of them, in 1% of memory.
  virtual void RetainTombstones(base::PartitionId partition, bool retain) = 0;

  // --- Warmth, told from copy to copy. Lossy: what does not fit is not noted, and counted. ---
  // From now on what becomes warm is noted, at most kMaxWarmed entries at a time.
  virtual void NoteWarmed(base::PartitionId partition, bool note) = 0;
  static constexpr size_t kMaxWarmed = 64;
  // Appends about `most` of what was noted, those of a partition together, and forgets them.
  virtual void TakeWarmed(size_t most, std::vector<Warmed>* out) = 0;
  // Counts as a read of each entry that is held at that version or a later one, and was not read
  // yet. Returns how many.
  virtual size_t MarkWarm(absl::Span<const Warmed> warmed) = 0;

  // --- Walks ---
  // Starts at cursor 0. Does not count as reads. Expired and flushed entries are left out.
  virtual ScanChunk Scan(base::PartitionId partition, uint64_t cursor,
                         const ScanOptions& options) = 0;

  // --- Housekeeping ---
  // From now on entries of this namespace need not keep the hashes of their keys, 8 B each. Once: a
  // name does not change, and the first one counts.
  virtual void NameNamespace(base::NamespaceId ns, std::string_view name) = 0;
  virtual void SetShares(absl::Span<const NamespaceShare> shares) = 0;
  // nullptr: none. The sink must outlive its being set.
  virtual void SetWarmSink(WarmSink* sink) = 0;
  // Expiry, compaction, the warm pass: does some bounded slices (at most 2 entries under a lock)
  // and returns whether there is more to do at once. The node calls it from its housekeeping
  // thread.
  virtual bool Maintain() = 0;
  virtual StoreStats Stats() const = 0;
  virtual uint64_t ItemsIn(base::PartitionId partition) const = 0;
};

}  // namespace atoll::store
