// Routes operations, messages and maps to partitions.
#include "server/replication/replicator.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/logging.h"
#include "base/mutex.h"
#include "server/replication/errors.h"
#include "server/replication/partition.h"

namespace atoll::replication {
namespace {

constexpr uint64_t kThoroughEvery = 5;
// Ticks, and entries at a time: at most 40,000 a second, and 640 KB to each replica.
constexpr uint64_t kHintsEvery = 5;
constexpr size_t kMaxHints = 4096;
// As many keys of a batch as are brought near before the first is carried out.
constexpr size_t kPrefetched = 32;

class ReplicatorImpl final : public Replicator {
 public:
  ReplicatorImpl(const ReplicatorOptions& options, store::Store* store, cluster::ClusterView* view,
                 Transport* transport, const base::Clock* clock, DiskTier* disk)
      : view_(view),
        peers_({.heartbeat = options.heartbeat,
                .silent_after = options.silent_after,
                .lease = options.lease,
                .grace = options.grace}),
        partitions_(base::kPartitionCount) {
    context_.options = options;
    context_.store = store;
    context_.transport = transport;
    context_.clock = clock;
    context_.disk = disk;
    context_.peers = &peers_;
    context_.self = view->self();
    context_.max_value_bytes =
        std::min(store::kMaxValueBytes, store->Stats().memory_limit_bytes / 8);
    for (uint32_t p = 0; p < base::kPartitionCount; ++p) {
      partitions_[p].Init(&context_, base::PartitionId(static_cast<uint16_t>(p)));
    }
  }

  void Execute(const Operation& operation, Done done) override;
  void ExecuteReads(absl::Span<const Operation> operations, BatchDone done) override;
  void ReadNow(absl::Span<const store::Key> keys, const store::FindOptions& options,
               ReadSink& sink) override;
  void Write(absl::Span<const Operation> operations, WriteSink& sink) override;
  void Hold() override { context_.transport->Hold(); }
  void Release() override { context_.transport->Release(); }
  void Flush(base::PartitionId partition, base::NamespaceId ns, absl::Duration deadline,
             absl::AnyInvocable<void(absl::Status)> done) override;
  absl::StatusOr<store::ScanChunk> Scan(base::PartitionId partition, uint64_t cursor,
                                        const store::ScanOptions& options) override {
    return At(partition).Scan(cursor, options);
  }
  void OnMap(const cluster::MapPtr& map) override;
  void OnItems(base::Incarnation from, absl::Span<const wire::PeerItem> items) override;
  // Brings near what carrying them out will touch: no more than kPrefetched.
  void PrefetchFor(absl::Span<const wire::PeerItem> items) const;
  void OnLinkUp(base::Incarnation to) override;
  void Tick() override;
  absl::Status Drain(absl::Duration timeout) override;
  ReplicationStats Stats() const override;
  uint32_t Unserved() const override;
  std::vector<CopyState> Copies() const override;

 private:
  class Gatekeeper;

  Partition& At(base::PartitionId id) const { return partitions_[id.value()]; }
  // True if the store's answer could be given at once.
  bool TryRead(const Operation& operation, Done& done);
  void OnMessage(base::Incarnation from, const internal::v1::PeerMessage& message,
                 absl::Duration now, Finish* finish);
  void SendHeartbeats(absl::Duration now);
  void SendWarmHints();
  void OnWarmHints(const internal::v1::WarmHints& hints);
  uint32_t UnservedHere() const;
  void Ask(std::vector<internal::v1::IsrChange> changes, absl::Duration now);

  cluster::ClusterView* const view_;
  PeerTable peers_;
  Context context_;
  mutable std::vector<Partition> partitions_;

  mutable base::Mutex map_mu_;  // maps take effect one at a time; taken before a partition's
  cluster::MapPtr map_ ABSL_GUARDED_BY(map_mu_) = std::make_shared<const ring::PlacementMap>();
  // The map by which a node last became primary of anything.
  absl::flat_hash_map<base::Incarnation, uint64_t> leads_since_ ABSL_GUARDED_BY(map_mu_);

