// Partition: applying what the primary sends, as replica or learner (R1, R4).
#include <algorithm>
#include <utility>

#include "server/replication/partition.h"

namespace atoll::replication {

void Partition::OnMessage(base::Incarnation from, const internal::v1::PeerMessage& message,
                          Finish* finish) {
  using internal::v1::PeerMessage;
  base::MutexLock lock(mu_);
  switch (message.kind_case()) {
    case PeerMessage::kAppend:
      return OnAppend(from, message.append(), finish);
    case PeerMessage::kAppendAck:
      return OnAppendAck(from, message.append_ack(), finish);
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
  internal::v1::PeerMessage message;
  internal::v1::AppendAck& ack = *message.mutable_append_ack();
  ack.set_partition(id_.value());
  ack.set_epoch(epoch);
  ack.set_applied(last());
  ack.set_answer(answer);
  Send(to, std::move(message));
}

void Partition::OnAppend(base::Incarnation from, const internal::v1::Append& append,
                         Finish* finish) {
  using internal::v1::AppendAck;
  const uint32_t epoch = placement_.epoch.value();
  if (append.epoch() < epoch && rules().r4_reject_lower_epochs) {
    AckAppend(from, epoch, AppendAck::ANSWER_STALE_EPOCH);
    return;
  }
  if (append.epoch() > epoch || (role_ != Role::kReplica && role_ != Role::kLearner)) {
    AckAppend(from, append.epoch(), AppendAck::ANSWER_NOT_SEATED);
    return;
  }
  // A learner has nothing to add to before its first piece.
  if (role_ == Role::kLearner && session_ == 0 && rules().r7_copy_before_in_sync) return;
  for (const internal::v1::Record& record : append.records()) {
    const uint64_t sequence = base::Version(record.version()).sequence();
    if (sequence <= last()) continue;
    if (sequence > last() + 1) {
      if (!rules().r7_copy_before_in_sync) {
        log_.Reset(sequence - 1);
      } else {
        AckAppend(from, append.epoch(), AppendAck::ANSWER_GAP);
        return;
      }
    }
    ApplyRecord(record);
  }
  const uint64_t committed = std::min(append.committed(), last());
  if (committed > committed_) {
    SetCommitted(committed);
    log_.TruncateThrough(committed);
    AnswerCommitted(finish);
  }
  if (!append.records().empty()) AckAppend(from, append.epoch(), AppendAck::ANSWER_APPLIED);
}

void Partition::ApplyRecord(const internal::v1::Record& record) {
  ApplyEffect(record);
  if (record.has_remembered()) requests_.Remember(record.remembered());
  log_.Append(record);
}

void Partition::ApplyEffect(const internal::v1::Record& record) {
  using internal::v1::Record;
  store::Store& store = *context_->store;
  const base::Version version(record.version());
  // A write that the store has no room for leaves no entry: as if it had been evicted. A stale one
  // is a record that came in a copy as well.
  const auto key = [&](uint32_t ns, const std::string& bytes) {
    return store::Key{base::NamespaceId(static_cast<uint16_t>(ns)), bytes, record.key_hash()};
  };
  switch (record.effect_case()) {
    case Record::kPut: {
      const internal::v1::PutEffect& put = record.put();
      const std::string_view value = put.value();
      store.Put(key(put.namespace_id(), put.key()),
                {.version = version,
                 .expiry = put.expiry(),
                 .max_idle = put.max_idle(),
                 .flags = put.flags()},
                {&value, 1});
      return;
    }
    case Record::kErase:
      store.Erase(key(record.erase().namespace_id(), record.erase().key()), version);
      return;
    case Record::kTouch:
      store.Touch(key(record.touch().namespace_id(), record.touch().key()), version,
                  record.touch().expiry(), record.touch().max_idle());
      return;
    case Record::kFlush:
      store.Flush(id_, base::NamespaceId(static_cast<uint16_t>(record.flush().namespace_id())),
                  version);
      return;
    default:
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
  Send(to, std::move(message));
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
  for (const internal::v1::Record& entry : snapshot.entries()) ApplyEffect(entry);
  if (snapshot.last()) has_copy_ = true;
  AckSnapshot(from, snapshot, session_number_);
}

}  // namespace atoll::replication
