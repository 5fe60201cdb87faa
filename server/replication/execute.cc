// Partition: what callers ask of the primary.
#include <algorithm>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "base/logging.h"
#include "server/replication/errors.h"
#include "server/replication/partition.h"
#include "server/replication/record_views.h"

namespace atoll::replication {
namespace {

// A value that outlives the ReadBuffer that it was read into.
store::Value Keep(const store::Value& value) {
  return value.owner() != nullptr || value.size() == 0 ? value : store::Value::Own(value.Flatten());
}

bool AcknowledgedByPrimary(const Operation& operation) {
  return operation.ns->settings.acknowledgement() == v1::ACKNOWLEDGEMENT_PRIMARY;
}

// For what is drawn by lot: 0 where nothing is.
double RandomFor(const Operation& operation) {
  if (operation.ns->settings.ttl_jitter_percent() == 0) return 0;
  static thread_local absl::InsecureBitGen random;
  return absl::Uniform(random, 0.0, 1.0);
}

internal::v1::RememberedResult MakeRemembered(const Operation& operation,
                                              const OperationResult& result, absl::Time now) {
  internal::v1::RememberedResult remembered;
  remembered.set_client_id(operation.request_id.client);
  remembered.set_number(operation.request_id.number);
  remembered.set_outcome(result.outcome);
  remembered.set_counter(result.number);
  remembered.set_at_ms(static_cast<uint64_t>(absl::ToUnixMillis(now)));
  remembered.set_version(result.meta.version.raw());
  return remembered;
}

// Views of the operation and of the evaluation.
wire::Record MakeRecord(const Operation& operation, base::Version version,
                        const Evaluation& evaluation) {
  wire::Record record{.version = version.raw(),
                      .key_hash = operation.key.hash,
                      .ns = operation.key.ns.value(),
                      .key = operation.key.key};
  record.expiry = evaluation.meta.expiry;
  record.max_idle = evaluation.meta.max_idle;
  record.flags = evaluation.meta.flags;
  switch (evaluation.effect) {
    case EffectKind::kPut:
      record.effect = wire::Effect::kPut;
      record.value.pieces = evaluation.pieces;
      break;
    case EffectKind::kErase:
      record.effect = wire::Effect::kErase;
      break;
    case EffectKind::kTouch:
      record.effect = wire::Effect::kTouch;
      break;
    case EffectKind::kNothing:
      record.effect = wire::Effect::kNothing;
      break;
  }
  return record;
}

}  // namespace

void Finish::Add(absl::AnyInvocable<void()> call) {
  items_.push_back({.call = std::move(call), .done = nullptr, .result = {}});
}

void Finish::Answer(Done done, OperationResult result) {
  items_.push_back({.call = nullptr, .done = std::move(done), .result = std::move(result)});
}

void Finish::Run() {
  // A callback may come back into the replicator, but never onto this list.
  for (Item& item : items_) {
    if (item.call != nullptr) {
      item.call();
    } else {
      item.done(std::move(item.result));
    }
  }
  items_.clear();
}

bool Partition::MayAnswer(uint64_t ticket, base::Version seen) const {
  // The lease is checked after the value was read (R5).
  return seen.sequence() <= visible_.load(std::memory_order_acquire) && LeaseHolds() &&
         serving_.load(std::memory_order_acquire) == ticket;
}

bool Partition::LeaseHolds() const {
  // Relaxed: a value that is late is an earlier end of the lease.
  const int64_t until = lease_until_ns_.load(std::memory_order_relaxed);
  if (until == std::numeric_limits<int64_t>::max() || !rules().r5_lease) return true;
  // NOLINTNEXTLINE(abseil-duration-comparison): each read asks, and a duration costs a division.
  return absl::ToInt64Nanoseconds(Now()) < until;
}

void Partition::Execute(const Operation& operation, Done done, Finish* finish) {
  base::MutexLock lock(mu_);
  if (absl::Status status = Admit(operation, Now()); !status.ok()) {
    finish->Answer(std::move(done), {.status = std::move(status)});
    return;
  }
  if (operation.kind == OpKind::kGet) {
    Read(operation, std::move(done), finish);
  } else {
    Waiter waiter{.done = std::move(done), .result = {}, .deadline = operation.deadline};
    const uint64_t sequence = Write(operation, context_->clock->Now(), &waiter, finish);
    AnswerWhenCommitted(sequence, std::move(waiter), finish);
  }
}

void Partition::PrefetchForWrite() const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  // All that lies between is used, but for a line or two.
  const char* const last = reinterpret_cast<const char*>(&committed_);
  for (const char* line = reinterpret_cast<const char*>(this); line < last; line += 64) {
    __builtin_prefetch(line, 1);
  }
  __builtin_prefetch(last, 1);
  __builtin_prefetch(&members_);
  __builtin_prefetch(&waiters_);
}