  std::atomic<uint64_t> ticks_{0};
  base::Mutex ask_mu_;
  absl::Duration suspected_at_ ABSL_GUARDED_BY(ask_mu_) = -absl::InfiniteDuration();

  base::Mutex drain_mu_;
  base::CondVar drain_cv_;
};

store::FindOptions FindOptionsOf(const Operation& operation) {
  return {.touch = !operation.metadata_only, .metadata_only = operation.metadata_only};
}

void ReplicatorImpl::Execute(const Operation& operation, Done done) {
  if (operation.kind == OpKind::kGet && TryRead(operation, done)) return;
  Finish finish;
  At(operation.key.partition()).Execute(operation, std::move(done), &finish);
  finish.Run();
}

bool ReplicatorImpl::TryRead(const Operation& operation, Done& done) {
  if (context_.draining.load(std::memory_order_relaxed)) return false;
  const Partition& partition = At(operation.key.partition());
  const uint64_t ticket = partition.ReadTicket();
  if (ticket == 0) return false;
  store::ReadBuffer buffer;
  const store::Found found = context_.store->Find(operation.key, FindOptionsOf(operation), buffer);
  if (!partition.MayAnswer(ticket, found.meta.version)) return false;
  OperationResult result;
  ReadResult(operation, found, &result);
  done(std::move(result));
  return true;
}

void ReplicatorImpl::ExecuteReads(absl::Span<const Operation> operations, BatchDone done) {
  // Shared, since those that wait are answered one by one later.
  auto shared = std::make_shared<BatchDone>(std::move(done));
  std::vector<store::Key> keys;
  std::vector<uint64_t> tickets;
  keys.reserve(operations.size());
  tickets.reserve(operations.size());
  bool same = true;
  for (const Operation& operation : operations) {
    keys.push_back(operation.key);
    tickets.push_back(At(operation.key.partition()).ReadTicket());
    same = same && operation.metadata_only == operations[0].metadata_only;
  }
  std::vector<store::Found> found(operations.size());
  store::ReadBuffer buffer;
  const bool quick = same && !context_.draining.load(std::memory_order_relaxed);
  if (quick && !operations.empty()) {
    context_.store->FindBatch(keys, FindOptionsOf(operations[0]), buffer, absl::MakeSpan(found));
  }
  for (size_t i = 0; i < operations.size(); ++i) {
    const Operation& operation = operations[i];
    Partition& partition = At(operation.key.partition());
    if (quick && tickets[i] != 0 && partition.MayAnswer(tickets[i], found[i].meta.version)) {
      OperationResult result;
      ReadResult(operation, found[i], &result);
      (*shared)(i, std::move(result));
      continue;
    }
    Finish finish;
    partition.Execute(
        operation, [shared, i](OperationResult result) { (*shared)(i, std::move(result)); },
        &finish);
    finish.Run();
  }
}

// Shows what R5 allows: the ticket is drawn before the value is read, the lease and the commit
// point are looked at after.
class ReplicatorImpl::Gatekeeper final : public store::FindSink {
 public:
  Gatekeeper(const ReplicatorImpl& replicator, absl::Span<const store::Key> keys, ReadSink& sink)
      : replicator_(replicator), keys_(keys), sink_(sink) {}

  bool Begin(size_t index) override {
    const size_t soon = index + kPrefetched / 4;
    if (soon < keys_.size()) replicator_.At(keys_[soon].partition()).PrefetchForRead();
    partition_ = &replicator_.At(keys_[index].partition());
    ticket_ = partition_->ReadTicket();
    if (ticket_ != 0) return true;
    sink_.Refuse(index);
    return false;
  }
  char* Place(size_t index, const store::EntryMeta& meta, size_t size) override {
    return sink_.Place(index, meta, size);
  }
  void End(size_t index, store::Found& found) override {
    if (partition_->MayAnswer(ticket_, found.meta.version)) {
      sink_.Answer(index, found);
    } else {
      sink_.Refuse(index);
    }
  }

