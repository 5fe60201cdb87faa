#include "server/store/tables.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <utility>

#include "base/hash.h"

namespace atoll::store {
namespace {

// Cleaning one segment fills at most one other for each TTL class before it is free.
constexpr uint32_t kReservedSegments = 4;
constexpr uint32_t kShardSegments = 64;
constexpr uint64_t kPinShare = 4;         // of memory, at most a quarter
constexpr uint64_t kTombstoneShare = 50;  // at most 2%
// Under one lock: at 40 ns each, as their lines are cold, a quarter of the 20 us.
constexpr size_t kForgottenAtOnce = 128;

}  // namespace

absl::StatusOr<std::unique_ptr<Tables>> Tables::Create(const StoreOptions& options) {
  auto arena = Arena::Create(options.memory_bytes, kReservedSegments);
  if (!arena.ok()) return arena.status();
  const auto most = std::min<uint32_t>(16 * static_cast<uint32_t>(options.cores),
                                       (*arena)->segment_count() / kShardSegments);
  return std::unique_ptr<Tables>(
      new Tables(options, *std::move(arena), std::bit_floor(std::max(most, 1u))));
}

Tables::Tables(const StoreOptions& store_options, std::shared_ptr<Arena> mapped, size_t shard_count)
    : options(store_options),
      arena(std::move(mapped)),
      pages(std::make_shared<PagePool>(arena)),
      extents(arena.get()),
      pin_cap(options.memory_bytes / kPinShare),
      tombstone_budget(static_cast<int64_t>(options.memory_bytes / kTombstoneShare)),
      segments(arena->segment_count()),
      shards(shard_count),
      partitions(base::kPartitionCount) {
  for (size_t i = 0; i < shards.size(); ++i) {
    shards[i].Init(static_cast<uint16_t>(i), arena.get(), &segments);
  }
  for (Partition& p : partitions) {
    base::BriefLockHold lock(p.mu);
    p.index.SetPool(&extents);
  }
  // The tables themselves, with what the arena and the pools of pages and extents keep of each
  // segment.
  arena->Charge(static_cast<int64_t>(segments.size() * (sizeof(SegmentInfo) + 8 + 16 + 24) +
                                     partitions.size() * sizeof(Partition) +
                                     shards.size() * sizeof(Shard)));
}

Tables::~Tables() {
  // Large values belong to their entries; readers may keep some of them alive.
  for (Partition& p : partitions) {
    base::BriefLockHold lock(p.mu);
    std::vector<Slot*> slots;
    for (uint32_t tag = 0; tag < 1u << Slot::kTagBits;) {
      slots.clear();
      tag = p.index.SlotsFrom(tag, &slots);
      for (const Slot* slot : slots) {
        const EntryRef entry = EntryAt(*slot);
        if (entry.is_large()) std::exchange(entry.large()->self, nullptr).reset();
      }
    }
  }
}

void Tables::Seat(Partition& p) {
  p.shard = &*std::min_element(shards.begin(), shards.end(), [](const Shard& a, const Shard& b) {
    return a.partitions.load() < b.partitions.load();
  });
  p.shard->partitions.fetch_add(1);
}

Slot* Tables::FindSlot(Partition& p, const Key& key) {
  return p.index.Find(key.hash, [&](const Slot& slot) { return Holds(slot, key); });
}

bool Tables::FlushedBy(const Partition::Memory& memory, base::NamespaceId ns,
                       base::Version version) {
  const auto it = memory.flushes.find(ns);
  return it != memory.flushes.end() && version <= it->second;
}

void Tables::Count(Partition& p, const EntryRef& entry, Queue queue, int sign) {
  int64_t bytes = entry.bytes();
  if (entry.is_large()) {
    const auto pages_bytes = static_cast<int64_t>(entry.large()->charge());
    p.shard->AddBytes(queue, sign * pages_bytes);
    bytes += pages_bytes;
  }
  p.live_bytes += static_cast<uint64_t>(sign * bytes);
  namespaces.Add(entry.ns(), sign * bytes);
  p.shard->items.fetch_add(static_cast<uint64_t>(int64_t{sign}), std::memory_order_relaxed);
}

void Tables::AddDead(Shard& shard, SegmentId segment, uint32_t bytes) {
  SegmentInfo& info = segments[segment];
  const uint32_t generation = info.generation.load(std::memory_order_relaxed);
  const uint32_t half = arena->segment_bytes() / 2;
  const uint32_t before = info.dead.fetch_add(bytes, std::memory_order_release);
  if (before < half && before + bytes >= half) {
    base::MutexLock lock(shard.mu);
    shard.NoteHalfDead(segment, generation);
  }
}

void Tables::Unlink(Partition& p, Slot* slot) {
  const Slot old = *slot;
  p.index.Erase(slot);
  End(p, old);
}

void Tables::Replace(Partition& p, Slot* slot, const Slot& with) {
  const Slot old = *slot;
  *slot = with;
  End(p, old);
}

void Tables::End(Partition& p, const Slot& slot) {
  const EntryRef entry = EntryAt(slot);
  const uint32_t bytes = entry.bytes();
  Count(p, entry, segments[slot.segment()].queue, -1);
  const std::shared_ptr<LargeValue> last =
      entry.is_large() ? std::exchange(entry.large()->self, nullptr) : nullptr;
  AddDead(*p.shard, slot.segment(), bytes);
}

bool Tables::Move(Partition& p, Slot* slot, Queue queue, uint32_t frequency,
                  base::CacheSeconds now) {
  const EntryRef entry = EntryAt(*slot);
  const uint32_t bytes = entry.bytes();
  const SegmentId from = slot->segment();
  Shard::Place place;
  {
    base::MutexLock lock(p.shard->mu);
    place = p.shard->Append(queue, TtlClassOf(entry.expiry(), now), bytes, entry.expiry(), now,
                            /*from_reserve=*/true);
    if (place.at == nullptr) return false;
    std::memcpy(place.at, arena->At(from) + slot->offset(), bytes);
  }
  if (entry.is_large()) {
    const auto charge = static_cast<int64_t>(entry.large()->charge());
    p.shard->AddBytes(segments[from].queue, -charge);
    p.shard->AddBytes(queue, charge);
  }
  *slot = Slot(slot->tag(), frequency, place.segment, place.offset);
  AddDead(*p.shard, from, bytes);
  return true;
}

void Tables::Remember(Partition& p, uint64_t hash, base::Version version) {
  if (version <= p.committed && !p.retain_tombstones) return;
  Partition::Memory& memory = MemoryOf(p);
  // Learners may fill half of it, so that they leave room for what is not committed.
  const int64_t most =
      p.retain_tombstones ? tombstone_budget.limit() / 2 : tombstone_budget.limit();
  if (memory.tombstones.Remember(hash, version, most)) return;
  // The oldest one makes room. If it is committed, nothing hangs on it: a learner kept it only in
  // case that a copy's piece came late, and pieces and records come down one stream, in order (R8).
  // Otherwise reads of a key without an entry must wait until it is.
  base::Version forgotten = memory.tombstones.ForgetOldest();
  if (!memory.tombstones.Remember(hash, version, most)) forgotten = std::max(forgotten, version);
  memory.forgotten = std::max(memory.forgotten, forgotten);
}

void Tables::ForgetTombstone(Partition& p, uint64_t hash) {
  if (p.memory->tombstones.Forget(hash)) Charge(p);
}

bool Tables::ForgetCommitted(Partition& p) {
  if (p.memory == nullptr || p.retain_tombstones || p.memory->tombstones.size() == 0) return false;
  const bool more = p.memory->tombstones.ForgetUpTo(p.committed, kForgottenAtOnce);
  Charge(p);
  return more;
}

void Tables::Charge(Partition& p) {
  const int64_t bytes =
      p.index.heap_bytes() + (p.memory == nullptr ? 0 : p.memory->tombstones.bytes());
  if (bytes == p.charged_bytes) return;
  arena->Charge(bytes - p.charged_bytes);
  p.charged_bytes = bytes;
}

void Tables::NoteWarmed(Partition& p, uint64_t hash, base::Version version) {
  std::vector<Warmed>& warmed = MemoryOf(p).warmed;
  if (warmed.size() >= Store::kMaxWarmed) {
    warmed_dropped.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  if (warmed.empty()) {
    const size_t partition = base::PartitionOfHash(hash).value();
    has_warmed[partition / 64].fetch_or(uint64_t{1} << partition % 64, std::memory_order_relaxed);
  }
  warmed.push_back({hash, version});
}

void Tables::OfferWarm(EntryRef entry, Partition& p) {
  if (!HasSink() || (entry.options() & EntryRef::kWasOffered) != 0) return;
  if (entry.version() > p.committed || !warm_queue.HasRoom()) return;
  entry.set_offered();
  WarmQueue::Offer offer;
  offer.ns = entry.ns();
  offer.key = std::string(entry.key());
  offer.hash = namespaces.HashOf(entry);
  offer.meta = entry.meta();
  if (entry.is_large()) {
    offer.value_size = entry.large()->size();
    if (!LargeValue::Read(entry.large()->self, pin_cap, &offer.value)) return;
  } else {
    offer.value_size = entry.value().size();
    offer.value = Value::Own(std::string(entry.value()));
  }
  warm_queue.Push(std::move(offer));
}

}  // namespace atoll::store
