// The first store: an ordered map for each partition and a second-chance clock. It is what the
// engine is measured against, and it holds the same contract.
//
// Thread safety: as store.h. Lock order: one partition at a time, nothing inside.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "server/store/store.h"

namespace atoll::store {

class SimpleStore final : public Store {
 public:
  explicit SimpleStore(const StoreOptions& options);

  void OpenPartition(base::PartitionId partition) override;
  void DropPartition(base::PartitionId partition) override;
  Found Find(const Key& key, const FindOptions& options, ReadBuffer& buffer) override;
  void FindBatch(absl::Span<const Key> keys, const FindOptions& options, ReadBuffer& buffer,
                 absl::Span<Found> results) override;
  WriteResult Put(const Key& key, const EntryMeta& meta,
                  absl::Span<const std::string_view> pieces) override;
  WriteResult Erase(const Key& key, base::Version version) override;
  WriteResult Touch(const Key& key, base::Version version, base::CacheSeconds expiry,
                    uint32_t max_idle) override;
  void Flush(base::PartitionId partition, base::NamespaceId ns, base::Version version) override;
  std::vector<FlushMark> Flushes(base::PartitionId partition) override;
  void SetCommitted(base::PartitionId partition, base::Version committed) override;
  void RetainTombstones(base::PartitionId partition, bool retain) override;
  ScanChunk Scan(base::PartitionId partition, uint64_t cursor, const ScanOptions& options) override;
  void SetShares(absl::Span<const NamespaceShare> shares) override;
  void SetWarmSink(WarmSink* sink) override;
  bool Maintain() override;
  StoreStats Stats() const override;
  uint64_t ItemsIn(base::PartitionId partition) const override;

 private:
  // Outlives the store: a value handed out gives its bytes back through it.
  struct Account {
    std::atomic<uint64_t> used{0};
    std::atomic<uint64_t> pinned{0};  // large values that have left the map
  };
  struct Large;
  struct Entry {
    EntryMeta meta;
    base::CacheSeconds last_access = 0;
    uint8_t frequency = 0;
    bool offered = false;  // to the warm sink
    std::string small;
    std::shared_ptr<Large> large;
    uint64_t value_size() const;
  };
  // Ordered by hash, so that a cursor is a hash.
  using Place = std::pair<uint64_t, std::string>;  // hash, namespace id and key
  using Entries = std::map<Place, Entry>;
  struct Partition {
    mutable base::Mutex mu;
    bool open ABSL_GUARDED_BY(mu) = false;
    bool retain ABSL_GUARDED_BY(mu) = false;
    Entries entries ABSL_GUARDED_BY(mu);
    Place hand ABSL_GUARDED_BY(mu);   // of the clock
    Place sweep ABSL_GUARDED_BY(mu);  // of Maintain
    absl::flat_hash_map<uint64_t, base::Version> tombstones ABSL_GUARDED_BY(mu);
    absl::flat_hash_map<base::NamespaceId, base::Version> flushes ABSL_GUARDED_BY(mu);
    base::Version committed ABSL_GUARDED_BY(mu);
    uint64_t hits ABSL_GUARDED_BY(mu) = 0;
    uint64_t misses ABSL_GUARDED_BY(mu) = 0;
    uint64_t evictions ABSL_GUARDED_BY(mu) = 0;
    uint64_t expirations ABSL_GUARDED_BY(mu) = 0;
  };

  static Place PlaceOf(const Key& key);
  static uint64_t Charge(const Place& place, uint64_t small_bytes);
  Partition& At(base::PartitionId id) { return partitions_[id.value()]; }
  const Partition& At(base::PartitionId id) const { return partitions_[id.value()]; }
  bool Flushed(const Partition& p, base::NamespaceId ns, base::Version version) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);
  Entries::iterator Remove(Partition& p, Entries::iterator it) ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);
  void Remember(Partition& p, uint64_t hash, base::Version version)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);
  void Forget(Partition& p, uint64_t hash) ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);
  void ForgetCommitted(Partition& p) ABSL_EXCLUSIVE_LOCKS_REQUIRED(p.mu);
  Found FindAt(const Key& key, const FindOptions& options, base::CacheSeconds now,
               ReadBuffer& buffer);
  Value ReadValue(const Entry& entry, ReadBuffer& buffer) const;
  bool Reserve(uint64_t bytes);
  bool EvictSome();

  const StoreOptions options_;
  const std::shared_ptr<Account> account_;
  std::vector<Partition> partitions_;
  std::atomic<uint32_t> evict_at_{0};
  std::atomic<uint32_t> maintain_at_{0};
  std::atomic<uint64_t> large_copies_{0};
  std::atomic<WarmSink*> sink_{nullptr};
};

}  // namespace atoll::store
