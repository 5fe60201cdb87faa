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
#include <bitset>
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
[[gnu::always_inline]] inline void PrefetchBuckets(const Index& index, uint64_t hash) {
  const Index::Lines lines = index.LinesOf(hash);
  if (lines.bucket == nullptr) return;
  __builtin_prefetch(lines.bucket);
  PrefetchLines(lines.bucket + 64, 1);
  PrefetchLines(lines.head, 1);
}

}  // namespace

// Keys on their way, with the partitions that stay locked for them.
struct Engine::Group {
  absl::Span<const Key> keys;
  absl::Span<Found> results;
  std::array<Partition*, kGroup> of_key;  // nullptr: was taken
  std::array<Slot*, kGroup> slots;
  std::array<Partition*, kGroup> locked;
  size_t locks = 0;
  std::bitset<base::kPartitionCount> held;  // the numbers of those
};

// Interleaving of two threads whose groups share partitions: neither waits for a lock while it
// holds one. A partition that is taken is left out, and its key looked up on its own once all
// groups have let go of what they hold. One that the group before holds passes on to this one.
void Engine::LockGroup(Group& group, const Group& before) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (size_t i = 0; i < group.keys.size(); ++i) {
    const size_t number = group.keys[i].partition().value();
    Partition& p = tables_->partitions[number];
    group.of_key[i] = &p;
    if (group.held.test(number)) continue;
    if (!before.held.test(number) && !p.mu.TryLock()) {
      group.of_key[i] = nullptr;
      continue;
    }
    group.held.set(number);
    group.locked[group.locks++] = &p;
  }
  for (size_t i = 0; i < group.keys.size(); ++i) {
    if (group.of_key[i] != nullptr) PrefetchBuckets(group.of_key[i]->index, group.keys[i].hash);
  }
}

void Engine::FindSlots(Group& group) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (size_t i = 0; i < group.keys.size(); ++i) {
    if (group.of_key[i] == nullptr) continue;
    group.slots[i] =
        group.of_key[i]->index.Find(group.keys[i].hash, [](const Slot&) { return true; });
  }
  for (size_t i = 0; i < group.keys.size(); ++i) {
    if (group.of_key[i] == nullptr || group.slots[i] == nullptr) continue;
    const Slot& slot = *group.slots[i];
    PrefetchLines(tables_->arena->At(slot.segment()) + slot.offset(), 3);
  }
}

template <typename Place>
void Engine::ReadGroup(Group& group, const FindOptions& options, base::CacheSeconds now,
                       const Place& place) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const Key* const keys = group.keys.data();
  Found* const results = group.results.data();
  for (size_t i = 0; i < group.keys.size(); ++i) {
    if (group.of_key[i] == nullptr) continue;
    Partition& p = *group.of_key[i];
    Slot* slot = group.slots[i];
    // Another key's tag, or ended meanwhile: the same key stood before it.
    if (slot != nullptr && (slot->empty() || !tables_->Holds(*slot, keys[i]))) {
      slot = tables_->FindSlot(p, keys[i]);
    }
    FindIn(p, slot, keys[i], options, now, place, &results[i]);
  }
}

void Engine::UnlockGroup(Group& group, const Group& after) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (size_t i = 0; i < group.locks; ++i) {
    Partition& p = *group.locked[i];
    const auto number = static_cast<size_t>(&p - tables_->partitions.data());
    group.held.reset(number);
    if (!after.held.test(number)) p.mu.Unlock();
  }
  group.locks = 0;
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
  const auto load = [&](Group& group, size_t from) {
    group.keys = keys.subspan(std::min(from, keys.size()), kGroup);
    group.results = results.subspan(std::min(from, results.size()), group.keys.size());
  };
  for (const Key& key : keys) PrefetchLines(&tables_->OfHash(key.hash), 1);
  load(*current, 0);
  LockGroup(*current, *next);
  for (size_t from = 0; from < keys.size(); from += kGroup) {
    FindSlots(*current);
    load(*next, from + kGroup);
    LockGroup(*next, *current);
    ReadGroup(*current, options, now, place);
    UnlockGroup(*current, *next);
    for (size_t i = 0; i < current->keys.size(); ++i) {
      if (current->of_key[i] == nullptr) taken.push_back(from + i);
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
    base::SmallMutexLock lock(p.mu);
    PrefetchBuckets(p.index, key.hash);
  }
  for (const Key& key : keys) {
    Partition& p = tables_->OfHash(key.hash);
    base::SmallMutexLock lock(p.mu);
    const Slot* const slot = p.index.Find(key.hash, [](const Slot&) { return true; });
    if (slot != nullptr) PrefetchLines(tables_->arena->At(slot->segment()) + slot->offset(), 3);
  }
}

}  // namespace atoll::store
