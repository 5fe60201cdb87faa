// Partition: the primary's log, acknowledgements and commit point (R1-R4).
#include <algorithm>
#include <utility>
#include <vector>

#include "server/replication/partition.h"

namespace atoll::replication {
namespace {

// A message's records stop growing here; a single record may be larger.
constexpr uint64_t kMaxAppendBytes = 1 << 20;
// A resend after a gap is not repeated within this time, whatever else arrives out of order.
constexpr absl::Duration kRewindEvery = absl::Milliseconds(20);
// What the log keeps for a learner beyond what the ISR needs.
constexpr uint64_t kLearnerLogBytes = 8 << 20;
// A member whose node answers heartbeats and yet makes no progress.
constexpr absl::Duration kStuckAfter = absl::Seconds(1);
// Beside it, for what is owed: a value of 64 MiB acknowledges nothing before its end.
constexpr uint64_t kSlowestBytesPerSecond = uint64_t{16} << 20;

}  // namespace

Partition::Member* Partition::FindMember(base::Incarnation node) {
  for (Member& member : members_) {
    if (member.node == node) return &member;
  }
  return nullptr;
}

void Partition::Replicate(uint64_t sequence, absl::FunctionRef<wire::Record()> make) {
  if (members_.empty()) {
    log_.Skip(sequence);
    return;
  }
  Stir();
  const uint64_t before = log_.bytes();
  log_.Append(make());
  const uint64_t added = log_.bytes() - before;
  pending_bytes_ += added;
  context_->pending_bytes.fetch_add(added, std::memory_order_relaxed);
  for (Member& member : members_) SendTo(member);
}

void Partition::SendTo(Member& member) {
  if (!member.in_isr && !member.has_session()) return;
  if (member.in_isr && !member.known) return;
  const absl::Duration now = Now();
  while (member.sent < last()) {
    if (!log_.Has(member.sent + 1)) {
      // The log does not reach back. An ISR member never lags behind the commit point.
      if (!member.in_isr) EndSession(member);
      return;
    }
    RecordLog::Records records;
    member.sent = log_.Collect(member.sent + 1, kMaxAppendBytes, &records);
    member.told_committed = committed_;
    member.sent_at = now;
    if (member.owed_since == absl::InfiniteDuration()) member.owed_since = now;
    context_->transport->SendAppend(member.node, {.partition = id_.value(),
                                                  .epoch = placement_.epoch.value(),
                                                  .committed = committed_,
                                                  .records = records});
  }
}

void Partition::TellCommitted(Member& member) {
  if (member.told_committed >= committed_ || (!member.in_isr && !member.has_session())) return;
  member.told_committed = committed_;
  context_->transport->SendAppend(member.node, {.partition = id_.value(),
                                                .epoch = placement_.epoch.value(),
                                                .committed = committed_,
                                                .records = {}});
}

void Partition::OnAppendAck(base::Incarnation from, const wire::AppendAck& ack, Finish* finish) {
  base::MutexLock lock(mu_);
  OnAppendAckLocked(from, ack, finish);
}

void Partition::OnAppendAckLocked(base::Incarnation from, const wire::AppendAck& ack,
                                  Finish* finish) {
  using internal::v1::AppendAck;
  if (!Leads()) return;
  if (ack.answer == AppendAck::ANSWER_STALE_EPOCH) {
    if (ack.epoch > placement_.epoch.value() && rules().r4_reject_lower_epochs) {
      Stir();
      deposed_ = true;
      SetServing(false);
    }
    return;
  }
  Member* member = FindMember(from);
  if (member == nullptr || ack.epoch != placement_.epoch.value()) return;
  if (ack.answer == AppendAck::ANSWER_NOT_SEATED) {
    member->sent = member->acked;  // sent again by the next tick
    return;
  }
  if (!member->known && !member->has_session()) return;
  // A learner's word from before its session says nothing.
  if (!member->in_isr && ack.applied < member->base_sequence) return;
  Progress(*member, ack.applied);
  if (ack.answer == AppendAck::ANSWER_GAP && member->sent > ack.applied &&
      Now() - member->rewound_at >= kRewindEvery) {
    member->rewound_at = Now();
    member->sent = member->acked;
    SendTo(*member);
  }
  if (role_ == Role::kAdopting) {
    TakeoverStep(finish);
    return;
  }
  if (!member->in_isr) TryJoin(*member);
  AdvanceCommit(finish);
  TruncateLog();
  SettleDown();
}

void Partition::Progress(Member& member, uint64_t applied) {
  applied = std::min(applied, last());
  if (applied > member.acked) {
    member.acked = applied;
    member.owed_since = Now();
  }
  member.sent = std::max(member.sent, member.acked);
  if (member.acked >= last()) member.owed_since = absl::InfiniteDuration();
}

void Partition::AdvanceCommit(Finish* finish) {
  if (role_ != Role::kPrimary) return;
  uint64_t sequence = last();
  for (const Member& member : members_) {
    // R2, and R3's union: who was asked for may be in the ISR already.
    const bool required = member.in_isr || (member.joined() && rules().r3_union);
    if (required && rules().r2_wait_for_replicas) {
      sequence = std::min(sequence, member.known || member.has_session() ? member.acked : 0);
    }
  }
  if (sequence <= committed_) return;
  SetCommitted(sequence);
  AnswerCommitted(finish);
  TruncateLog();
}

void Partition::AnswerCommitted(Finish* finish) {
  if (waiters_.empty()) return;
  // A read that finds no lease goes back among the waiters: take out what is due first.
  std::vector<Waiter> due;
  const auto end = waiters_.upper_bound(committed_);
  for (auto at = waiters_.begin(); at != end; ++at) due.push_back(std::move(at->second));
  waiters_.erase(waiters_.begin(), end);
  context_->waiting.fetch_sub(due.size(), std::memory_order_relaxed);
  for (Waiter& waiter : due) Complete(std::move(waiter), finish);
}

Partition::Copies Partition::OtherCopies() {
  Copies copies;
  base::MutexLock lock(mu_);
  if (role_ != Role::kPrimary) return copies;
  for (const Member& member : members_) {
    if (member.in_isr || member.has_session()) copies.push_back(member.node);
  }
  return copies;
}

void Partition::SetCommitted(uint64_t sequence) {
  if (pending_bytes_ > 0) {
    uint64_t bytes = 0;
    for (uint64_t s = committed_ + 1; s <= sequence; ++s) {
      bytes += log_.SizeOf(s);
    }
    bytes = std::min(bytes, pending_bytes_);
    pending_bytes_ -= bytes;
    context_->pending_bytes.fetch_sub(bytes, std::memory_order_relaxed);
  }
  committed_ = sequence;
  visible_.store(sequence, std::memory_order_release);
  // The store compares whole versions: the record's epoch may be older than the present one. What
  // is not in the log was written in this epoch, without copies, or came in a copy.
  context_->store->SetCommitted(id_, log_.Has(sequence)
                                         ? log_.VersionOf(sequence)
                                         : base::Version(placement_.epoch, sequence));
}

void Partition::TruncateLog() {
  uint64_t through = committed_;
  if (log_.bytes() <= kLearnerLogBytes) {
    for (const Member& member : members_) {
      if (!member.in_isr && member.has_session()) through = std::min(through, member.acked);
    }
  }
  log_.TruncateThrough(through);
}

absl::Duration Partition::TimeForLog() const {
  return absl::Seconds(1) * (static_cast<double>(log_.bytes()) / kSlowestBytesPerSecond);
}

bool Partition::SilentMember(const Member& member, absl::Duration now) {
  return context_->peers->Silent(member.node, now) ||
         now - member.owed_since > kStuckAfter + TimeForLog();
}

}  // namespace atoll::replication
