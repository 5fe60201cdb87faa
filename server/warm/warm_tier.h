// The warm tier: what memory holds, kept on disk, so that a restart is not a cold start.
//
// While the node runs, warm entries are written behind, through a bounded queue that gives up
// persistence before latency; nothing on disk is read or believed meanwhile. A clean stop makes the
// disk equal to memory: entries that memory does not hold at an equal version are dropped first,
// then what is missing is written, until the time is up. So whatever ends early leaves less on
// disk, never something older (G4). A copy is revived only by a process that came up on such a
// folder, and only where replication asks for it (R9).
//
// A partition's copy from before the start is *unclaimed* until it is loaded or dropped; until then
// nothing is written to it, and a clean stop leaves it as it is: it belongs to the process that
// left it, and is worth as much to the next one as it was to this.
//
// Thread safety: all methods but CleanStop, which is the last call but for the destructor.
// Ownership: store, folder and clock must outlive it. It has two threads, which CleanStop or the
// destructor joins; take it off the store (SetWarmSink(nullptr)) before either.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/ids.h"
#include "base/logging.h"
#include "base/mutex.h"
#include "server/store/store.h"
#include "server/warm/data_folder.h"
#include "server/warm/warm_db.h"

namespace atoll::warm {

struct WarmOptions {
  // RocksDB's own memory: write buffers and caches.
  uint64_t memory_bytes = uint64_t{64} << 20;
  // Above it nothing more is persisted, until entries that memory has forgotten were dropped.
  uint64_t disk_bytes = uint64_t{10} << 30;
  // Entries that wait to be written behind; more are given up.
  uint64_t max_queued_bytes = uint64_t{16} << 20;
  // Whether a namespace is there and persists. Called on any thread, often; must be quick.
  std::function<bool(base::NamespaceId)> persists;
  // The cluster clock: what has expired is not brought back.
  const base::Clock* clock = nullptr;
};

// A partition's copy, as replication knows it.
struct DiskCopy {
  base::PartitionId partition;
  base::Epoch epoch;
  uint64_t history = 0;
  uint32_t reset_epoch = 0;
  uint64_t last_sequence = 0;
  // The process whose memory it was, set by CleanStop: the member of the ISR for which the copy
  // stands.
  base::Incarnation left_by = {};
  friend bool operator==(const DiskCopy&, const DiskCopy&) = default;
};

struct WarmStats {
  uint64_t written = 0;   // entries
  uint64_t given_up = 0;  // entries that were warm and not persisted: queue, disk budget, errors
  uint64_t loaded = 0;
  uint64_t queued_bytes = 0;
  uint64_t disk_entries = 0;  // about
  uint64_t disk_bytes = 0;
  uint64_t disk_limit_bytes = 0;
  bool failing = false;  // the last write was refused by the disk
};

class WarmTier final : public store::WarmSink {
 public:
  // After folder->Begin. Where the folder is not usable, or its database damaged, what lies in it
  // is removed.
  static absl::StatusOr<std::unique_ptr<WarmTier>> Open(const WarmOptions& options,
                                                        DataFolder* folder, store::Store* store);
  ~WarmTier() override;

  // The copies that clean stops left, those loaded or dropped since excepted: what a node says of
  // itself when it registers.
  std::vector<DiskCopy> Unclaimed() const ABSL_LOCKS_EXCLUDED(mu_);

  // Puts a copy's live entries into the store, where the partition is open, empty and written by
  // nobody else until `done`, which is called once, on a thread of the tier or (if it is stopping)
  // of the caller, without a lock. NOT_FOUND: there is no unclaimed copy, or it is of another
  // `reset_epoch` (and then dropped). DATA_LOSS: it is damaged; the store then holds nothing of it.
  using LoadDone = absl::AnyInvocable<void(absl::StatusOr<DiskCopy>)>;
  void Load(base::PartitionId partition, uint32_t reset_epoch, LoadDone done)
      ABSL_LOCKS_EXCLUDED(mu_);
  // The copy on disk is worth nothing any more.
  void Drop(base::PartitionId partition) ABSL_LOCKS_EXCLUDED(mu_);

  // Copies the entry if it is to be persisted and fits; never waits.
  void OfferWarm(const store::ScannedEntry& entry) override ABSL_LOCKS_EXCLUDED(mu_);

  // Ends write-behind and loads; what Load was asked for and did not begin stays on disk as it is.
  // Safe to repeat.
  void StopThreads() ABSL_LOCKS_EXCLUDED(mu_);

  // Makes the disk equal to what the store holds of `copies`, which must be in sync and no longer
  // written, keeps what is unclaimed, drops all else, and marks the folder clean. Takes about
  // `timeout`: entries for which there was no time are left out, never left old. Not OK: the folder
  // stays unclean.
  absl::Status CleanStop(absl::Span<const DiskCopy> copies, absl::Duration timeout);

  WarmStats Stats() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Queued {
    base::NamespaceId ns;
    std::string key;
    uint64_t hash = 0;
    base::Version version;
    std::string record;
    store::Key AsKey() const { return {ns, key, hash}; }
    uint64_t size() const { return key.size() + record.size(); }
  };

  WarmTier(const WarmOptions& options, DataFolder* folder, store::Store* store,
           std::unique_ptr<WarmDb> db);
  absl::Status ReadCopies();

  // The write-behind thread.
  void WriteBehind() ABSL_LOCKS_EXCLUDED(mu_);
  void WriteQueued(std::vector<Queued> batch) ABSL_LOCKS_EXCLUDED(mu_);
  // False if the disk budget is used up even after Reclaim.
  bool HaveRoom() ABSL_LOCKS_EXCLUDED(mu_);
  void Reclaim() ABSL_LOCKS_EXCLUDED(mu_);

  absl::StatusOr<DiskCopy> LoadNow(const DiskCopy& copy);
  bool InMemory(const store::Key& key, base::Version version) const;
  // Drops the partition's entries that memory does not hold at an equal version, or whose namespace
  // does not persist. `kept` gets the version of each that stays: within a partition it names one
  // write of one key.
  using Versions = absl::flat_hash_set<base::Version>;
  absl::Status DropStale(base::PartitionId partition, Versions& kept);
  absl::Status WriteMissing(base::PartitionId partition, const Versions& kept,
                            absl::Duration until);
  void NoteError(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);

  const WarmOptions options_;
  DataFolder* const folder_;
  store::Store* const store_;
  const std::unique_ptr<WarmDb> db_;
  base::Executor loader_;
  base::LogLimiter error_log_;

  std::atomic<uint64_t> written_{0};  // relaxed: figures
  std::atomic<uint64_t> given_up_{0};
  std::atomic<uint64_t> loaded_{0};

  mutable base::Mutex mu_;
  base::CondVar changed_;
  absl::flat_hash_map<base::PartitionId, DiskCopy> unclaimed_ ABSL_GUARDED_BY(mu_);
  // Claimed, and not yet in memory: nothing was acknowledged on top of them.
  absl::flat_hash_map<base::PartitionId, DiskCopy> loading_ ABSL_GUARDED_BY(mu_);
  std::vector<Queued> queue_ ABSL_GUARDED_BY(mu_);
  uint64_t queued_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  bool failing_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  absl::Duration reclaimed_at_ = -absl::InfiniteDuration();  // write-behind thread only
  std::thread writer_;
};

}  // namespace atoll::warm
