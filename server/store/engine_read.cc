// Reads and walks of the engine.
#include <algorithm>
#include <cstring>

#include "server/store/engine_find.h"

namespace atoll::store {
namespace {

// No lock is to be held for over 20 us.
constexpr uint64_t kScannedBytesUnderLock = 64 << 10;
// For a page, some 500 slots: that bounds the time where a filter leaves most out.
constexpr uint32_t kScannedParts = 2 * Index::kPartsOfExtent;

}  // namespace

void Engine::ReadLarge(const EntryRef& entry, bool with_value, Found* found) const {
  found->presence = Presence::kPresent;
  found->meta = entry.meta();
  found->value = Value();
  found->value_size = entry.large()->size();
  if (with_value && !LargeValue::Read(entry.large()->self, tables_->pin_cap, &found->value)) {
    found->presence = Presence::kPinLimit;
  }
}

void Engine::FindNone(Partition& p, const Key& key, const FindOptions& options,
                      Found* found) const {
  *found = Found();
  if (options.touch) ++p.misses;
  if (p.memory == nullptr) return;
  found->meta.version = p.memory->tombstones.Find(key.hash);
  if (p.memory->forgotten > p.committed) {
    found->meta.version = std::max(found->meta.version, p.memory->forgotten);
  }
  const auto flush = p.memory->flushes.find(key.ns);
  if (flush != p.memory->flushes.end() && flush->second > p.committed) {
    found->meta.version = std::max(found->meta.version, flush->second);
  }
}

Found Engine::Find(const Key& key, const FindOptions& options, ReadBuffer& buffer) {
  Found found;
  FindOne(key, options, tables_->Now(), PlaceInto(buffer), &found);
  return found;
}

bool Engine::ScanEntry(Partition& p, const Slot& slot, const ScanOptions& options,
                       base::CacheSeconds now, ScanChunk* chunk, uint64_t* bytes) const {
  const EntryRef entry = tables_->EntryAt(slot);
  if (options.ns.value() != 0 && entry.ns() != options.ns) return false;
  if (entry.key().substr(0, options.prefix.size()) != options.prefix) return false;
  if (Tables::Expired(entry, now) || Tables::Flushed(p, entry.ns(), entry.version())) return false;
  ScannedEntry& out = chunk->entries.emplace_back();
  out.ns = entry.ns();
  out.key = chunk->buffer.Copy(entry.key());
  out.hash = tables_->namespaces.HashOf(entry);
  Found found;
  Read(entry, options.with_values, PlaceInto(chunk->buffer), &found);
  out.meta = found.meta;
  out.value_size = found.value_size;
  out.value = std::move(found.value);
  *bytes += out.key.size() + (options.with_values ? out.value_size : 0);
  return true;
}

bool Engine::ScanPart(Partition& p, const ScanOptions& options, base::CacheSeconds now,
                      uint32_t* next, ScanChunk* chunk, uint64_t* bytes) const {
  std::vector<Slot*> slots;
  uint32_t tag = *next;
  *next = p.index.SlotsFrom(tag, &slots);
  std::sort(slots.begin(), slots.end(),
            [](const Slot* a, const Slot* b) { return a->tag() < b->tag(); });
  const uint64_t bytes_before = *bytes;
  for (const Slot* const slot : slots) {
    const bool full = chunk->entries.size() >= options.max_entries || *bytes >= options.max_bytes ||
                      *bytes - bytes_before >= kScannedBytesUnderLock;
    // A page ends between two tags: what has equal ones cannot be told apart by the cursor.
    if (full && slot->tag() != tag) {
      *next = slot->tag();
      return chunk->entries.size() < options.max_entries && *bytes < options.max_bytes;
    }
    tag = slot->tag();
    ScanEntry(p, *slot, options, now, chunk, bytes);
  }
  return true;
}

ScanChunk Engine::Scan(base::PartitionId partition, uint64_t cursor, const ScanOptions& options) {
  ScanChunk chunk;
  Partition& p = tables_->At(partition);
  const base::CacheSeconds now = tables_->Now();
  uint32_t next = Slot::TagOf(cursor);
  uint64_t bytes = 0;
  for (uint32_t part = 0; part < kScannedParts; ++part) {
    base::BriefLockHold lock(p.mu);
    const bool more = ScanPart(p, options, now, &next, &chunk, &bytes);
    chunk.done = next == 1u << Slot::kTagBits;
    if (chunk.done || !more) break;
  }
  if (!chunk.done) chunk.next = uint64_t{partition.value()} << 52 | uint64_t{next} << 30;
  return chunk;
}

StoreStats Engine::Stats() const {
  StoreStats stats;
  for (const Partition& p : tables_->partitions) {
    base::BriefLockHold lock(p.mu);
    stats.items += p.index.size();
    stats.live_bytes += p.live_bytes;
    stats.index_bytes += static_cast<uint64_t>(p.charged_bytes + p.index.pool_bytes());
    if (p.memory != nullptr) stats.tombstones += p.memory->tombstones.size();
    stats.hits += p.hits;
    stats.misses += p.misses;
    stats.evictions += p.evictions;
    stats.expirations += p.expirations;
  }
  for (const SegmentInfo& segment : tables_->segments) {
    stats.dead_bytes += segment.dead.load(std::memory_order_relaxed);
  }
  stats.warmed_dropped = tables_->warmed_dropped.load(std::memory_order_relaxed);
  stats.memory_limit_bytes = tables_->options.memory_bytes;
  stats.memory_used_bytes = tables_->arena->UsedBytes();
  stats.pinned_bytes = tables_->pages->pinned_bytes.load(std::memory_order_relaxed);
  stats.ghost_bytes = cleaner_->GhostBytes();
  stats.large_value_copies = tables_->large_copies.load(std::memory_order_relaxed);
  return stats;
}

uint64_t Engine::ItemsIn(base::PartitionId partition) const {
  const Partition& p = tables_->At(partition);
  base::BriefLockHold lock(p.mu);
  return p.index.size();
}

}  // namespace atoll::store
