// Look-ups in batches.
//
// A look-up is a chain of lines that are seldom in a cache: partition, bucket, entry. A group of
// keys goes down that chain step by step together, each step asking for what the next one touches,
// so that their misses overlap. Steps are loops of their own: an atomic operation or a branch that
// waits for a miss, between two requests, holds up the second. The partitions stay locked from the
// first step to the end: to lock them anew for each step cost a quarter of the time. Which ones
// those are is not known before it runs, so there is no analysis of it.
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "server/store/engine_find.h"

namespace atoll::store {
namespace {

// As many keys as keep a core's line-fill buffers busy, twice over: two groups are under way. Their
// values, 8 KiB each at most, are copied in less than the 20 us that a lock may be held.
constexpr size_t kGroup = 12;
// Keys whose partitions are asked for together; their lines are to stay near until their turn.
constexpr size_t kMostAtOnce = 128;
// Keys that FindEach asks for ahead.
constexpr size_t kPrefetched = 24;

// Into the second level: what is asked for so far ahead is still there, and the first level, which
// has room for few lines on their way, is left to buckets.
void PrefetchLines(const void* at, size_t lines) {
  constexpr int kSecondLevel = 2;
  for (size_t i = 0; i < lines; ++i) {
    __builtin_prefetch(static_cast<const char*>(at) + 64 * i, /*rw=*/0, kSecondLevel);
  }
}

// The first bucket at once. One key in ten lies in the next, which the head of the extent tells.
[[gnu::always_inline]] inline void PrefetchSpot(Index::Spot spot) {
  __builtin_prefetch(spot.bucket());
  PrefetchLines(spot.bucket() + 64, 1);
  PrefetchLines(spot.head(), 1);
}

// Anything that a tag's first slot holds is worth asking for.
constexpr auto kAnySlot = [](const Slot&) { return true; };

}  // namespace

// What is found of a key, kept from step to step while its partition is locked.
struct Engine::GroupItem {
  Partition* partition = nullptr;  // nullptr: was taken
  Partition* locked = nullptr;     // the same, where it is this item's to be unlocked
  Index::Spot spot;
  Slot* slot = nullptr;
  char* entry = nullptr;
};

// Keys on their way, with the partitions that stay locked for them.
struct Engine::Group {
  absl::Span<GroupItem> items() { return absl::MakeSpan(all.data(), size); }

  size_t size = 0;
  size_t taken = 0;
  const Key* keys = nullptr;
  Found* results = nullptr;
  std::array<GroupItem, kGroup> all;
};

// Each step is a function of its own: all in one has more in hand than there are registers.
//
// Interleaving of two threads whose groups share partitions: neither waits for a lock while it
// holds one. A partition that is taken is left out, and its key looked up on its own once all
// groups have let go of what they hold.
[[gnu::noinline]] void Engine::LockGroup(Group& group,
                                         Group& before) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Partition* const partitions = tables_->partitions.data();
  const Key* key = group.keys;
  for (GroupItem& item : group.items()) {
    Partition& p = partitions[(key++)->hash >> 52];
    item.partition = &p;
    item.locked = &p;
    if (!p.mu.TryLock()) [[unlikely]]
      FindHolder(group, item, before);
  }
  key = group.keys;
  for (GroupItem& item : group.items()) {
    const uint64_t hash = (key++)->hash;
    item.spot = item.partition == nullptr ? Index::Spot() : item.partition->index.SpotOf(hash);
    if (item.spot) PrefetchSpot(item.spot);
  }
}

// Of a partition that is locked already. It stays locked for this group if another of its keys lies
// there, or passes on from the group before; else another thread has it.
void Engine::FindHolder(Group& group, GroupItem& item, Group& before) {
  Partition* const p = std::exchange(item.locked, nullptr);
  for (const GroupItem& other : group.items()) {
    if (&other == &item) break;
    if (other.locked == p) return;
  }
  for (GroupItem& other : before.items()) {
    if (other.locked != p) continue;
    item.locked = std::exchange(other.locked, nullptr);
    return;
  }
  item.partition = nullptr;
  ++group.taken;
}

[[gnu::noinline]] void Engine::FindSlots(Group& group) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const Arena& arena = *tables_->arena;
  const Key* key = group.keys;
  for (GroupItem& item : group.items()) {
    const uint64_t hash = (key++)->hash;
    item.slot = item.spot ? Index::FindFrom(item.spot, hash, kAnySlot) : nullptr;
  }
  for (GroupItem& item : group.items()) {
    if (item.slot == nullptr) continue;
    item.entry = arena.At(item.slot->segment()) + item.slot->offset();
    PrefetchLines(item.entry, 3);
  }
}