void Partition::ExecuteWrite(const Operation& operation, Moment now, size_t index, WriteSink& sink,
                             Finish* finish) {
  Waiter waiter{.done = nullptr, .result = {}, .deadline = operation.deadline};
  bool admitted = false;
  {
    base::MutexLock lock(mu_);
    admitted = Admit(operation, now.boot).ok();
    if (admitted) {
      const uint64_t sequence = Write(operation, now.wall, &waiter, finish);
      if (sequence > committed_ || !Settle(&waiter)) {
        waiter.done = sink.Later(index);
        return Wait(std::max(sequence, committed_), std::move(waiter));
      }
    }
  }
  if (!admitted) return sink.Refuse(index);
  sink.Answer(index, std::move(waiter.result));
}

absl::Status Partition::Admit(const Operation& operation, absl::Duration now) {
  if (context_->draining.load(std::memory_order_relaxed)) return Draining();
  if (operation.deadline <= now) return DeadlinePast();
  if (operation.kind == OpKind::kGet && operation.bounded && ReplicaMayAnswer()) return {};
  if (!Leads()) {
    return placement_.primary.value() == 0 ? NoPrimary(id_, "nobody owns it now") : WrongOwner(id_);
  }
  if (deposed_) return NoPrimary(id_, "another node has a newer epoch");
  if (role_ == Role::kAdopting) return NoPrimary(id_, "a takeover is under way");
  return operation.kind == OpKind::kGet ? absl::OkStatus() : AdmitWrite();
}

absl::Status Partition::AdmitWrite() {
  // R2.
  if (placement_.isr.size() < MinIsr()) return TooFewCopies(id_, placement_.isr.size(), MinIsr());
  if (!members_.empty() && context_->pending_bytes.load(std::memory_order_relaxed) >
                               context_->options.max_pending_bytes) {
    return TooMuchPending(context_->options.max_pending_bytes);
  }
  return {};
}

bool Partition::ReplicaMayAnswer() {
  if (role_ != Role::kReplica || !has_copy_ || load_ != 0) return false;
  const base::Incarnation primary = placement_.primary;
  // The primary acknowledged a heartbeat of ours, sent within the lease, at a map that seats us.
  return context_->peers->LeaseUntil(primary) > Now() &&
         context_->peers->LeaseMapVersion(primary) >= seated_at_map_;
}

void Partition::Read(const Operation& operation, Done done, Finish* finish) {
  store::ReadBuffer buffer;
  const store::FindOptions options{.touch = !operation.metadata_only,
                                   .enforce_idle = role_ == Role::kPrimary,
                                   .metadata_only = operation.metadata_only};
  const store::Found found = context_->store->Find(operation.key, options, buffer);
  Waiter waiter{.done = std::move(done), .result = {}, .deadline = operation.deadline};
  ReadResult(operation, found, &waiter.result);
  waiter.result.value = Keep(waiter.result.value);
  waiter.result.copies = static_cast<uint32_t>(placement_.isr.size());
  if (role_ == Role::kReplica) {  // BOUNDED
    finish->Answer(std::move(waiter.done), std::move(waiter.result));
    return;
  }
  const bool wait = !AcknowledgedByPrimary(operation) && rules().reads_wait_for_commit;
  AnswerWhenCommitted(wait ? found.meta.version.sequence() : 0, std::move(waiter), finish);
}

uint64_t Partition::Write(const Operation& operation, absl::Time now, Waiter* waiter,
                          Finish* finish) {
  if (operation.request_id.client != 0) {
    if (const auto sequence = AnswerRetry(operation, now, waiter)) return *sequence;
  }
  store::ReadBuffer buffer;
  store::Found found;
  if (NeedsExisting(operation.kind)) {
    const bool counts = operation.kind == OpKind::kGetAndTouch;
    const bool value = counts || operation.kind == OpKind::kAppend ||
                       operation.kind == OpKind::kPrepend || operation.kind == OpKind::kIncrement;
    found =
        context_->store->Find(operation.key, {.touch = counts, .metadata_only = !value}, buffer);
    if (value && found.presence == store::Presence::kPinLimit) {
      waiter->result = {.status = TooManyPinned()};
      waiter->write = true;
      return 0;
    }
  }
  Evaluation evaluation;
  Evaluate(operation, found, now, RandomFor(operation), context_->max_value_bytes, &evaluation);
  evaluation.result.value = Keep(evaluation.result.value);
  const bool by_primary = AcknowledgedByPrimary(operation);

  if (evaluation.effect == EffectKind::kNothing) {
    // It asserts what it saw: that must be committed first.
    waiter->result = std::move(evaluation.result);
    return by_primary ? 0 : found.meta.version.sequence();
  }
  const base::Version version(placement_.epoch, last() + 1);
  waiter->write = true;
  if (!ApplyLocally(operation, version, &evaluation)) {
    waiter->result = {.status = absl::InternalError("the key has a version of a later epoch")};
    return 0;
  }
  evaluation.result.meta = evaluation.meta;
  evaluation.result.meta.version = version;
  internal::v1::RememberedResult remembered;
  const bool remember = operation.request_id.client != 0 && evaluation.result.status.ok();
  if (remember) {
    remembered = MakeRemembered(operation, evaluation.result, now);
    requests_.Remember(remembered);
  }
  waiter->result = std::move(evaluation.result);
  Replicate(version.sequence(), [&] {
    wire::Record record = MakeRecord(operation, version, evaluation);
    record.has_remembered = remember;
    if (remember) record.remembered = ViewOf(remembered);
    return record;
  });
  AdvanceCommit(finish);
  const bool wait = !by_primary && rules().r2_wait_for_replicas;
  return wait ? version.sequence() : 0;
}

