// Writes of the engine.
#include <algorithm>
#include <utility>

#include "server/store/engine.h"

namespace atoll::store {

bool Engine::IsStale(Partition& p, const Key& key, const Slot* slot, base::Version version) const {
  if (slot != nullptr && tables_->EntryAt(*slot).version() >= version) return true;
  return p.memory != nullptr && IsOutdated(p, key, slot, version);
}

bool Engine::IsOutdated(const Partition& p, const Key& key, const Slot* slot,
                        base::Version version) {
  const Partition::Memory& memory = *p.memory;
  if (memory.tombstones.Find(key.hash) >= version) return true;
  // A learner's copy is full of keys that it has no entry of yet, and in order.
  if (slot == nullptr && !p.retain_tombstones && version > p.committed &&
      version <= memory.forgotten) {
    return true;
  }
  return Tables::Flushed(p, key.ns, version);
}

std::shared_ptr<LargeValue> Engine::NewLarge(uint64_t size,
                                             absl::Span<const std::string_view> pieces) {
  auto large = std::make_shared<LargeValue>(tables_->pages, size);
  while (!large->AllocateMore()) {
    if (!cleaner_->MakeRoom(/*for_pages=*/true)) return nullptr;
  }
  large->Write(pieces);
  tables_->large_copies.fetch_add(1, std::memory_order_relaxed);
  return large;
}

bool Engine::Overwrite(Partition& p, Slot* slot, const NewEntry& entry, uint8_t options,
                       base::CacheSeconds now) {
  EntryRef old = tables_->EntryAt(*slot);
  const SegmentInfo& info = tables_->segments[slot->segment()];
  if (entry.large != nullptr || (old.options() & ~EntryRef::kWasOffered) != options) return false;
  if (old.bytes() != EntryRef::BytesFor(entry.key.key.size(), options, entry.inline_bytes)) {
    return false;
  }
  if (info.ttl_class != TtlClassOf(entry.meta.expiry, now)) return false;
  // Read in the small queue: its successor belongs into the main one.
  if (slot->frequency() > 0 && info.queue == Queue::kSmall) return false;
  old.Overwrite(entry.meta, now, entry.pieces);
  slot->set_frequency(0);
  tables_->ForgetDeletion(p, entry.key.hash);
  return true;
}

bool Engine::Append(Partition& p, Slot* slot, const NewEntry& entry, uint8_t options,
                    base::CacheSeconds now) {
  const uint32_t bytes = EntryRef::BytesFor(entry.key.key.size(), options, entry.inline_bytes);
  const bool proven = slot != nullptr && (slot->frequency() > 0 ||
                                          tables_->segments[slot->segment()].queue == Queue::kMain);
  Shard& shard = *p.shard;
  Shard::Place place;
  Queue queue;
  {
    base::MutexLock lock(shard.mu);
    queue = Policy::Admit(shard.ghost, entry.key.hash, proven);
    place = shard.Append(queue, TtlClassOf(entry.meta.expiry, now), bytes, entry.meta.expiry, now,
                         /*from_reserve=*/false);
    if (place.at == nullptr) return false;
    EntryRef(place.at).Write(entry.key, entry.meta, options, now, entry.pieces, entry.large.get());
  }
  const Slot added(Slot::TagOf(entry.key.hash), 0, place.segment, place.offset);
  if (slot != nullptr) {
    tables_->Replace(p, slot, added);
  } else if (!p.index.Insert(entry.key.hash, added)) {
    tables_->AddDead(shard, place.segment, bytes);
    return false;
  }
  if (entry.large != nullptr) entry.large->self = entry.large;
  tables_->Count(p, EntryRef(place.at), queue, 1);
  tables_->ForgetDeletion(p, entry.key.hash);
  tables_->Charge(p);
  return true;
}

Engine::Attempt Engine::TryPut(const NewEntry& entry, base::CacheSeconds now) {
  Partition& p = tables_->OfHash(entry.key.hash);
  base::BriefLockHold lock(p.mu);
  if (!p.open) return Attempt::kRefused;
  Slot* const slot = tables_->FindSlot(p, entry.key);
  if (IsStale(p, entry.key, slot, entry.meta.version)) return Attempt::kStale;
  const bool keeps_hash = slot != nullptr ? tables_->EntryAt(*slot).keeps_hash()
                                          : !tables_->namespaces.CanHash(entry.key);
  const uint8_t options = EntryRef::OptionsFor(entry.meta, entry.large != nullptr, keeps_hash);
  if (slot != nullptr && Overwrite(p, slot, entry, options, now)) return Attempt::kApplied;
  return Append(p, slot, entry, options, now) ? Attempt::kApplied : Attempt::kNoRoom;
}

WriteResult Engine::GiveUp(const Key& key, base::Version version) {
  Partition& p = tables_->OfHash(key.hash);
  base::BriefLockHold lock(p.mu);
  if (!p.open) return WriteResult::kNoRoom;
  Slot* const slot = tables_->FindSlot(p, key);
  if (IsStale(p, key, slot, version)) return WriteResult::kStale;
  if (slot != nullptr) tables_->Unlink(p, slot);
  tables_->Remember(p, key.hash, version);
  tables_->Charge(p);
  return WriteResult::kNoRoom;
}

WriteResult Engine::Put(const Key& key, const EntryMeta& meta,
                        absl::Span<const std::string_view> pieces) {
  NewEntry entry{key, meta, pieces, 0, nullptr};
  for (const std::string_view piece : pieces) entry.inline_bytes += piece.size();
  if (cleaner_->MemoryIsLow() || tables_->namespaces.FarOverMax(key.ns)) {
    cleaner_->Help(entry.inline_bytes);
  }
  if (entry.inline_bytes > kInlineValueBytes) {
    entry.large = NewLarge(entry.inline_bytes, pieces);
    if (entry.large == nullptr) return GiveUp(key, meta.version);
    entry.pieces = {};
    entry.inline_bytes = 0;
  }
  const base::CacheSeconds now = tables_->Now();
  // Others may take the room that was made: a few rounds, then it is theirs.
  for (int round = 0; round < 100; ++round) {
    switch (TryPut(entry, now)) {
      case Attempt::kApplied:
        return WriteResult::kApplied;
      case Attempt::kStale:
        return WriteResult::kStale;
      case Attempt::kRefused:
        return WriteResult::kNoRoom;
      case Attempt::kNoRoom:
        break;
    }
    if (!cleaner_->MakeRoom(/*for_pages=*/false)) break;
  }
  return GiveUp(key, meta.version);
}

WriteResult Engine::Erase(const Key& key, base::Version version) {
  Partition& p = tables_->OfHash(key.hash);
  base::BriefLockHold lock(p.mu);
  if (!p.open) return WriteResult::kNoRoom;
  Slot* const slot = tables_->FindSlot(p, key);
  if (IsStale(p, key, slot, version)) return WriteResult::kStale;
  if (slot != nullptr) tables_->Unlink(p, slot);
  tables_->Remember(p, key.hash, version);
  tables_->Charge(p);
  return WriteResult::kApplied;
}

Engine::Attempt Engine::TryTouch(const Key& key, const EntryMeta& meta, base::CacheSeconds now) {
  Partition& p = tables_->OfHash(key.hash);
  base::BriefLockHold lock(p.mu);
  if (!p.open) return Attempt::kRefused;
  Slot* const slot = tables_->FindSlot(p, key);
  if (IsStale(p, key, slot, meta.version)) return Attempt::kStale;
  if (slot == nullptr || Tables::Expired(tables_->EntryAt(*slot), now) ||
      Tables::Flushed(p, key.ns, tables_->EntryAt(*slot).version())) {
    if (slot != nullptr) tables_->Unlink(p, slot);
    tables_->Remember(p, key.hash, meta.version);
    tables_->Charge(p);
    return Attempt::kApplied;
  }
  EntryRef old = tables_->EntryAt(*slot);
  EntryMeta changed = meta;
  changed.flags = old.flags();
  const uint8_t options = EntryRef::OptionsFor(changed, old.is_large(), old.keeps_hash());
  if ((old.options() & ~EntryRef::kWasOffered) == options &&
      tables_->segments[slot->segment()].ttl_class == TtlClassOf(meta.expiry, now)) {
    old.set_version(meta.version);
    old.set_expiry(meta.expiry);
    if (meta.max_idle != 0) {
      old.set_max_idle(meta.max_idle);
      old.set_last_access(now);
    }
    tables_->ForgetDeletion(p, key.hash);
    return Attempt::kApplied;
  }
  // Elsewhere: it has other options now, or lives as long as others do. The old bytes stay where
  // they are while the partition is locked.
  const std::string_view value = old.value();
  NewEntry entry{key, changed, {}, 0, nullptr};
  if (old.is_large()) {
    entry.large = old.large()->self;
  } else {
    entry.pieces = absl::MakeConstSpan(&value, 1);
    entry.inline_bytes = value.size();
  }
  return Append(p, slot, entry, options, now) ? Attempt::kApplied : Attempt::kNoRoom;
}

WriteResult Engine::Touch(const Key& key, base::Version version, base::CacheSeconds expiry,
                          uint32_t max_idle) {
  if (cleaner_->MemoryIsLow()) cleaner_->Help(0);
  const EntryMeta meta{.version = version, .expiry = expiry, .max_idle = max_idle};
  const base::CacheSeconds now = tables_->Now();
  for (int round = 0; round < 100; ++round) {
    switch (TryTouch(key, meta, now)) {
      case Attempt::kApplied:
        return WriteResult::kApplied;
      case Attempt::kStale:
        return WriteResult::kStale;
      case Attempt::kRefused:
        return WriteResult::kNoRoom;
      case Attempt::kNoRoom:
        break;
    }
    if (!cleaner_->MakeRoom(/*for_pages=*/false)) break;
  }
  return GiveUp(key, version);
}

}  // namespace atoll::store