template <typename Place>
[[gnu::noinline]] void Engine::ReadGroup(Group& group, const FindOptions& options,
                                         base::CacheSeconds now,
                                         const Place& place) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const Key* next_key = group.keys;
  Found* next_found = group.results;
  const FindOptions same = options;
  for (const GroupItem& item : group.items()) {
    const Key& key = *next_key++;
    Found* const found = next_found++;
    // Empty if the same key stood before it, and its entry ended.
    if (item.slot != nullptr && !item.slot->empty() &&
        ReadPlain(*item.partition, *item.slot, EntryRef(item.entry), key, same, now, place, found))
        [[likely]] {
      continue;
    }
    if (item.partition == nullptr) continue;
    Partition& p = *item.partition;
    FindIn(p, tables_->FindSlot(p, key), key, options, now, place, found);
  }
}

void Engine::UnlockGroup(Group& group) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (const GroupItem& item : group.items()) {
    if (item.locked != nullptr) item.locked->mu.Unlock();
  }
}

// While a group's entries are on their way from memory, the next one's partitions are locked and
// its buckets asked for; while those are on their way, entries are read.
template <typename Place>
void Engine::FindGroups(absl::Span<const Key> keys, const FindOptions& options,
                        base::CacheSeconds now, const Place& place, absl::Span<Found> results) {
  std::array<Group, 2> groups;
  absl::InlinedVector<size_t, 16> taken;
  Group* current = &groups[0];
  Group* next = &groups[1];
  const Partition* const partitions = tables_->partitions.data();
  for (const Key& key : keys) PrefetchLines(&partitions[key.hash >> 52], 1);
  const auto load = [&](Group& group, size_t from) {
    group.size = std::min(keys.size() - from, kGroup);
    group.taken = 0;
    group.keys = keys.data() + from;
    group.results = results.data() + from;
  };
  load(*current, 0);
  LockGroup(*current, *next);
  for (size_t from = 0; from < keys.size(); from += kGroup) {
    FindSlots(*current);
    load(*next, std::min(from + kGroup, keys.size()));
    LockGroup(*next, *current);
    ReadGroup(*current, options, now, place);
    UnlockGroup(*current);
    if (current->taken > 0) {
      for (size_t i = 0; i < current->size; ++i) {
        if (current->all[i].partition == nullptr) taken.push_back(from + i);
      }
    }
    std::swap(current, next);
  }
  for (const size_t i : taken) FindOne(keys[i], options, now, place, &results[i]);
}

void Engine::FindBatch(absl::Span<const Key> keys, const FindOptions& options, ReadBuffer& buffer,
                       absl::Span<Found> results) {
  const base::CacheSeconds now = tables_->Now();
  const PlaceInto place(buffer);
  if (keys.size() == 1) {
    FindOne(keys[0], options, now, place, &results[0]);
    return;
  }
  for (size_t from = 0; from < keys.size(); from += kMostAtOnce) {
    FindGroups(keys.subspan(from, kMostAtOnce), options, now, place, results.subspan(from));
  }
}

// Each key is judged when no lock is held, so that its value is asked for only then: a group's
// misses overlap, and its locks are taken anew.
void Engine::FindEach(absl::Span<const Key> keys, const FindOptions& options, FindSink& sink) {
  const base::CacheSeconds now = tables_->Now();
  for (size_t from = 0; from < keys.size(); from += kPrefetched) {
    const absl::Span<const Key> some = keys.subspan(from, kPrefetched);
    if (some.size() > 1) Prefetch(some);
    for (size_t i = from; i < from + some.size(); ++i) {
      if (!sink.Begin(i)) continue;
      Found found;
      FindOne(
          keys[i], options, now,
          [&](std::string_view value, Found* out) {
            char* const place = sink.Place(i, out->meta, value.size());
            if (place != nullptr && !value.empty()) std::memcpy(place, value.data(), value.size());
          },
          &found);
      sink.End(i, found);
    }
  }
}

// Three rounds, each of which touches what the one before has asked for: partitions, buckets,
// entries. The locks in between are free, as a rule, and their lines are needed anyway.
void Engine::Prefetch(absl::Span<const Key> keys) {
  for (const Key& key : keys) PrefetchLines(&tables_->OfHash(key.hash), 1);
  for (const Key& key : keys) {
    Partition& p = tables_->OfHash(key.hash);
    base::BriefLockHold lock(p.mu);
    if (const Index::Spot spot = p.index.SpotOf(key.hash)) PrefetchSpot(spot);
  }
  for (const Key& key : keys) {
    Partition& p = tables_->OfHash(key.hash);
    base::BriefLockHold lock(p.mu);
    const Slot* const slot = p.index.Find(key.hash, kAnySlot);
    if (slot != nullptr) PrefetchLines(tables_->arena->At(slot->segment()) + slot->offset(), 3);
  }
}

}  // namespace atoll::store
