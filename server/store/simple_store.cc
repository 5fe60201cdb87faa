#include "server/store/simple_store.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace atoll::store {
namespace {

// A tree node, two strings, the entry, and what malloc adds; measured, rounded up.
constexpr uint64_t kEntryOverhead = 240;
constexpr uint64_t kTombstoneBytes = 40;
constexpr int kEvictionSlice = 64;

base::NamespaceId NamespaceOf(std::string_view place) {
  uint16_t id;
  std::memcpy(&id, place.data(), sizeof(id));
  return base::NamespaceId(id);
}

std::string_view KeyOf(std::string_view place) { return place.substr(sizeof(uint16_t)); }

}  // namespace

struct SimpleStore::Large {
  Large(std::shared_ptr<Account> charged, uint64_t bytes, std::string data)
      : account(std::move(charged)), size(bytes), value(std::move(data)) {}
  ~Large() {
    account->used.fetch_sub(size, std::memory_order_relaxed);
    if (unlinked) account->pinned.fetch_sub(size, std::memory_order_relaxed);
  }
  const std::shared_ptr<Account> account;
  const uint64_t size;
  const std::string value;
  bool unlinked = false;  // written under the partition's lock, while the map still owns it
};

uint64_t SimpleStore::Entry::value_size() const {
  return large != nullptr ? large->value.size() : small.size();
}

absl::Status StoreOptions::Validate() const {
  if (memory_bytes < kMinMemoryBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("memory: ", memory_bytes, " bytes, minimum ", kMinMemoryBytes));
  }
  if (cores < 1) return absl::InvalidArgumentError(absl::StrCat("cores: ", cores, ", minimum 1"));
  if (clock == nullptr) return absl::InvalidArgumentError("clock: none");
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Store>> Store::Create(const StoreOptions& options) {
  if (absl::Status status = options.Validate(); !status.ok()) return status;
  return std::make_unique<SimpleStore>(options);
}

SimpleStore::SimpleStore(const StoreOptions& options)
    : options_(options),
      account_(std::make_shared<Account>()),
      partitions_(base::kPartitionCount) {}

SimpleStore::Place SimpleStore::PlaceOf(const Key& key) {
  const uint16_t ns = key.ns.value();
  std::string bytes(sizeof(ns) + key.key.size(), '\0');
  std::memcpy(bytes.data(), &ns, sizeof(ns));
  if (!key.key.empty()) std::memcpy(bytes.data() + sizeof(ns), key.key.data(), key.key.size());
  return {key.hash, std::move(bytes)};
}

uint64_t SimpleStore::Charge(const Place& place, uint64_t small_bytes) {
  return kEntryOverhead + place.second.size() + small_bytes;
}

bool SimpleStore::Flushed(const Partition& p, base::NamespaceId ns, base::Version version) const {
  const auto it = p.flushes.find(ns);
  return it != p.flushes.end() && version <= it->second;
}

SimpleStore::Entries::iterator SimpleStore::Remove(Partition& p, Entries::iterator it) {
  account_->used.fetch_sub(Charge(it->first, it->second.small.size()), std::memory_order_relaxed);
  if (Large* const large = it->second.large.get(); large != nullptr) {
    large->unlinked = true;
    account_->pinned.fetch_add(large->size, std::memory_order_relaxed);
  }
  return p.entries.erase(it);
}

void SimpleStore::Remember(Partition& p, uint64_t hash, base::Version version) {
  if (version <= p.committed && !p.retain) return;
  auto [it, inserted] = p.tombstones.try_emplace(hash, version);
  if (inserted) account_->used.fetch_add(kTombstoneBytes, std::memory_order_relaxed);
  it->second = std::max(it->second, version);
}

void SimpleStore::Forget(Partition& p, uint64_t hash) {
  if (p.tombstones.erase(hash) > 0) {
    account_->used.fetch_sub(kTombstoneBytes, std::memory_order_relaxed);
  }
}

void SimpleStore::ForgetCommitted(Partition& p) {
  if (p.retain || p.tombstones.empty()) return;
  const size_t before = p.tombstones.size();
  absl::erase_if(p.tombstones,
                 [committed = p.committed](const auto& t) { return t.second <= committed; });
  account_->used.fetch_sub((before - p.tombstones.size()) * kTombstoneBytes,
                           std::memory_order_relaxed);
}

void SimpleStore::OpenPartition(base::PartitionId partition) {
  Partition& p = At(partition);
  base::MutexLock lock(p.mu);
  p.open = true;
}

