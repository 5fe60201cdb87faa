// Partition: a new primary takes over (R6).
//
// Members adopt the epoch, and so refuse the old primary, then tell their last sequence; the new
// primary fetches what it lacks from the one that has most, sends everyone what they lack, and
// serves when all have all. A member that does not answer leaves by a committed map first. The
// old primary may serve reads under its lease until the grace period is over, or until it says
// itself that it has released the partition.
#include <algorithm>
#include <utility>

#include "server/replication/partition.h"
#include "server/replication/record_views.h"

namespace atoll::replication {
namespace {

constexpr absl::Duration kAskAgain = absl::Milliseconds(20);
constexpr absl::Duration kFetchAgain = absl::Milliseconds(100);
constexpr uint64_t kMaxTailBytes = 4 << 20;

}  // namespace

void Partition::TakeoverStep(Finish* finish) {
  if (role_ != Role::kAdopting || load_ != 0 || deposed_) return;
  if (!rules().r6_takeover) {
    for (Member& member : members_) {
      if (!member.in_isr) continue;
      member.known = true;
      member.acked = member.sent = last();
    }
  }
  if (!AdoptStep() || !TailStep()) return;
  if (Now() < takeover_.grace_until && !takeover_.released) return;
  Serve(finish);
}

bool Partition::AdoptStep() {
  const absl::Duration now = Now();
  bool all = true;
  for (Member& member : members_) {
    if (!member.in_isr || member.known) continue;
    all = false;
    if (now - member.adopt_sent_at < kAskAgain) continue;
    member.adopt_sent_at = now;
    if (member.owed_since == absl::InfiniteDuration()) member.owed_since = now;
    internal::v1::PeerMessage message;
    message.mutable_adopt()->set_partition(id_.value());
    message.mutable_adopt()->set_epoch(placement_.epoch.value());
    Send(member.node, message);
  }
  return all;
}

bool Partition::TailStep() {
  const Member* most = nullptr;
  for (const Member& member : members_) {
    if (member.in_isr && member.acked > last() && (most == nullptr || member.acked > most->acked)) {
      most = &member;
    }
  }
  const absl::Duration now = Now();
  if (most != nullptr) {
    const bool progressed = takeover_.fetched_after != last();
    if (!progressed && now - takeover_.fetch_sent_at < kFetchAgain) return false;
    takeover_.fetch_sent_at = now;
    takeover_.fetched_after = last();
    internal::v1::PeerMessage message;
    message.mutable_fetch_tail()->set_partition(id_.value());
    message.mutable_fetch_tail()->set_epoch(placement_.epoch.value());
    message.mutable_fetch_tail()->set_after_sequence(last());
    Send(most->node, message);
    return false;
  }
  bool all = true;
  for (Member& member : members_) {
    if (!member.in_isr || member.acked >= last()) continue;
    all = false;
    SendTo(member);
  }
  return all;
}

void Partition::Serve(Finish* finish) {
  role_ = Role::kPrimary;
  for (Member& member : members_) {
    if (member.in_isr && member.acked >= last()) member.owed_since = absl::InfiniteDuration();
  }
  RefreshLeaseLocked();
  AdvanceCommit(finish);
  SetServing(true);
}

void Partition::OnAdopt(base::Incarnation from, const internal::v1::Adopt& adopt) {
  if (adopt.epoch() < placement_.epoch.value()) {
    AckAppend(from, placement_.epoch.value(), internal::v1::AppendAck::ANSWER_STALE_EPOCH);
    return;
  }
  const bool ready = adopt.epoch() == placement_.epoch.value() && role_ == Role::kReplica &&
                     from == placement_.primary;
  SendAdoptReply(from, base::Epoch(adopt.epoch()), ready);
}

void Partition::SendAdoptReply(base::Incarnation to, base::Epoch epoch, bool ready) {
  internal::v1::PeerMessage message;
  internal::v1::AdoptReply& reply = *message.mutable_adopt_reply();
  reply.set_partition(id_.value());
  reply.set_epoch(epoch.value());
  reply.set_last_sequence(last());
  reply.set_committed(committed_);
  reply.set_not_ready(!ready);
  Send(to, message);
}

void Partition::OnAdoptReply(base::Incarnation from, const internal::v1::AdoptReply& reply,
                             Finish* finish) {
  if (!Leads() || reply.epoch() != placement_.epoch.value() || reply.not_ready()) return;
  // It has adopted the epoch: it serves nothing under its old lease.
  if (from == takeover_.old_primary) takeover_.released = true;
  Member* member = FindMember(from);
  if (member != nullptr && member->in_isr && !member->known) {
    member->known = true;
    member->acked = member->sent = reply.last_sequence();
    member->owed_since = member->acked < last() ? Now() : absl::InfiniteDuration();
  }
  if (role_ == Role::kAdopting) {
    TakeoverStep(finish);
  } else if (member != nullptr) {
    SendTo(*member);
    AdvanceCommit(finish);
  }
}

void Partition::OnFetchTail(base::Incarnation from, const internal::v1::FetchTail& fetch) {
  if (role_ != Role::kReplica || fetch.epoch() != placement_.epoch.value() ||
      from != placement_.primary) {
    return;
  }
  internal::v1::PeerMessage message;
  internal::v1::Tail& tail = *message.mutable_tail();
  tail.set_partition(id_.value());
  tail.set_epoch(fetch.epoch());
  tail.set_committed(committed_);
  RecordLog::Records records;
  log_.Collect(fetch.after_sequence() + 1, kMaxTailBytes, &records);
  for (const wire::EncodedRecord& record : records) {
    // It was written by hand, and is one record of the .proto.
    tail.add_records()->ParseFromArray(record.bytes.data(), static_cast<int>(record.bytes.size()));
  }
  Send(from, message);
}

void Partition::OnTail(const internal::v1::Tail& tail, Finish* finish) {
  if (role_ != Role::kAdopting || tail.epoch() != placement_.epoch.value()) return;
  for (const internal::v1::Record& record : tail.records()) {
    const uint64_t sequence = base::Version(record.version()).sequence();
    if (sequence != last() + 1) continue;
    const wire::Record view = ViewOf(record);
    ApplyRecord(view);
    log_.Append(view);
  }
  TakeoverStep(finish);
}

}  // namespace atoll::replication
