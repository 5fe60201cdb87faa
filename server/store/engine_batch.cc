// Look-ups in batches.
//
// A look-up is a chain of lines that are seldom in a cache: partition, bucket, entry. A group of
// keys goes down that chain step by step together, each step asking for what the next one touches,
// so that their misses overlap. Steps are loops of their own: an atomic operation or a branch that
// waits for a miss, between two requests, holds up the second. The partitions stay locked from the
// second step to the end: to lock them anew for each step cost a quarter of the time.
#include <array>
#include <bitset>
#include <cstring>

#include "server/store/engine.h"

namespace atoll::store {
namespace {

// As many keys as a core's line-fill buffers keep busy a few times over. Their values, 8 KiB each
// at most, are copied in less than the 20 us that a lock may be held.
constexpr size_t kGroup = 24;

void PrefetchLines(const void* at, int lines) {
  for (int i = 0; i < lines; ++i) __builtin_prefetch(static_cast<const char*>(at) + 64 * i);
}

}  // namespace

// Which partitions are locked is not known before it runs: no analysis.
//
// Interleaving of two threads with groups that share partitions: neither waits for a lock while it
// holds one. A partition that is taken is left out, and its key looked up on its own once the group
// has let go of all that it holds.
void Engine::FindGroup(absl::Span<const Key> keys, const FindOptions& options,
                       base::CacheSeconds now, Place place,
                       absl::Span<Found> results) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  std::array<Partition*, kGroup> of_key;  // nullptr: was taken
  std::array<Partition*, kGroup> locked;
  std::array<Slot*, kGroup> slots;
  std::bitset<base::kPartitionCount> held;
  size_t locks = 0;
  for (const Key& key : keys) PrefetchLines(&tables_->OfHash(key.hash), 2);
  for (size_t i = 0; i < keys.size(); ++i) {
    Partition& p = tables_->OfHash(keys[i].hash);
    const size_t number = keys[i].partition().value();
    of_key[i] = &p;
    if (!held.test(number)) {
      if (!p.mu.TryLock()) {
        of_key[i] = nullptr;
        continue;
      }
      held.set(number);
      locked[locks++] = &p;
    }
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    if (of_key[i] != nullptr) of_key[i]->index.PrefetchBucket(keys[i].hash);
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    if (of_key[i] == nullptr) continue;
    slots[i] = of_key[i]->index.Find(keys[i].hash, [](const Slot&) { return true; });
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    if (of_key[i] == nullptr || slots[i] == nullptr) continue;
    PrefetchLines(tables_->arena->At(slots[i]->segment()) + slots[i]->offset(), 3);
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    if (of_key[i] == nullptr) continue;
    Partition& p = *of_key[i];
    Slot* slot = slots[i];
    // Another key's tag, or ended meanwhile: the same key stood before it in this group.
    if (slot != nullptr && (slot->empty() || !tables_->Holds(*slot, keys[i]))) {
      slot = tables_->FindSlot(p, keys[i]);
    }
    FindIn(p, slot, keys[i], options, now, place, &results[i]);
  }
  for (size_t i = 0; i < locks; ++i) locked[i]->mu.Unlock();
  for (size_t i = 0; i < keys.size(); ++i) {
    if (of_key[i] == nullptr) FindOne(keys[i], options, now, place, &results[i]);
  }
}

void Engine::FindBatch(absl::Span<const Key> keys, const FindOptions& options, ReadBuffer& buffer,
                       absl::Span<Found> results) {
  const base::CacheSeconds now = tables_->Now();
  const auto place = [&buffer](std::string_view value, Found* found) {
    found->value = Value(buffer.Copy(value));
  };
  if (keys.size() == 1) {
    FindOne(keys[0], options, now, place, &results[0]);
    return;
  }
  for (size_t from = 0; from < keys.size(); from += kGroup) {
    FindGroup(keys.subspan(from, kGroup), options, now, place, results.subspan(from));
  }
}

// Each key is judged when no lock is held, so that its value is asked for only then: a group's
// misses overlap, and its locks are taken anew.
void Engine::FindEach(absl::Span<const Key> keys, const FindOptions& options, FindSink& sink) {
  const base::CacheSeconds now = tables_->Now();
  for (size_t from = 0; from < keys.size(); from += kGroup) {
    const absl::Span<const Key> some = keys.subspan(from, kGroup);
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
  for (const Key& key : keys) PrefetchLines(&tables_->OfHash(key.hash), 2);
  for (const Key& key : keys) {
    Partition& p = tables_->OfHash(key.hash);
    base::MutexLock lock(p.mu);
    p.index.PrefetchBucket(key.hash);
  }
  for (const Key& key : keys) {
    Partition& p = tables_->OfHash(key.hash);
    base::MutexLock lock(p.mu);
    const Slot* const slot = p.index.Find(key.hash, [](const Slot&) { return true; });
    if (slot != nullptr) PrefetchLines(tables_->arena->At(slot->segment()) + slot->offset(), 3);
  }
}

}  // namespace atoll::store