std::optional<uint64_t> Partition::AnswerRetry(const Operation& operation, absl::Time now,
                                               Waiter* waiter) {
  requests_.Expire(now);
  const RequestTable::Looked looked = requests_.Find(operation.request_id);
  if (looked.answer == RequestTable::Answer::kNew) return std::nullopt;
  waiter->write = true;
  if (looked.answer == RequestTable::Answer::kForgotten) {
    waiter->result = {.status = Ambiguous("the request is older than 60 s")};
    return 0;
  }
  const internal::v1::RememberedResult& before = *looked.result;
  waiter->result.outcome = static_cast<v1::Outcome>(before.outcome());
  waiter->result.meta.version = base::Version(before.version());
  waiter->result.number = before.counter();
  return base::Version(before.version()).sequence();
}

bool Partition::ApplyLocally(const Operation& operation, base::Version version,
                             Evaluation* evaluation) {
  store::WriteResult written = store::WriteResult::kApplied;
  store::EntryMeta meta = evaluation->meta;
  meta.version = version;
  switch (evaluation->effect) {
    case EffectKind::kPut:
      written = context_->store->Put(operation.key, meta, evaluation->pieces);
      break;
    case EffectKind::kErase:
      written = context_->store->Erase(operation.key, version);
      break;
    case EffectKind::kTouch:
      written = context_->store->Touch(operation.key, version, meta.expiry, meta.max_idle);
      break;
    case EffectKind::kNothing:
      break;
  }
  if (written == store::WriteResult::kStale) {
    base::LogError("a new version is not above the one in the store");
    return false;
  }
  if (written == store::WriteResult::kNoRoom) {
    // The key has no entry now, here; nor may it have one elsewhere.
    evaluation->effect = EffectKind::kErase;
    evaluation->result = {.status = NoRoom()};
  }
  return true;
}

void Partition::Wait(uint64_t sequence, Waiter waiter) {
  context_->waiting.fetch_add(1, std::memory_order_relaxed);
  Stir();
  waiters_.emplace(sequence, std::move(waiter));
}

void Partition::AnswerWhenCommitted(uint64_t sequence, Waiter waiter, Finish* finish) {
  if (sequence > committed_) return Wait(sequence, std::move(waiter));
  Complete(std::move(waiter), finish);
}

bool Partition::Settle(Waiter* waiter) {
  // What is held until the lease is back (Tick), the deadline, or another primary's epoch: what was
  // read stays the newest committed value of its moment if the lease comes back in this epoch.
  // Acknowledgements count only once the map that their sender has is in force here, so that nobody
  // else has served meanwhile.
  if (!waiter->write) return LeaseHolds();
  waiter->result.copies = static_cast<uint32_t>(placement_.isr.size());
  if (waiter->ambiguous && waiter->result.status.ok()) {
    waiter->result = {.status = Ambiguous("too few copies were left in sync")};
  }
  return true;
}

void Partition::Complete(Waiter waiter, Finish* finish) {
  if (!Settle(&waiter)) return Wait(committed_, std::move(waiter));
  finish->Answer(std::move(waiter.done), std::move(waiter.result));
}

void Partition::Flush(base::NamespaceId ns, absl::Duration deadline, Done done, Finish* finish) {
  base::MutexLock lock(mu_);
  Operation as_write;
  as_write.kind = OpKind::kDelete;
  as_write.deadline = deadline;
  if (absl::Status status = Admit(as_write, Now()); !status.ok()) {
    finish->Answer(std::move(done), {.status = std::move(status)});
    return;
  }
  const base::Version version(placement_.epoch, last() + 1);
  context_->store->Flush(id_, ns, version);
  Replicate(version.sequence(), [&] {
    wire::Record record;
    record.version = version.raw();
    record.effect = wire::Effect::kFlush;
    record.ns = ns.value();
    return record;
  });
  Waiter waiter{.done = std::move(done), .result = {}, .deadline = deadline, .write = true};
  waiter.result.outcome = v1::OUTCOME_OK;
  AdvanceCommit(finish);
  AnswerWhenCommitted(version.sequence(), std::move(waiter), finish);
}

absl::StatusOr<store::ScanChunk> Partition::Scan(uint64_t cursor,
                                                 const store::ScanOptions& options) {
  base::MutexLock lock(mu_);
  Operation as_read;
  if (absl::Status status = Admit(as_read, Now()); !status.ok()) return status;
  store::ScanChunk chunk = context_->store->Scan(id_, cursor, options);
  for (store::ScannedEntry& entry : chunk.entries) {
    if (entry.meta.version.sequence() > committed_) entry.value = {};
  }
  if (!LeaseHolds()) return NoPrimary(id_, "the lease from its in-sync replicas has ended");
  return chunk;
}

}  // namespace atoll::replication
