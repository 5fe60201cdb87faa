// Partition: applying what the primary sends, as replica or learner (R1, R4).
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "server/replication/partition.h"
#include "server/replication/record_views.h"

namespace atoll::replication {

void Partition::OnMessage(base::Incarnation from, const internal::v1::PeerMessage& message,
                          Finish* finish) {
  using internal::v1::PeerMessage;
  base::MutexLock lock(mu_);
  switch (message.kind_case()) {
    case PeerMessage::kAppend:
      return OnForeignAppend(from, message.append(), finish);
    case PeerMessage::kAppendAck:
      return OnAppendAckLocked(from, ViewOf(message.append_ack()), finish);
    case PeerMessage::kSnapshot:
      return OnSnapshot(from, message.snapshot());
    case PeerMessage::kSnapshotAck:
      return OnSnapshotAck(from, message.snapshot_ack());
    case PeerMessage::kAdopt:
      return OnAdopt(from, message.adopt());
    case PeerMessage::kAdoptReply:
      return OnAdoptReply(from, message.adopt_reply(), finish);
    case PeerMessage::kFetchTail:
      return OnFetchTail(from, message.fetch_tail());
    case PeerMessage::kTail:
      return OnTail(message.tail(), finish);
    default:
      return;
  }
}

void Partition::AckAppend(base::Incarnation to, uint32_t epoch,
                          internal::v1::AppendAck::Answer answer) {
  context_->transport->SendAck(
      to, {.partition = id_.value(), .epoch = epoch, .applied = last(), .answer = answer});
}

void Partition::OnForeignAppend(base::Incarnation from, const internal::v1::Append& append,
                                Finish* finish) {
  std::vector<wire::ReceivedRecord> records;
  std::vector<std::string> encoded;
  records.reserve(static_cast<size_t>(append.records_size()));
  encoded.reserve(records.capacity());
  for (const internal::v1::Record& record : append.records()) {
    const wire::Record view = ViewOf(record);
    encoded.push_back(Encoded(view));
    records.push_back({.record = view, .encoded = {.bytes = encoded.back(), .pieces = {}}});
  }
  OnAppendLocked(from,
                 {.partition = append.partition(),
                  .epoch = append.epoch(),
                  .committed = append.committed(),
                  .records = records},
                 finish);
}

void Partition::OnAppend(base::Incarnation from, const wire::Append& append, Finish* finish) {
  base::MutexLock lock(mu_);
  OnAppendLocked(from, append, finish);
}

void Partition::OnAppendLocked(base::Incarnation from, const wire::Append& append, Finish* finish) {
  using internal::v1::AppendAck;
  const uint32_t epoch = placement_.epoch.value();
  if (append.epoch < epoch && rules().r4_reject_lower_epochs) {
    AckAppend(from, epoch, AppendAck::ANSWER_STALE_EPOCH);
    return;
  }
  if (append.epoch > epoch || (role_ != Role::kReplica && role_ != Role::kLearner)) {
    AckAppend(from, append.epoch, AppendAck::ANSWER_NOT_SEATED);
    return;
  }
  // A learner has nothing to add to before its first piece.
  if (role_ == Role::kLearner && session_ == 0 && rules().r7_copy_before_in_sync) return;
  for (const wire::ReceivedRecord& received : append.records) {
    const base::Version version(received.record.version);
    if (version.sequence() <= last()) continue;
    if (version.sequence() > last() + 1) {
      if (!rules().r7_copy_before_in_sync) {
        log_.Reset(version.sequence() - 1);
      } else {
        AckAppend(from, append.epoch, AppendAck::ANSWER_GAP);
        return;
      }
    }
    ApplyRecord(received.record);
    log_.Append(version, received.encoded);
  }
  const uint64_t committed = std::min(append.committed, last());
  if (committed > committed_) {
    SetCommitted(committed);
    log_.TruncateThrough(committed);
    AnswerCommitted(finish);
  }
  if (!append.records.empty()) AckAppend(from, append.epoch, AppendAck::ANSWER_APPLIED);
}

void Partition::ApplyRecord(const wire::Record& record) {
  ApplyEffect(record);
  if (record.has_remembered) requests_.Remember(MessageOf(record.remembered));
}

void Partition::ApplyEffect(const wire::Record& record) {
  store::Store& store = *context_->store;
  const base::Version version(record.version);
  const base::NamespaceId ns(static_cast<uint16_t>(record.ns));
  const store::Key key{ns, record.key, record.key_hash};
  // A write that the store has no room for leaves no entry: as if it had been evicted. A stale one
  // is a record that came in a copy as well.
  switch (record.effect) {
    case wire::Effect::kPut:
      store.Put(key,
                {.version = version,
                 .expiry = record.expiry,
                 .max_idle = record.max_idle,
                 .flags = record.flags},
                record.value.span());
      return;
    case wire::Effect::kErase:
      store.Erase(key, version);
      return;
    case wire::Effect::kTouch:
      store.Touch(key, version, record.expiry, record.max_idle);
      return;
    case wire::Effect::kFlush:
      store.Flush(id_, ns, version);
      return;
    case wire::Effect::kNothing:
    case wire::Effect::kNone:
      return;
  }
}

void Partition::AckSnapshot(base::Incarnation to, const internal::v1::Snapshot& snapshot,
                            uint32_t number) {
  internal::v1::PeerMessage message;
  internal::v1::SnapshotAck& ack = *message.mutable_snapshot_ack();
  ack.set_partition(id_.value());
  ack.set_epoch(snapshot.epoch());
  ack.set_number(number);
  ack.set_session(snapshot.session());
  Send(to, message);
}

void Partition::OnSnapshot(base::Incarnation from, const internal::v1::Snapshot& snapshot) {
  if (role_ != Role::kLearner || snapshot.epoch() != placement_.epoch.value() ||
      from != placement_.primary) {
    AckSnapshot(from, snapshot, 0);
    return;
  }
  if (snapshot.number() == 1) {
    StartEmpty();
    has_copy_ = false;
    history_ = snapshot.history();
    context_->store->RetainTombstones(id_, true);
    log_.Reset(snapshot.base_sequence());
    session_ = snapshot.session();
    for (const internal::v1::RememberedResult& result : snapshot.remembered()) {
      requests_.Remember(result);
    }
  } else if (snapshot.session() != session_ || snapshot.number() != session_number_ + 1) {
    AckSnapshot(from, snapshot, 0);
    return;
  }
  session_number_ = snapshot.number();
  for (const internal::v1::Record& entry : snapshot.entries()) ApplyEffect(ViewOf(entry));
  if (snapshot.last()) has_copy_ = true;
  AckSnapshot(from, snapshot, session_number_);
}

}  // namespace atoll::replication
