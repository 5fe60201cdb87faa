// Partition: the primary copies itself to a learner, then asks that it be added to the ISR.
//
// Pieces are read from the store and sent under the partition's mutex, so that they and the live
// records that are sent between them are in one order: a record sent before a piece is in it, one
// sent after it comes on top. Whatever is lost on the way, the copying begins again: a partition's
// copy is small.
//
// Before the member is asked for, it must hold everything that is committed, and everything that
// its copy began with must be committed: it has no records of that to give if it should take over.
// To get there under load it first counts for commits (kJoining); from the asking until a map
// shows the outcome it counts whatever happens (R3).
#include <algorithm>
#include <utility>

#include "server/replication/partition.h"

namespace atoll::replication {
namespace {

constexpr size_t kPieceEntries = 512;
constexpr uint64_t kPieceBytes = 256 << 10;
constexpr uint32_t kPiecesUnderWay = 2;
// Partitions of this node that are copied at a time: with the pieces' bytes, what copying may keep
// in the links.
constexpr int kMaxCopying = 32;
// The learner may begin to count for commits when it is no further behind than this.
constexpr uint64_t kJoinWithin = 1000;

internal::v1::Record ToRecord(const store::ScannedEntry& entry) {
  internal::v1::Record record;
  record.set_version(entry.meta.version.raw());
  record.set_key_hash(entry.hash);
  internal::v1::PutEffect& put = *record.mutable_put();
  put.set_namespace_id(entry.ns.value());
  put.set_key(entry.key.data(), entry.key.size());
  put.mutable_value()->reserve(entry.value_size);
  for (std::string_view piece : entry.value.pieces()) {
    put.mutable_value()->append(piece.data(), piece.size());
  }
  put.set_expiry(entry.meta.expiry);
  put.set_max_idle(entry.meta.max_idle);
  put.set_flags(entry.meta.flags);
  return record;
}

}  // namespace

void Partition::StartSession(Member& member) {
  if (context_->copying.fetch_add(1, std::memory_order_relaxed) >= kMaxCopying) {
    context_->copying.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  member.stage = Member::Stage::kCopying;
  member.session = context_->next_session.fetch_add(1, std::memory_order_relaxed);
  member.base_sequence = member.acked = member.sent = last();
  member.told_committed = 0;
  member.cursor = 0;
  member.sent_number = member.acked_number = 0;
  member.all_sent = false;
  member.progress_at = Now();
  member.owed_since = absl::InfiniteDuration();
  if (!rules().r7_copy_before_in_sync) {
    context_->copying.fetch_sub(1, std::memory_order_relaxed);
    member.stage = Member::Stage::kCopied;
  }
}

void Partition::EndSession(Member& member) {
  if (member.stage == Member::Stage::kCopying) {
    context_->copying.fetch_sub(1, std::memory_order_relaxed);
  }
  Stir();
  // Only one that was joining is known to hold what it said.
  member.known = member.joined();
  member.stage = Member::Stage::kWaiting;
  member.owed_since = absl::InfiniteDuration();
  member.retry_at = Now() + absl::Milliseconds(100);
}

void Partition::PumpLearner(Member& member) {
  while (member.stage == Member::Stage::kCopying && !member.all_sent &&
         member.sent_number - member.acked_number < kPiecesUnderWay) {
    SendPiece(member);
  }
}

void Partition::SendPiece(Member& member) {
  const store::ScanChunk chunk = context_->store->Scan(
      id_, member.cursor, {.max_entries = kPieceEntries, .max_bytes = kPieceBytes});
  internal::v1::PeerMessage message;
  internal::v1::Snapshot& piece = *message.mutable_snapshot();
  piece.set_partition(id_.value());
  piece.set_epoch(placement_.epoch.value());
  piece.set_history(history_);
  piece.set_session(member.session);
  piece.set_number(++member.sent_number);
  if (member.sent_number == 1) {
    piece.set_base_sequence(member.base_sequence);
    requests_.CopyTo(piece.mutable_remembered());
    for (const store::FlushMark& mark : context_->store->Flushes(id_)) {
      internal::v1::Record& flush = *piece.add_entries();
      flush.set_version(mark.version.raw());
      flush.mutable_flush()->set_namespace_id(mark.ns.value());
    }
  }
  for (const store::ScannedEntry& entry : chunk.entries) *piece.add_entries() = ToRecord(entry);
  piece.set_last(chunk.done);
  member.cursor = chunk.next;
  member.all_sent = chunk.done;
  Send(member.node, message);
}

void Partition::OnSnapshotAck(base::Incarnation from, const internal::v1::SnapshotAck& ack) {
  if (role_ != Role::kPrimary || ack.epoch() != placement_.epoch.value()) return;
  Member* member = FindMember(from);
  if (member == nullptr || member->stage != Member::Stage::kCopying ||
      ack.session() != member->session) {
    return;
  }
  if (ack.number() == 0) {
    EndSession(*member);
    return;
  }
  member->acked_number = std::max(member->acked_number, ack.number());
  member->progress_at = Now();
  if (member->all_sent && member->acked_number == member->sent_number) {
    context_->copying.fetch_sub(1, std::memory_order_relaxed);
    member->stage = Member::Stage::kCopied;
    if (member->acked < last()) member->owed_since = Now();
    TryJoin(*member);
    return;
  }
  PumpLearner(*member);
}

void Partition::TryJoin(Member& member) {
  if (member.stage == Member::Stage::kCopied && last() - member.acked <= kJoinWithin) {
    member.stage = Member::Stage::kJoining;
  }
}

bool Partition::ReadyToAsk(const Member& member) {
  if (member.in_isr || !member.joined()) return false;
  return member.stage == Member::Stage::kAsked ||
         (member.acked >= committed_ && committed_ >= member.base_sequence);
}

}  // namespace atoll::replication
