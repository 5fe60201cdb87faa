// What became warm, noted for other copies, and what they tell of theirs.
#include <algorithm>
#include <array>
#include <bit>

#include "server/store/engine.h"

namespace atoll::store {

void Engine::NoteWarmed(base::PartitionId partition, bool note) {
  Partition& p = tables_->At(partition);
  base::BriefLockHold lock(p.mu);
  p.note_warmed = note;
}

void Engine::TakeWarmed(size_t most, std::vector<Warmed>* out) {
  constexpr size_t kWords = base::kPartitionCount / 64;
  size_t at = next_warmed_.load(std::memory_order_relaxed);
  for (size_t i = 0; i < kWords && out->size() < most; ++i, ++at) {
    std::atomic<uint64_t>& word = tables_->has_warmed[at % kWords];
    uint64_t left = word.load(std::memory_order_relaxed);
    for (; left != 0 && out->size() < most; left &= left - 1) {
      const uint64_t id = at % kWords * 64 + static_cast<uint64_t>(std::countr_zero(left));
      Partition& p = tables_->partitions[id];
      if (out->capacity() == 0) out->reserve(most + kMaxWarmed);  // not to grow under the lock
      base::BriefLockHold lock(p.mu);
      word.fetch_and(~(left & -left), std::memory_order_relaxed);
      if (p.memory == nullptr) continue;
      out->insert(out->end(), p.memory->warmed.begin(), p.memory->warmed.end());
      p.memory->warmed.clear();
    }
  }
  next_warmed_.store(at % kWords, std::memory_order_relaxed);
}

size_t Engine::MarkWarm(absl::Span<const Warmed> warmed) {
  constexpr size_t kAtOnce = 32;
  std::array<Key, kAtOnce> keys;
  size_t marked = 0;
  for (; !warmed.empty(); warmed.remove_prefix(std::min(kAtOnce, warmed.size()))) {
    const absl::Span<const Warmed> some = warmed.subspan(0, kAtOnce);
    for (size_t i = 0; i < some.size(); ++i) keys[i].hash = some[i].hash;
    Prefetch(absl::MakeConstSpan(keys).first(some.size()));
    for (const auto& [hash, version] : some) {
      Partition& p = tables_->OfHash(hash);
      base::BriefLockHold lock(p.mu);
      Slot* const slot = p.index.Find(hash, [&, hash = hash](const Slot& candidate) {
        return tables_->namespaces.HashOf(tables_->EntryAt(candidate)) == hash;
      });
      if (slot == nullptr || slot->frequency() > 0) continue;
      if (tables_->EntryAt(*slot).version() < version) continue;
      slot->Touch();
      ++marked;
    }
  }
  return marked;
}

}  // namespace atoll::store
