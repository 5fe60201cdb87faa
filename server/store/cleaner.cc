#include "server/store/cleaner.h"

#include <algorithm>
#include <utility>

namespace atoll::store {
namespace {

// An entry takes up to 5 us where all that it touches is far away, and no lock is held for over 20,
// though the kernel or a hypervisor takes the core away for a moment.
constexpr int kSliceEntries = 2;
constexpr int kMaintainedSlices = 32;
// Slices that a writer does for an entry of no length, and for each further so many bytes. At worst
// every main entry is walked twice, and one in four goes: that frees twice what is written.
constexpr uint64_t kLeastSlices = 4;
constexpr uint64_t kSliceBytes = 50;
constexpr uint64_t kMostSlices = 128;
constexpr size_t kSearchedSegments = 64;
constexpr uint32_t kWarmAgeSeconds = 60;
// Of a ghost's new table, made resident at once.
constexpr uint64_t kGhostStepBytes = 32 << 10;

}  // namespace

Cleaner::Cleaner(Tables* tables)
    : tables_(*tables), low_water_(std::max<uint32_t>(4, tables->arena->segment_count() / 128)) {
  evict_.sources.reserve(Policy::kMainSegments);
  compact_.sources.reserve(1);
}

void Cleaner::Help(uint64_t bytes) {
  const uint64_t slices = std::min(kLeastSlices + bytes / kSliceBytes, kMostSlices);
  for (uint64_t i = 0; i < slices; ++i) {
    if (!mu_.TryLock()) return;
    const bool more = SliceLocked(/*always=*/false);
    const bool sizing = sizing_.shard != nullptr;
    mu_.Unlock();
    if (sizing) SizeGhost();
    if (!more) return;
  }
}

bool Cleaner::MakeRoom(bool for_pages) {
  uint64_t segments = 0;
  for (Shard& shard : tables_.shards) {
    base::MutexLock shard_lock(shard.mu);
    segments += shard.SealedCount();
  }
  // Every segment tried twice, to no avail: the rest is pinned, not committed, or under its share.
  const uint64_t most_fruitless = 2 * segments + 2 * tables_.shards.size() + 2;
  {
    base::MutexLock lock(mu_);
    fruitless_ = 0;
  }
  while (tables_.arena->Available() == 0 && !(for_pages && tables_.pages->FreePages() > 0)) {
    if (tables_.pages->FreeSome()) continue;
    {
      base::MutexLock lock(mu_);
      if (!SliceLocked(/*always=*/true) || fruitless_ > most_fruitless) return false;
    }
    SizeGhost();
  }
  return true;
}

bool Cleaner::SliceLocked(bool always) {
  const bool for_room = always || MemoryIsLow();
  if (!for_room) {
    // Where a round of all segments gave nothing, what is over its share cannot go yet.
    if (!tables_.namespaces.AnyFarOverMax() || fruitless_ > tables_.segments.size()) return false;
  }
  if (!evict_.active && !StartEvictionLocked(for_room)) return false;
  RunLocked(evict_, for_room);
  return true;
}

void Cleaner::StartLocked(Job& job, Kind kind, Shard* shard) {
  job.active = true;
  job.kind = kind;
  job.shard = shard;
  job.sources.clear();
  job.source = 0;
  job.offset = 0;
  job.surveying = kind == Kind::kEvictMain;
  job.bytes_by_frequency.fill(0);
  job.threshold = 1;
  job.budget = 0;
  job.moved = 0;
  job.reclaimed = 0;
}

bool Cleaner::StartEvictionLocked(bool for_room) {
  // The shard that holds the most; one that gave nothing stands back.
  Shard* shard = nullptr;
  uint64_t most = 0;
  for (Shard& candidate : tables_.shards) {
    const uint64_t bytes = candidate.Bytes() >> std::min(candidate.fruitless / 8, 40u);
    if (bytes > most || (shard == nullptr && candidate.Bytes() > 0)) {
      most = bytes;
      shard = &candidate;
    }
  }
  if (shard == nullptr) return false;
  base::MutexLock lock(shard->mu);
  if (!sizing_now_ && sizing_.shard == nullptr && MayResizeGhost(*shard)) sizing_.shard = shard;
  evict_.patience = static_cast<uint32_t>(shard->SealedCount());
  const Shard::Sealed half_dead = shard->TakeHalfDead();
  if (half_dead.segment != kNoSegment) {
    StartLocked(evict_, Kind::kCompact, shard);
    evict_.sources.push_back(half_dead);
    return true;
  }
  // What a namespace has too much came in last, as a rule. For its sake no open segment is sealed:
  // there is room.
  Queue queue = for_room
                    ? Policy::Victim(shard->BytesOf(Queue::kSmall), shard->BytesOf(Queue::kMain))
                    : Queue::kSmall;
  Shard::Sealed oldest = shard->TakeOldest(queue, /*seal_open=*/for_room);
  if (oldest.segment == kNoSegment) {
    queue = queue == Queue::kSmall ? Queue::kMain : Queue::kSmall;
    oldest = shard->TakeOldest(queue, /*seal_open=*/for_room);
    if (oldest.segment == kNoSegment) return false;
  }
  StartLocked(evict_, queue == Queue::kSmall ? Kind::kEvictSmall : Kind::kEvictMain, shard);
  evict_.sources.push_back(oldest);
  if (queue == Queue::kMain) {
    while (evict_.sources.size() < Policy::kMainSegments) {
      const Shard::Sealed next = shard->TakeOldest(queue, /*seal_open=*/false);
      if (next.segment == kNoSegment) break;
      evict_.sources.push_back(next);
    }
  }
  return true;
}

bool Cleaner::StartCompactionLocked(base::CacheSeconds now) {
  if (now < next_search_) return false;
  Shard& shard = tables_.shards[expiry_shard_];
  base::MutexLock lock(shard.mu);
  if (shard.ExpiryWalkEnded()) shard.SealAged(now);
  Shard::Sealed source = shard.TakeHalfDead();
  if (source.segment == kNoSegment) {
    source = shard.TakeExpired(now, kSearchedSegments);
  }
  if (source.segment == kNoSegment) {
    if (shard.ExpiryWalkEnded() && ++expiry_shard_ == tables_.shards.size()) {
      expiry_shard_ = 0;
      next_search_ = now + 1;
    }
    return false;
  }
  StartLocked(compact_, Kind::kCompact, &shard);
  compact_.sources.push_back(source);
  return true;
}

bool Cleaner::MayResizeGhost(Shard& shard) {
  const uint64_t have = shard.ghost.capacity();
  return shard.ghost.HasSpent() ||
         Policy::GhostEntries(shard.items.load(std::memory_order_relaxed), have) != have;
}

void Cleaner::SizeGhost() {
  GhostSizing sizing;
  {
    base::MutexLock lock(mu_);
    if (sizing_now_ || sizing_.shard == nullptr) return;
    sizing_now_ = true;
    sizing = std::exchange(sizing_, GhostSizing());
  }
  const bool more = SizeGhostStep(sizing);
  base::MutexLock lock(mu_);
  sizing_now_ = false;
  if (more) sizing_ = std::move(sizing);
}

bool Cleaner::SizeGhostStep(GhostSizing& sizing) {
  Shard& shard = *sizing.shard;
  GhostTable old;  // destroyed when nothing is locked any more
  if (sizing.made) {
    if (sizing.table.PopulateMore(kGhostStepBytes)) return true;
    {
      base::MutexLock lock(shard.mu);
      old = shard.ghost.Resize(std::move(sizing.table));
    }
    tables_.arena->Charge(-old.bytes());
    return false;
  }
  uint64_t have;
  {
    base::MutexLock lock(shard.mu);
    have = shard.ghost.capacity();
    old = shard.ghost.TakeSpent();
  }
  tables_.arena->Charge(-old.bytes());
  const uint64_t wanted = Policy::GhostEntries(shard.items.load(std::memory_order_relaxed), have);
  if (wanted == have) return false;
  const uint64_t room = uint64_t{tables_.arena->Available()} * tables_.arena->segment_bytes();
  if (wanted > have && (wanted - have) * 5 > room) return false;  // when there is room
  sizing.table = GhostTable(wanted);
  sizing.made = true;
  tables_.arena->Charge(sizing.table.bytes());
  return true;
}

void Cleaner::RunLocked(Job& job, bool for_room) {
  // While a namespace is over its maximum, its entries alone go, unless room is needed and a whole
  // round gave none.
  job.spare_others =
      !for_room || (job.shard->fruitless < job.patience && tables_.namespaces.AnyOverMax());
  const base::CacheSeconds now = tables_.Now();
  for (int i = 0; i < kSliceEntries && job.active; ++i) {
    const Shard::Sealed& source = job.sources[job.source];
    const SegmentInfo& info = tables_.segments[source.segment];
    // Wholly dead needs no walk; acquire: see SegmentInfo::dead.
    const bool dead = job.offset == 0 && info.dead.load(std::memory_order_acquire) >= source.used;
    if (job.offset >= source.used || dead) {
      NextSourceLocked(job);
      continue;
    }
    uint32_t bytes = 0;
    const Fate fate = CleanLocked(job, source.segment, job.offset, now, &bytes);
    if (fate == Fate::kMustStay) {
      // Not committed yet, or nowhere to go: the segment waits, with what is left in it.
      base::MutexLock lock(job.shard->mu);
      job.shard->PutBack(source.segment);
      job.sources.erase(job.sources.begin() + static_cast<std::ptrdiff_t>(job.source));
      job.offset = 0;
      job.moved = 0;
      if (job.source == job.sources.size()) FinishLocked(job);
      continue;
    }
    job.offset += bytes;
    if (fate == Fate::kStays) job.moved += bytes;
    if (fate == Fate::kGone && !job.surveying) {
      job.reclaimed += bytes;
      // Large values give many pages at once: no more than is needed.
      if (&job == &evict_ && for_room && !MemoryIsLow()) break;
    }
  }
}

void Cleaner::NextSourceLocked(Job& job) {
  if (!job.surveying) {
    job.reclaimed += job.sources[job.source].used - job.moved;
    base::MutexLock lock(job.shard->mu);
    job.shard->Release(job.sources[job.source].segment);
  }
  job.moved = 0;
  ++job.source;
  job.offset = 0;
  if (job.source < job.sources.size()) return;
  if (!job.surveying) {
    FinishLocked(job);
    return;
  }
  uint64_t weight = 0;
  for (const uint64_t bytes : job.bytes_by_frequency) weight += bytes;
  const uint64_t segments = uint64_t{tables_.arena->segment_bytes()} * job.sources.size();
  job.budget = std::max(weight, segments) / Policy::kMainSegments * (Policy::kMainSegments - 1);
  job.threshold = Policy::ThresholdOf(job.bytes_by_frequency, job.budget);
  // More frequent entries come first: what is left of the budget is the threshold's.
  for (uint32_t frequency = job.threshold + 1; frequency < 4; ++frequency) {
    job.budget -= std::min(job.budget, job.bytes_by_frequency[frequency]);
  }
  job.surveying = false;
  job.source = 0;
}

void Cleaner::FinishLocked(Job& job) {
  job.active = false;
  if (&job != &evict_) return;
  // Compaction brings together what is free already, and counts neither way: an open segment that
  // was sealed for want of others, and whose entries must stay, would be compacted into another
  // open one for ever.
  if (job.kind == Kind::kCompact) return;
  if (job.reclaimed > 0) {
    fruitless_ = 0;
    job.shard->fruitless = 0;
  } else {
    ++fruitless_;
    ++job.shard->fruitless;
  }
}

Verdict Cleaner::JudgeLocked(Job& job, const Candidate& candidate, Queue from, uint32_t frequency,
                             uint64_t weight) {
  if (job.spare_others && job.kind != Kind::kCompact && !candidate.over_share) {
    return {.keep = true, .queue = from, .frequency = frequency};
  }
  switch (job.kind) {
    case Kind::kCompact:
      if (candidate.over_share) return {};
      return {.keep = true, .queue = from, .frequency = frequency};
    case Kind::kEvictSmall:
      return Policy::JudgeSmall(candidate);
    case Kind::kEvictMain: {
      const Verdict verdict = Policy::JudgeMain(candidate, job.threshold);
      if (!verdict.keep || candidate.frequency > job.threshold) return verdict;
      if (job.budget < weight) return {};
      job.budget -= weight;
      return verdict;
    }
  }
  return {};
}

Cleaner::Fate Cleaner::CleanLocked(Job& job, SegmentId segment, uint32_t offset,
                                   base::CacheSeconds now, uint32_t* bytes) {
  EntryRef entry(tables_.arena->At(segment) + offset);
  const uint64_t hash = tables_.namespaces.HashOf(entry);
  Partition& p = tables_.OfHash(hash);
  base::BriefLockHold lock(p.mu);
  *bytes = entry.bytes();
  Slot* const slot =
      p.index.Find(hash, [&](const Slot& candidate) { return candidate.At(segment, offset); });
  if (slot == nullptr) return Fate::kWasDead;
  const uint64_t weight = *bytes + (entry.is_large() ? entry.large()->charge() : 0);
  const uint32_t frequency = slot->frequency();
  if (job.surveying) {
    job.bytes_by_frequency[frequency] += weight;
    return Fate::kStays;
  }
  const bool expired = Tables::Expired(entry, now);
  if (expired || Tables::Flushed(p, entry.ns(), entry.version())) {
    if (expired) ++p.expirations;
    tables_.Unlink(p, slot);
    return Fate::kGone;
  }
  const Queue from = tables_.segments[segment].queue;
  const bool committed = entry.version() <= p.committed;
  if (!committed && job.kind != Kind::kCompact) return Fate::kMustStay;  // R4
  const Candidate candidate{.frequency = frequency,
                            .over_share = committed && tables_.namespaces.OverMax(entry.ns()),
                            .under_share = tables_.namespaces.UnderMin(entry.ns())};
  const Verdict verdict = JudgeLocked(job, candidate, from, frequency, weight);
  // Read since it was written, and about to move or leave.
  if (frequency > 0 && job.kind != Kind::kCompact) tables_.OfferWarm(entry, p);
  if (verdict.keep) {
    if (tables_.Move(p, slot, verdict.queue, verdict.frequency, now)) return Fate::kStays;
    if (!committed) return Fate::kMustStay;
  }
  ++p.evictions;
  tables_.Unlink(p, slot);
  if (verdict.remember) {
    base::MutexLock shard_lock(job.shard->mu);
    job.shard->ghost.Add(hash);
  }
  return Fate::kGone;
}

bool Cleaner::Maintain() {
  const base::CacheSeconds now = tables_.Now();
  for (int i = 0; i < kMaintainedSlices; ++i) {
    bool more;
    bool sizing;
    {
      base::MutexLock lock(mu_);
      more = MaintainLocked(now);
      sizing = sizing_.shard != nullptr;
    }
    if (sizing) SizeGhost();
    if (!more && !sizing) return false;
  }
  return true;
}

bool Cleaner::MaintainLocked(base::CacheSeconds now) {
  if (SliceLocked(/*always=*/false)) return true;
  if (compact_.active || StartCompactionLocked(now)) {
    RunLocked(compact_, /*for_room=*/true);
    return true;
  }
  return WarmPassLocked(now) || now >= next_search_;
}

bool Cleaner::WarmPassLocked(base::CacheSeconds now) {
  if (!tables_.HasSink() || now < next_warm_pass_) return false;
  Shard::Sealed at;
  {
    Shard& shard = tables_.shards[warm_shard_];
    base::MutexLock lock(shard.mu);
    at = shard.WarmAt();
  }
  if (at.segment == kNoSegment) {
    if (++warm_shard_ < tables_.shards.size()) return true;
    warm_shard_ = 0;
    next_warm_pass_ = now + 1;
    return false;
  }
  SegmentInfo& info = tables_.segments[at.segment];
  const uint32_t generation = info.generation.load(std::memory_order_relaxed);
  if (info.warm_generation != generation || info.warm_next == 0) {
    info.warm_generation = generation;
    info.warm_upto = 0;
    info.warm_next = now + kWarmAgeSeconds;
  }
  if (info.warm_next > now || info.warm_upto >= at.used) {
    if (info.warm_upto >= at.used) info.warm_next = now + kWarmAgeSeconds;
    Shard& shard = tables_.shards[warm_shard_];
    base::MutexLock lock(shard.mu);
    shard.WarmNext();
    return true;
  }
  for (int i = 0; i < kSliceEntries && info.warm_upto < at.used; ++i) {
    if (!tables_.warm_queue.HasRoom()) return true;
    const uint32_t offset = info.warm_upto;
    const EntryRef entry(tables_.arena->At(at.segment) + offset);
    const uint64_t hash = tables_.namespaces.HashOf(entry);
    Partition& p = tables_.OfHash(hash);
    base::BriefLockHold lock(p.mu);
    info.warm_upto += entry.bytes();
    const Slot* const slot =
        p.index.Find(hash, [&](const Slot& candidate) { return candidate.At(at.segment, offset); });
    if (slot == nullptr || slot->frequency() == 0) continue;
    if (Tables::Expired(entry, now) || Tables::Flushed(p, entry.ns(), entry.version())) continue;
    tables_.OfferWarm(entry, p);
  }
  return true;
}

uint64_t Cleaner::GhostBytes() {
  uint64_t bytes = 0;
  {
    base::MutexLock lock(mu_);
    bytes += static_cast<uint64_t>(sizing_.table.bytes());
  }
  for (Shard& shard : tables_.shards) {
    base::MutexLock lock(shard.mu);
    bytes += static_cast<uint64_t>(shard.ghost.bytes());
  }
  return bytes;
}

}  // namespace atoll::store