 private:
  const ReplicatorImpl& replicator_;
  const absl::Span<const store::Key> keys_;
  ReadSink& sink_;
  const Partition* partition_ = nullptr;
  uint64_t ticket_ = 0;
};

void ReplicatorImpl::ReadNow(absl::Span<const store::Key> keys, const store::FindOptions& options,
                             ReadSink& sink) {
  if (context_.draining.load(std::memory_order_relaxed)) {
    for (size_t i = 0; i < keys.size(); ++i) sink.Refuse(i);
    return;
  }
  Gatekeeper gatekeeper(*this, keys, sink);
  context_.store->FindEach(keys, options, gatekeeper);
}

void ReplicatorImpl::Write(absl::Span<const Operation> operations, WriteSink& sink) {
  const bool many = operations.size() > 1;
  if (many) context_.transport->Hold();
  std::array<store::Key, kPrefetched> keys;
  for (size_t from = 0; from < operations.size(); from += kPrefetched) {
    const size_t end = std::min(from + kPrefetched, operations.size());
    if (many) {
      for (size_t i = from; i < end; ++i) {
        keys[i - from] = operations[i].key;
        At(operations[i].key.partition()).PrefetchForWrite();
      }
      context_.store->Prefetch(absl::MakeConstSpan(keys).first(end - from));
    }
    const Moment now{.boot = context_.clock->BootTime(), .wall = context_.clock->Now()};
    for (size_t i = from; i < end; ++i) {
      Finish finish;
      At(operations[i].key.partition()).ExecuteWrite(operations[i], now, i, sink, &finish);
      finish.Run();
    }
  }
  if (many) context_.transport->Release();
}

void ReplicatorImpl::Flush(base::PartitionId partition, base::NamespaceId ns,
                           absl::Duration deadline, absl::AnyInvocable<void(absl::Status)> done) {
  Finish finish;
  At(partition).Flush(
      ns, deadline,
      [done = std::move(done)](OperationResult result) mutable { done(std::move(result.status)); },
      &finish);
  finish.Run();
}

void ReplicatorImpl::OnMap(const cluster::MapPtr& map) {
  base::MutexLock lock(map_mu_);
  if (map->version <= map_->version) return;
  for (size_t p = 0; p < map->partitions.size(); ++p) {
    const ring::Placement& placement = map->partitions[p];
    if (map_->partitions.empty() || map_->partitions[p].epoch != placement.epoch) {
      leads_since_[placement.primary] = map->version;
    }
  }
  absl::erase_if(leads_since_,
                 [&](const auto& node) { return map->FindMember(node.first) == nullptr; });
  map_ = map;
  std::vector<base::Incarnation> living;
  std::vector<base::Incarnation> leaving;
  for (const ring::Member& member : map->members) {
    if (member.state == ring::MemberState::kLeaving) leaving.push_back(member.incarnation);
    if (member.state != ring::MemberState::kDown && member.incarnation != context_.self) {
      living.push_back(member.incarnation);
    }
  }
  peers_.OnMap(map->version, living, leaving, context_.clock->BootTime());
  Finish finish;
  for (size_t p = 0; p < map->partitions.size(); ++p) {
    partitions_[p].OnPlacement(*map, map->partitions[p], &finish);
  }
  peers_.MapApplied(map->version);
  context_.applied_map.store(map->version, std::memory_order_release);
  map_mu_.Unlock();
  finish.Run();
  map_mu_.Lock();
}

void ReplicatorImpl::PrefetchFor(absl::Span<const wire::PeerItem> items) const {
  // Mostly an append has one record, and each is of another partition.
  std::array<store::Key, kPrefetched> keys;
  size_t count = 0;
  for (const wire::PeerItem& item : items) {
    uint32_t partition = base::kPartitionCount;
    if (item.kind == wire::PeerItem::Kind::kAppendAck) partition = item.append_ack.partition;
    if (item.kind == wire::PeerItem::Kind::kAppend) {
      partition = item.append.partition;
      if (!item.append.records.empty()) {
        const wire::Record& record = item.append.records.front().record;
        keys[count++] = {base::NamespaceId(static_cast<uint16_t>(record.ns)), record.key,
                         record.key_hash};
      }
    }
    if (partition < base::kPartitionCount) partitions_[partition].PrefetchForWrite();
  }
  context_.store->Prefetch(absl::MakeConstSpan(keys).first(count));
}

void ReplicatorImpl::OnItems(base::Incarnation from, absl::Span<const wire::PeerItem> items) {
  const absl::Duration now = context_.clock->BootTime();
  // Heard before it is carried out: that may take its time.
  if (!items.empty()) peers_.Heard(from, now);
  Finish finish;
  for (size_t i = 0; i < items.size(); ++i) {
    if (i % kPrefetched == 0) PrefetchFor(items.subspan(i, kPrefetched));
    const wire::PeerItem& item = items[i];
    switch (item.kind) {
      case wire::PeerItem::Kind::kAppend:
        if (item.append.partition < base::kPartitionCount) {
          partitions_[item.append.partition].OnAppend(from, item.append, &finish);
        }
        break;
      case wire::PeerItem::Kind::kAppendAck:
        if (item.append_ack.partition < base::kPartitionCount) {
          partitions_[item.append_ack.partition].OnAppendAck(from, item.append_ack, &finish);
        }
        break;
      case wire::PeerItem::Kind::kOther: {
        internal::v1::PeerMessage message;
        if (message.ParseFromArray(item.other.data(), static_cast<int>(item.other.size()))) {
          OnMessage(from, message, now, &finish);
        } else {
          base::LogError("a message of another node is malformed");
        }
        break;
      }
    }
  }
  finish.Run();
}

void ReplicatorImpl::OnMessage(base::Incarnation from, const internal::v1::PeerMessage& message,
                               absl::Duration now, Finish* finish) {
  using internal::v1::PeerMessage;
  uint32_t partition = 0;
  switch (message.kind_case()) {
    case PeerMessage::kHeartbeat: {
      PeerMessage answer;
      *answer.mutable_heartbeat_ack() =
          peers_.OnHeartbeat(from, message.heartbeat(), now, context_.clock->Now());
      context_.transport->Send(from, answer);
      return;
    }
    case PeerMessage::kHeartbeatAck:
      if (peers_.OnAck(from, message.heartbeat_ack(), now)) {
        for (Partition& each : partitions_) each.RefreshLease();
      }
      return;
    case PeerMessage::kWarmHints:
      OnWarmHints(message.warm_hints());
      return;
    case PeerMessage::kAppend:
      partition = message.append().partition();
      break;
    case PeerMessage::kAppendAck:
      partition = message.append_ack().partition();
      break;
    case PeerMessage::kSnapshot:
      partition = message.snapshot().partition();
      break;
    case PeerMessage::kSnapshotAck:
      partition = message.snapshot_ack().partition();
      break;
    case PeerMessage::kAdopt:
      partition = message.adopt().partition();
      break;
    case PeerMessage::kAdoptReply:
      partition = message.adopt_reply().partition();
      break;
    case PeerMessage::kFetchTail:
      partition = message.fetch_tail().partition();
      break;
    case PeerMessage::kTail:
      partition = message.tail().partition();
      break;
    case PeerMessage::KIND_NOT_SET:
      return;
  }
  if (partition >= base::kPartitionCount) return;
  partitions_[partition].OnMessage(from, message, finish);
}

void ReplicatorImpl::OnLinkUp(base::Incarnation to) {
  peers_.OnLinkUp(to);
  SendHeartbeats(context_.clock->BootTime());
  Finish finish;
  for (Partition& partition : partitions_) partition.OnLinkUp(to, &finish);
  finish.Run();
}

uint32_t ReplicatorImpl::UnservedHere() const {
  uint32_t count = 0;
  for (const Partition& partition : partitions_) count += partition.Unserved() ? 1 : 0;
  return count;
}

uint32_t ReplicatorImpl::Unserved() const {
  const absl::Duration now = context_.clock->BootTime();
  base::MutexLock lock(map_mu_);
  uint32_t count = 0;
  absl::flat_hash_map<base::Incarnation, uint32_t> primaries;
  for (const ring::Placement& placement : map_->partitions) ++primaries[placement.primary];
  for (const auto& [node, leads] : primaries) {
    if (node == context_.self) {
      count += UnservedHere();
    } else if (node.value() == 0) {
      count += leads;
    } else {
      const auto since = leads_since_.find(node);
      count += peers_.Unserved(node, since == leads_since_.end() ? 0 : since->second, now)
                   .value_or(leads);
    }
  }
  return count;
}

void ReplicatorImpl::SendHeartbeats(absl::Duration now) {
  const std::vector<base::Incarnation> due = peers_.Due(now);
  const uint32_t unserved = due.empty() ? 0 : UnservedHere();
  for (base::Incarnation peer : due) {
    internal::v1::PeerMessage message;
    *message.mutable_heartbeat() = peers_.MakeHeartbeat(now, context_.clock->Now(), unserved);
    context_.transport->Send(peer, message);
  }
}

void ReplicatorImpl::SendWarmHints() {
  std::vector<store::Warmed> warmed;
  context_.store->TakeWarmed(kMaxHints, &warmed);
  std::vector<std::pair<base::Incarnation, internal::v1::PeerMessage>> messages;
  Partition::Copies copies;
  std::optional<base::PartitionId> partition;  // that the copies are of
  for (const auto& [hash, version] : warmed) {
    if (partition != base::PartitionOfHash(hash)) {
      partition = base::PartitionOfHash(hash);
      copies = partitions_[partition->value()].OtherCopies();
    }
    for (const base::Incarnation copy : copies) {
      auto at = std::find_if(messages.begin(), messages.end(),
                             [&](const auto& message) { return message.first == copy; });
      if (at == messages.end()) {
        at = messages.emplace(at, copy, internal::v1::PeerMessage());
      }
      at->second.mutable_warm_hints()->add_key_hashes(hash);
      at->second.mutable_warm_hints()->add_versions(version.raw());
    }
  }
  for (const auto& [to, message] : messages) {
    if (!peers_.TakesWarmHints(to)) continue;
    const bool sent = context_.transport->SendAlong(to, message);
    (sent ? context_.hints_sent : context_.hints_dropped)
        .fetch_add(static_cast<uint64_t>(message.warm_hints().key_hashes_size()),
                   std::memory_order_relaxed);
  }
}

void ReplicatorImpl::OnWarmHints(const internal::v1::WarmHints& hints) {
  if (hints.key_hashes_size() != hints.versions_size()) return;
  std::vector<store::Warmed> warmed;
  warmed.reserve(static_cast<size_t>(hints.key_hashes_size()));
  for (int i = 0; i < hints.key_hashes_size(); ++i) {
    warmed.push_back({hints.key_hashes(i), base::Version(hints.versions(i))});
  }
  context_.hints_applied.fetch_add(context_.store->MarkWarm(warmed), std::memory_order_relaxed);
}

void ReplicatorImpl::Tick() {
  const absl::Duration now = context_.clock->BootTime();
  SendHeartbeats(now);
  std::vector<internal::v1::IsrChange> changes;
  Finish finish;
  // Relaxed: it only spreads work.
  const uint64_t tick = ticks_.fetch_add(1, std::memory_order_relaxed);
  const bool thorough = peers_.AnySilent(now) || tick % kThoroughEvery == 0;
  if (tick % kHintsEvery == 0) SendWarmHints();
  context_.transport->Hold();
  for (size_t word = 0; word < context_.restless.size(); ++word) {
    const uint64_t restless = context_.restless[word].load(std::memory_order_relaxed);
    for (uint64_t left = thorough ? ~uint64_t{0} : restless; left != 0; left &= left - 1) {
      const size_t partition = word * 64 + static_cast<size_t>(std::countr_zero(left));
      partitions_[partition].Tick(now, thorough, &changes, &finish);
    }
  }
  context_.transport->Release();
  finish.Run();
  Ask(std::move(changes), now);
}

void ReplicatorImpl::Ask(std::vector<internal::v1::IsrChange> changes, absl::Duration now) {
  internal::v1::AskControllerRequest request;
  const std::vector<base::Incarnation> suspects = peers_.Suspects(now);
  {
    base::MutexLock lock(ask_mu_);
    if (!suspects.empty() && now - suspected_at_ >= context_.options.grace / 4) {
      suspected_at_ = now;
      for (base::Incarnation suspect : suspects) request.add_suspects(suspect.value());
    }
  }
  if (changes.empty() && request.suspects().empty()) return;
  request.set_from_incarnation(context_.self.value());
  for (const internal::v1::IsrChange& change : changes) *request.add_isr_changes() = change;
  view_->AskController(std::move(request),
                       [this, changes = std::move(changes)](
                           absl::StatusOr<internal::v1::AskControllerResponse> response) {
                         for (const internal::v1::IsrChange& change : changes) {
                           partitions_[change.partition()].OnAsked(
                               change, response.ok(), response.ok() ? response->map_version() : 0);
                         }
                       });
}

absl::Status ReplicatorImpl::Drain(absl::Duration timeout) {
  context_.draining.store(true, std::memory_order_relaxed);
  const absl::Duration until = context_.clock->BootTime() + timeout;
  base::MutexLock lock(drain_mu_);
  while (true) {
    const uint64_t waiting = context_.waiting.load(std::memory_order_relaxed);
    size_t seats = 0;
    for (const Partition& partition : partitions_) seats += partition.WaitsForRelief() ? 1 : 0;
    if (waiting == 0 && seats == 0) return {};
    if (context_.clock->BootTime() >= until) {
      return absl::DeadlineExceededError(
          absl::StrCat(waiting, " operations still wait for replicas, ", seats,
                       " partitions for a new primary to serve"));
    }
    // Nobody signals: completions are on the path of every write, a stop is not.
    drain_cv_.WaitFor(drain_mu_, absl::Milliseconds(5));
  }
}

ReplicationStats ReplicatorImpl::Stats() const {
  ReplicationStats stats;
  stats.warm_hints_sent = context_.hints_sent.load(std::memory_order_relaxed);
  stats.warm_hints_dropped = context_.hints_dropped.load(std::memory_order_relaxed);
  stats.warm_hints_applied = context_.hints_applied.load(std::memory_order_relaxed);
  for (Partition& partition : partitions_) partition.AddStats(&stats);
  return stats;
}

std::vector<CopyState> ReplicatorImpl::Copies() const {
  std::vector<CopyState> copies;
  for (Partition& partition : partitions_) {
    if (partition.role() != Role::kNone) copies.push_back(partition.State());
  }
  return copies;
}

}  // namespace

std::unique_ptr<Replicator> Replicator::Create(const ReplicatorOptions& options,
                                               store::Store* store, cluster::ClusterView* view,
                                               Transport* transport, const base::Clock* clock,
                                               DiskTier* disk) {
  return std::make_unique<ReplicatorImpl>(options, store, view, transport, clock, disk);
}

}  // namespace atoll::replication
