// Look-ups in batches.
//
// A look-up is a chain of lines that are seldom in a cache: partition, bucket, entry. A group of
// keys goes down that chain step by step together, each step asking for what the next one touches,
// so that their misses overlap. Steps are loops of their own: an atomic operation or a branch that
// waits for a miss, between two requests, holds up the second. The partitions stay locked from the
// second step to the end: to lock them anew for each step cost a quarter of the time.
#include <array>
#include <bitset>

#include "server/store/engine.h"

namespace atoll::store {
namespace {

// As many keys as a core's line-fill buffers keep busy a few times over. Their values, 8 KiB each at
// most, are copied in less than the 20 us that a lock may be held.
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
                       base::CacheSeconds now, ReadBuffer& buffer, absl::Span<Found> results)
    ABSL_NO_THREAD_SAFETY_ANALYSIS {
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
    FindIn(p, slot, keys[i], options, now, buffer, &results[i]);
  }
  for (size_t i = 0; i < locks; ++i) locked[i]->mu.Unlock();
  for (size_t i = 0; i < keys.size(); ++i) {
    if (of_key[i] == nullptr) FindOne(keys[i], options, now, buffer, &results[i]);
  }
}

void Engine::FindBatch(absl::Span<const Key> keys, const FindOptions& options, ReadBuffer& buffer,
                       absl::Span<Found> results) {
  const base::CacheSeconds now = tables_->Now();
  if (keys.size() == 1) {
    FindOne(keys[0], options, now, buffer, &results[0]);
    return;
  }
  for (size_t from = 0; from < keys.size(); from += kGroup) {
    FindGroup(keys.subspan(from, kGroup), options, now, buffer, results.subspan(from));
  }
}

}  // namespace atoll::store
