// Making the engine, partitions, marks and bounds, housekeeping.
#include "server/store/engine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace atoll::store {
namespace {

constexpr int kOffersAtOnce = 64;

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> Engine::Create(const StoreOptions& options) {
  if (absl::Status status = options.Validate(); !status.ok()) return status;
  auto tables = Tables::Create(options);
  if (!tables.ok()) return tables.status();
  // For the first writes, which come before housekeeping does: to touch a page for the first time
  // takes up to 12 us of the 20 that a lock may be held.
  (*tables)->arena->Prepare();
  return std::unique_ptr<Store>(new Engine(*std::move(tables)));
}

Engine::Engine(std::unique_ptr<Tables> tables)
    : tables_(std::move(tables)), cleaner_(std::make_unique<Cleaner>(tables_.get())) {}

void Engine::OpenPartition(base::PartitionId partition) {
  Partition& p = tables_->At(partition);
  base::BriefLockHold lock(p.mu);
  p.open = true;
  if (p.shard == nullptr) tables_->Seat(p);
}

void Engine::DropPartition(base::PartitionId partition) {
  Partition& p = tables_->At(partition);
  std::vector<Slot*> slots;
  // A part of it at a time: other threads' reads of it, absent from now on, do not wait for all.
  for (uint32_t tag = 0; tag < 1u << Slot::kTagBits;) {
    base::BriefLockHold lock(p.mu);
    p.open = false;
    slots.clear();
    tag = p.index.SlotsFrom(tag, &slots);
    for (Slot* const slot : slots) tables_->Unlink(p, slot);
  }
  base::BriefLockHold lock(p.mu);
  p.index.Clear();
  p.memory.reset();
  p.committed = base::Version();
  p.retain_tombstones = false;
  tables_->Charge(p);
}

void Engine::Flush(base::PartitionId partition, base::NamespaceId ns, base::Version version) {
  Partition& p = tables_->At(partition);
  {
    base::BriefLockHold lock(p.mu);
    if (!p.open) return;
    base::Version& mark = tables_->MemoryOf(p).flushes[ns];
    mark = std::max(mark, version);
  }
  base::MutexLock lock(sweeps_mu_);
  sweeps_.push_back({partition, 0});
}

std::vector<FlushMark> Engine::Flushes(base::PartitionId partition) {
  Partition& p = tables_->At(partition);
  base::BriefLockHold lock(p.mu);
  std::vector<FlushMark> marks;
  if (p.memory == nullptr) return marks;
  for (const auto& [ns, version] : p.memory->flushes) marks.push_back({ns, version});
  return marks;
}

bool Engine::SweepFlushed() {
  Sweep sweep;
  {
    base::MutexLock lock(sweeps_mu_);
    if (sweeps_.empty()) return false;
    sweep = sweeps_.front();
    sweeps_.pop_front();
  }
  {
    Partition& p = tables_->At(sweep.partition);
    std::vector<Slot*> slots;
    base::BriefLockHold lock(p.mu);
    sweep.tag = p.index.SlotsFrom(sweep.tag, &slots);
    for (Slot* const slot : slots) {
      const EntryRef entry = tables_->EntryAt(*slot);
      if (Tables::Flushed(p, entry.ns(), entry.version())) tables_->Unlink(p, slot);
    }
  }
  base::MutexLock lock(sweeps_mu_);
  if (sweep.tag < 1u << Slot::kTagBits) sweeps_.push_front(sweep);
  return true;
}

void Engine::SetCommitted(base::PartitionId partition, base::Version committed) {
  Partition& p = tables_->At(partition);
  for (bool more = true; more;) {
    base::BriefLockHold lock(p.mu);
    p.committed = std::max(p.committed, committed);
    more = tables_->ForgetCommitted(p);
  }
}

void Engine::RetainTombstones(base::PartitionId partition, bool retain) {
  Partition& p = tables_->At(partition);
  for (bool more = true; more;) {
    base::BriefLockHold lock(p.mu);
    p.retain_tombstones = retain;
    more = tables_->ForgetCommitted(p);
  }
}

void Engine::NameNamespace(base::NamespaceId ns, std::string_view name) {
  tables_->namespaces.SetName(ns, name);
}

void Engine::SetShares(absl::Span<const NamespaceShare> shares) {
  tables_->namespaces.SetShares(shares, tables_->options.memory_bytes);
}

void Engine::SetWarmSink(WarmSink* sink) { tables_->sink.store(sink, std::memory_order_release); }

bool Engine::Maintain() {
  bool more = tables_->arena->ReturnSurplus();
  more = tables_->arena->Prepare() || more;
  more = tables_->pages->FreeSome() || more;
  more = cleaner_->Maintain() || more;
  more = SweepFlushed() || more;
  WarmSink* const sink = tables_->sink.load(std::memory_order_acquire);
  WarmQueue::Offer offer;
  for (int i = 0; i < kOffersAtOnce; ++i) {
    if (!tables_->warm_queue.Pop(&offer)) return more;
    if (sink == nullptr) continue;
    sink->OfferWarm({offer.ns, offer.key, offer.hash, offer.meta, offer.value_size, offer.value});
  }
  return true;
}

}  // namespace atoll::store
