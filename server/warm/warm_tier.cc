#include "server/warm/warm_tier.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "atoll/internal/v1/storage.pb.h"
#include "server/warm/disk_entry.h"

namespace atoll::warm {
namespace {

constexpr int kLoaderThreads = 2;
// A load and a drop for each partition fit.
constexpr size_t kMaxLoaderTasks = size_t{2} * base::kPartitionCount;
constexpr size_t kMaxBatchBytes = 1 << 20;
constexpr size_t kPageEntries = 256;
constexpr absl::Duration kReclaimInterval = absl::Minutes(10);
// Of a clean stop's time, for writing; the rest is for flushing and syncing what was written.
constexpr double kWritingShare = 0.75;

absl::Duration Now() { return base::Clock::Real().BootTime(); }

std::string EncodeCopy(const DiskCopy& copy) {
  internal::v1::DiskPartition message;
  message.set_partition(copy.partition.value());
  message.set_epoch(copy.epoch.value());
  message.set_history(copy.history);
  message.set_reset_epoch(copy.reset_epoch);
  message.set_last_sequence(copy.last_sequence);
  message.set_incarnation(copy.left_by.value());
  return message.SerializeAsString();
}

std::optional<DiskCopy> DecodeCopy(const std::string& record) {
  internal::v1::DiskPartition message;
  if (!message.ParseFromString(record) || message.partition() >= base::kPartitionCount) {
    return std::nullopt;
  }
  return DiskCopy{base::PartitionId(static_cast<uint16_t>(message.partition())),
                  base::Epoch(message.epoch()),
                  message.history(),
                  message.reset_epoch(),
                  message.last_sequence(),
                  base::Incarnation(message.incarnation())};
}

}  // namespace

absl::StatusOr<std::unique_ptr<WarmTier>> WarmTier::Open(const WarmOptions& options,
                                                         DataFolder* folder, store::Store* store) {
  const std::string path = folder->warm_path();
  if (!folder->usable()) {
    if (absl::Status status = WarmDb::Destroy(path); !status.ok()) {
      return status;
    }
  }
  for (bool again : {true, false}) {
    absl::StatusOr<std::unique_ptr<WarmDb>> db = WarmDb::Open(path, options.memory_bytes);
    absl::Status status = db.status();
    if (status.ok()) {
      std::unique_ptr<WarmTier> tier(new WarmTier(options, folder, store, *std::move(db)));
      status = tier->ReadCopies();
      if (status.ok()) {
        return tier;
      }
    }
    if (!again || !absl::IsDataLoss(status)) {
      return status;
    }
    // Damaged: unconfirmed as a whole (docs/consistency.md). The tier, if made, is closed by now.
    base::LogWarning(absl::StrCat("removing ", path, ": ", status.ToString()));
    if (absl::Status removed = WarmDb::Destroy(path); !removed.ok()) {
      return removed;
    }
  }
  return absl::InternalError("unreachable");
}

WarmTier::WarmTier(const WarmOptions& options, DataFolder* folder, store::Store* store,
                   std::unique_ptr<WarmDb> db)
    : options_(options),
      folder_(folder),
      store_(store),
      db_(std::move(db)),
      loader_(kLoaderThreads, kMaxLoaderTasks),
      writer_([this] { WriteBehind(); }) {}

WarmTier::~WarmTier() { StopThreads(); }

void WarmTier::StopThreads() {
  {
    base::MutexLock lock(mu_);
    stopping_ = true;
    changed_.SignalAll();
  }
  if (writer_.joinable()) {
    writer_.join();
  }
  loader_.Stop();
}

absl::Status WarmTier::ReadCopies() {
  absl::StatusOr<std::vector<std::string>> records = db_->Records();
  if (!records.ok()) {
    return records.status();
  }
  base::MutexLock lock(mu_);
  for (const std::string& record : *records) {
    const std::optional<DiskCopy> copy = DecodeCopy(record);
    if (!copy) {
      return absl::DataLossError("warm tier: a partition's record cannot be read");
    }
    unclaimed_[copy->partition] = *copy;
  }
  return absl::OkStatus();
}

std::vector<DiskCopy> WarmTier::Unclaimed() const {
  base::MutexLock lock(mu_);
  std::vector<DiskCopy> copies;
  copies.reserve(unclaimed_.size());
  for (const auto& [partition, copy] : unclaimed_) {
    copies.push_back(copy);
  }
  return copies;
}

void WarmTier::Load(base::PartitionId partition, uint32_t reset_epoch, LoadDone done) {
  std::optional<DiskCopy> copy;
  {
    base::MutexLock lock(mu_);
    auto found = unclaimed_.find(partition);
    if (found != unclaimed_.end()) {
      copy = found->second;
      unclaimed_.erase(found);
      if (copy->reset_epoch == reset_epoch) loading_.emplace(partition, *copy);
    }
  }
  const bool wanted = copy && copy->reset_epoch == reset_epoch;
  if (copy && !wanted) {
    Drop(partition);
  }
  // Always on the loader's thread: the caller may hold locks that `done` takes. Shared, because a
  // refused task is destroyed with what it captured.
  auto shared = std::make_shared<LoadDone>(std::move(done));
  const bool taken = loader_.TrySubmit([this, partition, copy, wanted, shared] {
    if (wanted) {
      bool begins = false;
      {
        base::MutexLock lock(mu_);
        begins = !stopping_ && loading_.contains(partition);
      }
      absl::StatusOr<DiskCopy> loaded =
          absl::UnavailableError("the copy was dropped, or the warm tier is stopping");
      if (begins) {
        loaded = LoadNow(*copy);
        base::MutexLock lock(mu_);
        loading_.erase(partition);
      }
      (*shared)(std::move(loaded));
    } else {
      (*shared)(absl::NotFoundError(
          absl::StrCat("partition ", partition.value(), ": no copy on disk to revive")));
    }
  });
  if (!taken) {
    (*shared)(absl::UnavailableError("the warm tier is stopping"));
  }
}

absl::StatusOr<DiskCopy> WarmTier::LoadNow(const DiskCopy& copy) {
  // All of it was committed: without the bound the store could evict none of it.
  store_->SetCommitted(copy.partition, base::Version(copy.epoch, copy.last_sequence));
  const base::CacheSeconds now = base::ToCacheSeconds(options_.clock->Now());
  uint64_t loaded = 0;
  bool whole = true;
  absl::Status status =
      db_->ForEach(copy.partition, [&](std::string_view disk_key, std::string_view record) {
        const std::optional<DiskEntry> entry = DecodeDiskEntry(record);
        const DiskKeyParts parts = ParseDiskKey(disk_key);
        if (!entry || store::Key{parts.ns, parts.key, entry->hash}.partition() != copy.partition) {
          whole = false;
          return false;
        }
        const bool expired = entry->meta.expiry != 0 && entry->meta.expiry <= now;
        if (!expired && options_.persists(parts.ns)) {
          const store::Key key{parts.ns, parts.key, entry->hash};
          loaded +=
              store_->Put(key, entry->meta, {&entry->value, 1}) == store::WriteResult::kApplied ? 1
                                                                                                : 0;
        }
        return true;
      });
  if (status.ok() && !whole) {
    status = absl::DataLossError("warm tier: an entry cannot be read");
  }
  if (!status.ok()) {
    store_->DropPartition(copy.partition);
    store_->OpenPartition(copy.partition);
    NoteError(status);
    Drop(copy.partition);
    return status;
  }
  loaded_.fetch_add(loaded, std::memory_order_relaxed);
  return copy;
}

void WarmTier::Drop(base::PartitionId partition) {
  {
    base::MutexLock lock(mu_);
    unclaimed_.erase(partition);
    loading_.erase(partition);
  }
  // If it is not taken, a clean stop drops what memory does not hold.
  loader_.TrySubmit([this, partition] { NoteError(db_->DropPartition(partition)); });
}

void WarmTier::OfferWarm(const store::ScannedEntry& entry) {
  if (!options_.persists(entry.ns)) {
    return;
  }
  const store::Key key{entry.ns, entry.key, entry.hash};
  const uint64_t size = entry.key.size() + kDiskEntryHeaderBytes + entry.value_size;
  base::MutexLock lock(mu_);
  if (stopping_ || unclaimed_.contains(key.partition()) ||
      queued_bytes_ + size > options_.max_queued_bytes) {
    given_up_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  queue_.push_back({entry.ns, std::string(entry.key), entry.hash, entry.meta.version,
                    EncodeDiskEntry(entry.meta, entry.hash, entry.value.pieces())});
  queued_bytes_ += queue_.back().size();
  changed_.Signal();
}

void WarmTier::WriteBehind() {
  while (true) {
    std::vector<Queued> batch;
    {
      base::MutexLock lock(mu_);
      while (queue_.empty() && !stopping_) {
        changed_.Wait(mu_);
      }
      // What waits is left to the clean stop, which writes from memory.
      if (stopping_) {
        return;
      }
      batch.swap(queue_);
      queued_bytes_ = 0;
    }
    WriteQueued(std::move(batch));
  }
}

void WarmTier::WriteQueued(std::vector<Queued> batch) {
  std::vector<DiskWrite> writes;
  uint64_t bytes = 0;
  const auto write = [&] {
    absl::Status status = absl::OkStatus();
    if (!HaveRoom()) {
      given_up_.fetch_add(writes.size(), std::memory_order_relaxed);
    } else {
      status = db_->Write(writes);
      (status.ok() ? written_ : given_up_).fetch_add(writes.size(), std::memory_order_relaxed);
      NoteError(status);
      if (!status.ok()) {
        NoteError(db_->Recover());
      }
    }
    writes.clear();
    bytes = 0;
  };
  for (Queued& entry : batch) {
    const store::Key key = entry.AsKey();
    if (!InMemory(key, entry.version)) {
      continue;  // changed or gone meanwhile
    }
    bytes += entry.size();
    writes.push_back({DiskKey(key.partition(), entry.ns, entry.key), std::move(entry.record)});
    if (bytes >= kMaxBatchBytes) {
      write();
    }
  }
  if (!writes.empty()) {
    write();
  }
}

bool WarmTier::HaveRoom() {
  if (db_->SizeBytes() < options_.disk_bytes) {
    return true;
  }
  if (Now() - reclaimed_at_ < kReclaimInterval) {
    return false;
  }
  reclaimed_at_ = Now();
  Reclaim();
  return db_->SizeBytes() < options_.disk_bytes;
}

void WarmTier::Reclaim() {
  for (uint32_t p = 0; p < base::kPartitionCount; ++p) {
    const base::PartitionId partition(static_cast<uint16_t>(p));
    {
      base::MutexLock lock(mu_);
      if (stopping_) {
        return;
      }
      if (unclaimed_.contains(partition)) {
        continue;
      }
    }
    Versions kept;
    NoteError(DropStale(partition, kept));
  }
  db_->Compact();
}

bool WarmTier::InMemory(const store::Key& key, base::Version version) const {
  store::ReadBuffer buffer;
  const store::FindOptions peek{.touch = false, .enforce_idle = false, .metadata_only = true};
  const store::Found found = store_->Find(key, peek, buffer);
  return found.presence == store::Presence::kPresent && found.meta.version == version;
}

absl::Status WarmTier::DropStale(base::PartitionId partition, Versions& kept) {
  std::vector<DiskWrite> drops;
  absl::Status status =
      db_->ForEach(partition, [&](std::string_view disk_key, std::string_view record) {
        const std::optional<DiskEntry> entry = DecodeDiskEntry(record);
        const DiskKeyParts parts = ParseDiskKey(disk_key);
        if (entry && options_.persists(parts.ns) &&
            InMemory({parts.ns, parts.key, entry->hash}, entry->meta.version)) {
          kept.insert(entry->meta.version);
        } else {
          drops.push_back({std::string(disk_key), {}, true});
        }
        return true;
      });
  if (status.ok() && !drops.empty()) {
    status = db_->Write(drops);
  }
  if (status.ok()) {
    return status;
  }
  // Damaged, or not to be written entry by entry: drop it all, and it is written anew from memory.
  kept.clear();
  NoteError(status);
  return db_->DropPartition(partition);
}

absl::Status WarmTier::WriteMissing(base::PartitionId partition, const Versions& kept,
                                    absl::Duration until) {
  uint64_t cursor = 0;
  while (Now() < until) {
    const store::ScanChunk page =
        store_->Scan(partition, cursor, {.max_entries = kPageEntries, .max_bytes = kMaxBatchBytes});
    std::vector<DiskWrite> writes;
    for (const store::ScannedEntry& entry : page.entries) {
      if (options_.persists(entry.ns) && !kept.contains(entry.meta.version)) {
        writes.push_back({DiskKey(partition, entry.ns, entry.key),
                          EncodeDiskEntry(entry.meta, entry.hash, entry.value.pieces())});
      }
    }
    if (!writes.empty()) {
      if (absl::Status status = db_->Write(writes); !status.ok()) {
        return status;
      }
      written_.fetch_add(writes.size(), std::memory_order_relaxed);
    }
    if (page.done) {
      return absl::OkStatus();
    }
    cursor = page.next;
  }
  return absl::DeadlineExceededError("warm tier: no time left to write all entries");
}

absl::Status WarmTier::CleanStop(absl::Span<const DiskCopy> copies, absl::Duration timeout) {
  StopThreads();
  const absl::Duration until = Now() + timeout * kWritingShare;
  std::vector<std::string> records;
  std::array<bool, base::kPartitionCount> kept_copy{};
  // Left as they are: of what is unclaimed memory has nothing, of what is half loaded it has a
  // part.
  absl::flat_hash_map<base::PartitionId, DiskCopy> left;
  {
    base::MutexLock lock(mu_);
    left = std::exchange(unclaimed_, {});
    for (const DiskCopy& copy : copies) left.erase(copy.partition);
    left.insert(loading_.begin(), loading_.end());
  }
  for (const auto& [partition, copy] : left) {
    kept_copy[partition.value()] = true;
    records.push_back(EncodeCopy(copy));
  }
  // 1. Nothing old stays, whether there is time or not: a whole partition is dropped at once.
  std::vector<Versions> kept(copies.size());
  for (size_t i = 0; i < copies.size(); ++i) {
    const base::PartitionId partition = copies[i].partition;
    if (left.contains(partition)) continue;
    kept_copy[partition.value()] = true;
    absl::Status status =
        Now() < until ? DropStale(partition, kept[i]) : db_->DropPartition(partition);
    if (!status.ok()) {
      return status;
    }
  }
  for (uint32_t p = 0; p < base::kPartitionCount; ++p) {
    if (!kept_copy[p]) {
      if (absl::Status status = db_->DropPartition(base::PartitionId(static_cast<uint16_t>(p)));
          !status.ok()) {
        return status;
      }
    }
  }
  // 2. What is missing, until the time or the disk is used up.
  size_t unfinished = 0;
  for (size_t i = 0; i < copies.size(); ++i) {
    if (left.contains(copies[i].partition)) continue;
    absl::Status status = absl::ResourceExhaustedError("warm tier: disk budget used up");
    if (db_->SizeBytes() < options_.disk_bytes) {
      status = WriteMissing(copies[i].partition, kept[i], until);
    }
    if (absl::IsDeadlineExceeded(status) || absl::IsResourceExhausted(status)) {
      ++unfinished;
    } else if (!status.ok()) {
      return status;
    }
  }
  if (unfinished > 0) {
    base::LogWarning(absl::StrCat("warm tier: ", unfinished, " of ", copies.size(),
                                  " partitions were not written in full"));
  }
  // 3. The records, then the mark.
  for (DiskCopy copy : copies) {
    if (left.contains(copy.partition)) continue;
    copy.left_by = folder_->incarnation();
    records.push_back(EncodeCopy(copy));
  }
  if (absl::Status status = db_->ReplaceRecords(records); !status.ok()) {
    return status;
  }
  if (absl::Status status = db_->Sync(); !status.ok()) {
    return status;
  }
  return folder_->MarkClean();
}

void WarmTier::NoteError(const absl::Status& status) {
  {
    base::MutexLock lock(mu_);
    failing_ = !status.ok();
  }
  if (status.ok()) {
    return;
  }
  if (const auto skipped = error_log_.Pass()) {
    base::LogWarning(absl::StrCat(status.ToString(), "; persistence is given up meanwhile (",
                                  *skipped, " errors not logged)"));
  }
}

WarmStats WarmTier::Stats() const {
  WarmStats stats;
  stats.written = written_.load(std::memory_order_relaxed);
  stats.given_up = given_up_.load(std::memory_order_relaxed);
  stats.loaded = loaded_.load(std::memory_order_relaxed);
  stats.disk_entries = db_->EstimateEntries();
  stats.disk_bytes = db_->SizeBytes();
  stats.disk_limit_bytes = options_.disk_bytes;
  base::MutexLock lock(mu_);
  stats.queued_bytes = queued_bytes_;
  stats.failing = failing_;
  return stats;
}

}  // namespace atoll::warm