void SimpleStore::DropPartition(base::PartitionId partition) {
  Partition& p = At(partition);
  base::MutexLock lock(p.mu);
  for (auto it = p.entries.begin(); it != p.entries.end();) it = Remove(p, it);
  account_->used.fetch_sub(p.tombstones.size() * kTombstoneBytes, std::memory_order_relaxed);
  p.tombstones.clear();
  p.flushes.clear();
  p.committed = base::Version();
  p.retain = false;
  p.open = false;
}

Value SimpleStore::ReadValue(const Entry& entry, ReadBuffer& buffer) const {
  if (entry.large != nullptr) {
    const std::string_view piece = entry.large->value;
    return Value(absl::MakeConstSpan(&piece, 1), entry.large);
  }
  return Value(buffer.Copy(entry.small));
}

Found SimpleStore::FindAt(const Key& key, const FindOptions& options, base::CacheSeconds now,
                          ReadBuffer& buffer) {
  Found found;
  const Place place = PlaceOf(key);
  Partition& p = At(key.partition());
  base::MutexLock lock(p.mu);
  auto it = p.entries.find(place);
  if (it != p.entries.end()) {
    Entry& entry = it->second;
    const EntryMeta& meta = entry.meta;
    const bool expired =
        (meta.expiry != 0 && meta.expiry <= now) ||
        (options.enforce_idle && meta.max_idle != 0 && entry.last_access + meta.max_idle <= now);
    if (expired) {
      ++p.expirations;
      Remove(p, it);
    } else if (!Flushed(p, key.ns, meta.version)) {
      found.presence = Presence::kPresent;
      found.meta = meta;
      found.value_size = entry.value_size();
      if (!options.metadata_only) found.value = ReadValue(entry, buffer);
      if (options.touch) {
        ++p.hits;
        entry.last_access = now;
        if (entry.frequency < 3) ++entry.frequency;
      }
      return found;
    }
  }
  if (options.touch) ++p.misses;
  if (const auto t = p.tombstones.find(key.hash); t != p.tombstones.end()) {
    found.meta.version = t->second;
  }
  if (const auto f = p.flushes.find(key.ns); f != p.flushes.end() && f->second > p.committed) {
    found.meta.version = std::max(found.meta.version, f->second);
  }
  return found;
}

Found SimpleStore::Find(const Key& key, const FindOptions& options, ReadBuffer& buffer) {
  return FindAt(key, options, base::ToCacheSeconds(options_.clock->Now()), buffer);
}

void SimpleStore::FindBatch(absl::Span<const Key> keys, const FindOptions& options,
                            ReadBuffer& buffer, absl::Span<Found> results) {
  const base::CacheSeconds now = base::ToCacheSeconds(options_.clock->Now());
  for (size_t i = 0; i < keys.size(); ++i) results[i] = FindAt(keys[i], options, now, buffer);
}

bool SimpleStore::EvictSome() {
  const uint32_t at = evict_at_.fetch_add(1, std::memory_order_relaxed) % base::kPartitionCount;
  Partition& p = partitions_[at];
  base::MutexLock lock(p.mu);
  bool evicted = false;
  auto it = p.entries.lower_bound(p.hand);
  for (int i = 0; i < kEvictionSlice && !p.entries.empty(); ++i) {
    if (it == p.entries.end()) it = p.entries.begin();
    Entry& entry = it->second;
    if (entry.meta.version > p.committed) {  // R4
      ++it;
    } else if (entry.frequency > 0) {
      --entry.frequency;
      ++it;
    } else {
      ++p.evictions;
      it = Remove(p, it);
      evicted = true;
      break;
    }
  }
  p.hand = it != p.entries.end() ? it->first : Place();
  return evicted;
}

bool SimpleStore::Reserve(uint64_t bytes) {
  if (bytes > options_.memory_bytes / 2) return false;
  // Four rounds without a victim: every frequency has come down to nought, and what is left may
  // not go.
  uint32_t without = 0;
  uint64_t used = account_->used.load(std::memory_order_relaxed);
  while (true) {
    if (used + bytes <= options_.memory_bytes) {
      if (account_->used.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed)) {
        return true;
      }
      continue;
    }
    if (EvictSome()) {
      without = 0;
    } else if (++without > 5 * base::kPartitionCount) {
      return false;
    }
    used = account_->used.load(std::memory_order_relaxed);
  }
}

WriteResult SimpleStore::Put(const Key& key, const EntryMeta& meta,
                             absl::Span<const std::string_view> pieces) {
  Place place = PlaceOf(key);
  Partition& p = At(key.partition());
  uint64_t size = 0;
  for (const std::string_view piece : pieces) size += piece.size();
  const bool is_large = size > kInlineValueBytes;
  const uint64_t charge = Charge(place, is_large ? 0 : size);
  const bool room = Reserve(charge + (is_large ? size : 0));
  std::string bytes;
  if (room) {
    bytes.reserve(size);
    for (const std::string_view piece : pieces) bytes.append(piece);
  }
  std::shared_ptr<Large> large;
  if (room && is_large) {
    large = std::make_shared<Large>(account_, size, std::move(bytes));
    large_copies_.fetch_add(1, std::memory_order_relaxed);
  }

  base::MutexLock lock(p.mu);
  auto it = p.entries.find(place);
  const auto tombstone = p.tombstones.find(key.hash);
  const bool stale = (it != p.entries.end() && it->second.meta.version >= meta.version) ||
                     (tombstone != p.tombstones.end() && tombstone->second >= meta.version) ||
                     Flushed(p, key.ns, meta.version);
  if (stale || !room || !p.open) {
    if (room) account_->used.fetch_sub(charge, std::memory_order_relaxed);
    if (stale) return WriteResult::kStale;
    if (it != p.entries.end()) Remove(p, it);
    if (p.open) Remember(p, key.hash, meta.version);
    return WriteResult::kNoRoom;
  }
  if (it != p.entries.end()) Remove(p, it);
  Forget(p, key.hash);
  Entry& entry = p.entries[std::move(place)];
  entry.meta = meta;
  entry.last_access = base::ToCacheSeconds(options_.clock->Now());
  entry.large = std::move(large);
  entry.small = std::move(bytes);
  return WriteResult::kApplied;
}

WriteResult SimpleStore::Erase(const Key& key, base::Version version) {
  const Place place = PlaceOf(key);
  Partition& p = At(key.partition());
  base::MutexLock lock(p.mu);
  if (!p.open) return WriteResult::kNoRoom;
  const auto tombstone = p.tombstones.find(key.hash);
  if (tombstone != p.tombstones.end() && tombstone->second >= version) return WriteResult::kStale;
  if (Flushed(p, key.ns, version)) return WriteResult::kStale;
  const auto it = p.entries.find(place);
  if (it != p.entries.end()) {
    if (it->second.meta.version >= version) return WriteResult::kStale;
    Remove(p, it);
  }
  Remember(p, key.hash, version);
  return WriteResult::kApplied;
}

WriteResult SimpleStore::Touch(const Key& key, base::Version version, base::CacheSeconds expiry,
                               uint32_t max_idle) {
  const Place place = PlaceOf(key);
  Partition& p = At(key.partition());
  const base::CacheSeconds now = base::ToCacheSeconds(options_.clock->Now());
  base::MutexLock lock(p.mu);
  if (!p.open) return WriteResult::kNoRoom;
  const auto tombstone = p.tombstones.find(key.hash);
  if (tombstone != p.tombstones.end() && tombstone->second >= version) return WriteResult::kStale;
  if (Flushed(p, key.ns, version)) return WriteResult::kStale;
  const auto it = p.entries.find(place);
  if (it != p.entries.end()) {
    Entry& entry = it->second;
    if (entry.meta.version >= version) return WriteResult::kStale;
    const bool expired = entry.meta.expiry != 0 && entry.meta.expiry <= now;
    if (!expired && !Flushed(p, key.ns, entry.meta.version)) {
      entry.meta.version = version;
      entry.meta.expiry = expiry;
      entry.meta.max_idle = max_idle;
      entry.last_access = now;
      return WriteResult::kApplied;
    }
    Remove(p, it);
  }
  Remember(p, key.hash, version);
  return WriteResult::kApplied;
}

void SimpleStore::Flush(base::PartitionId partition, base::NamespaceId ns, base::Version version) {
  Partition& p = At(partition);
  base::MutexLock lock(p.mu);
  if (!p.open) return;
  base::Version& mark = p.flushes[ns];
  mark = std::max(mark, version);
}

std::vector<FlushMark> SimpleStore::Flushes(base::PartitionId partition) {
  Partition& p = At(partition);
  base::MutexLock lock(p.mu);
  std::vector<FlushMark> marks;
  for (const auto& [ns, version] : p.flushes) marks.push_back({ns, version});
  return marks;
}

void SimpleStore::SetCommitted(base::PartitionId partition, base::Version committed) {
  Partition& p = At(partition);
  base::MutexLock lock(p.mu);
  p.committed = std::max(p.committed, committed);
  ForgetCommitted(p);
}

void SimpleStore::RetainTombstones(base::PartitionId partition, bool retain) {
  Partition& p = At(partition);
  base::MutexLock lock(p.mu);
  p.retain = retain;
  ForgetCommitted(p);
}

ScanChunk SimpleStore::Scan(base::PartitionId partition, uint64_t cursor,
                            const ScanOptions& options) {
  ScanChunk chunk;
  Partition& p = At(partition);
  const base::CacheSeconds now = base::ToCacheSeconds(options_.clock->Now());
  base::MutexLock lock(p.mu);
  uint64_t bytes = 0;
  auto it = p.entries.lower_bound(Place(cursor, std::string()));
  for (; it != p.entries.end(); ++it) {
    const auto& [place, entry] = *it;
    const base::NamespaceId ns = NamespaceOf(place.second);
    const std::string_view key = KeyOf(place.second);
    // Equal hashes go into one page: the cursor cannot tell them apart.
    const bool full = chunk.entries.size() >= options.max_entries || bytes >= options.max_bytes;
    if (full && place.first != chunk.entries.back().hash) break;
    if (options.ns.value() != 0 && ns != options.ns) continue;
    if (key.substr(0, options.prefix.size()) != options.prefix) continue;
    if (entry.meta.expiry != 0 && entry.meta.expiry <= now) continue;
    if (Flushed(p, ns, entry.meta.version)) continue;
    ScannedEntry& out = chunk.entries.emplace_back();
    out.ns = ns;
    out.key = chunk.buffer.Copy(key);
    out.hash = place.first;
    out.meta = entry.meta;
    out.value_size = entry.value_size();
    if (options.with_values) out.value = ReadValue(entry, chunk.buffer);
    bytes += key.size() + (options.with_values ? out.value_size : 0);
  }
  chunk.done = it == p.entries.end();
  if (!chunk.done) chunk.next = it->first.first;
  return chunk;
}

void SimpleStore::SetShares(absl::Span<const NamespaceShare>) {}

void SimpleStore::SetWarmSink(WarmSink* sink) { sink_.store(sink, std::memory_order_release); }

bool SimpleStore::Maintain() {
  const uint32_t at = maintain_at_.load(std::memory_order_relaxed) % base::kPartitionCount;
  Partition& p = partitions_[at];
  const base::CacheSeconds now = base::ToCacheSeconds(options_.clock->Now());
  WarmSink* const sink = sink_.load(std::memory_order_acquire);
  std::vector<ScannedEntry> warm;
  ReadBuffer buffer;
  {
    base::MutexLock lock(p.mu);
    auto it = p.entries.lower_bound(p.sweep);
    for (int i = 0; i < kEvictionSlice && it != p.entries.end(); ++i) {
      const base::NamespaceId ns = NamespaceOf(it->first.second);
      Entry& entry = it->second;
      const bool expired = entry.meta.expiry != 0 && entry.meta.expiry <= now;
      if (expired || Flushed(p, ns, entry.meta.version)) {
        if (expired) ++p.expirations;
        it = Remove(p, it);
        continue;
      }
      if (sink != nullptr && entry.frequency > 0 && !entry.offered &&
          entry.meta.version <= p.committed) {
        entry.offered = true;
        warm.push_back({ns, buffer.Copy(KeyOf(it->first.second)), it->first.first, entry.meta,
                        entry.value_size(), ReadValue(entry, buffer)});
      }
      ++it;
    }
    const bool end = it == p.entries.end();
    p.sweep = end ? Place() : it->first;
    if (end) maintain_at_.fetch_add(1, std::memory_order_relaxed);
  }
  for (const ScannedEntry& entry : warm) sink->OfferWarm(entry);
  // One round over the partitions, then a pause.
  return (at + 1) % base::kPartitionCount != 0;
}

StoreStats SimpleStore::Stats() const {
  StoreStats stats;
  stats.memory_limit_bytes = options_.memory_bytes;
  for (const Partition& p : partitions_) {
    base::MutexLock lock(p.mu);
    stats.items += p.entries.size();
    stats.tombstones += p.tombstones.size();
    stats.hits += p.hits;
    stats.misses += p.misses;
    stats.evictions += p.evictions;
    stats.expirations += p.expirations;
  }
  stats.memory_used_bytes = account_->used.load(std::memory_order_relaxed);
  stats.pinned_bytes = account_->pinned.load(std::memory_order_relaxed);
  stats.live_bytes = stats.memory_used_bytes - stats.pinned_bytes;
  stats.large_value_copies = large_copies_.load(std::memory_order_relaxed);
  return stats;
}

uint64_t SimpleStore::ItemsIn(base::PartitionId partition) const {
  const Partition& p = At(partition);
  base::MutexLock lock(p.mu);
  return p.entries.size();
}

}  // namespace atoll::store
