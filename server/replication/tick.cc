// Partition: what time brings.
#include <algorithm>
#include <utility>

#include "server/replication/errors.h"
#include "server/replication/partition.h"

namespace atoll::replication {
namespace {

constexpr absl::Duration kResendAfter = absl::Milliseconds(100);
constexpr absl::Duration kCopyStalled = absl::Seconds(1);
constexpr absl::Duration kAskAgain = absl::Milliseconds(100);
constexpr absl::Duration kAskAgainAfterRefusal = absl::Seconds(1);

}  // namespace

bool Partition::AtRest() const {
  if (role_ != Role::kPrimary || deposed_ || !waiters_.empty()) return false;
  return std::all_of(members_.begin(), members_.end(),
                     [&](const Member& member) ABSL_NO_THREAD_SAFETY_ANALYSIS {
                       return member.in_isr && member.known && member.acked >= last();
                     });
}

bool Partition::Restless() const {
  const uint64_t word = context_->restless[id_.value() / 64].load(std::memory_order_relaxed);
  return (word >> (id_.value() % 64) & 1) != 0;
}

void Partition::Stir() {
  if (Restless()) return;
  context_->restless[id_.value() / 64].fetch_or(uint64_t{1} << (id_.value() % 64),
                                                std::memory_order_relaxed);
}

void Partition::SettleDown() {
  if (!Restless() || (Leads() ? !AtRest() : !waiters_.empty())) return;
  context_->restless[id_.value() / 64].fetch_and(~(uint64_t{1} << (id_.value() % 64)),
                                                 std::memory_order_relaxed);
}

void Partition::Tick(absl::Duration now, bool thorough, std::vector<internal::v1::IsrChange>* asks,
                     Finish* finish) {
  // Relaxed: one that was given the role just now has time until the next tick.
  if (!leads_.load(std::memory_order_relaxed)) return;
  base::MutexLock lock(mu_);
  ExpireWaiters(now, finish);
  SettleDown();
  if (!thorough && !Restless()) return;
  if (!Leads() || deposed_) return;
  if (role_ == Role::kAdopting) {
    ResendOwed(now);
    TakeoverStep(finish);
  } else {
    AdoptStep();
    ResendOwed(now);
    TickLearners(now);
    AdvanceCommit(finish);
    AnswerCommitted(finish);
    if (thorough) {
      for (Member& member : members_) TellCommitted(member);
    }
  }
  SettleAsk();
  AskForChanges(now, asks);
}

void Partition::ExpireWaiters(absl::Duration now, Finish* finish) {
  for (auto at = waiters_.begin(); at != waiters_.end();) {
    if (at->second.deadline > now) {
      ++at;
      continue;
    }
    context_->waiting.fetch_sub(1, std::memory_order_relaxed);
    OperationResult result{.status =
                               at->second.write ? Ambiguous("deadline exceeded") : DeadlinePast()};
    finish->Answer(std::move(at->second.done), std::move(result));
    at = waiters_.erase(at);
  }
}

void Partition::ResendOwed(absl::Duration now) {
  for (Member& member : members_) {
    if (member.acked >= last()) continue;
    if (member.sent > member.acked &&
        now - std::max(member.sent_at, member.owed_since) > kResendAfter + TimeForLog()) {
      member.sent = member.acked;
    }
    SendTo(member);
  }
}

void Partition::TickLearners(absl::Duration now) {
  for (Member& member : members_) {
    if (member.in_isr) continue;
    switch (member.stage) {
      case Member::Stage::kWaiting:
        if (now >= member.retry_at && !context_->peers->Silent(member.node, now)) {
          StartSession(member);
          PumpLearner(member);
        }
        break;
      case Member::Stage::kCopying:
        if (now - member.progress_at > kCopyStalled) EndSession(member);
        break;
      case Member::Stage::kCopied:
      case Member::Stage::kJoining:
        if (SilentMember(member, now)) {
          EndSession(member);
        } else {
          TryJoin(member);
        }
        break;
      case Member::Stage::kAsked:
        break;
    }
  }
}

void Partition::SettleAsk() {
  // The map that the answer named has taken effect and the ISR is what it was: refused. Unless an
  // earlier request might still be carried out.
  if (ask_.answered_at_map == 0 || ask_.in_flight ||
      context_->applied_map.load(std::memory_order_acquire) < ask_.answered_at_map) {
    return;
  }
  ask_.answered_at_map = 0;
  ask_.not_before = Now() + kAskAgainAfterRefusal;
  if (ask_.unknown) return;
  for (Member& member : members_) {
    if (member.stage == Member::Stage::kAsked) member.stage = Member::Stage::kCopied;
  }
}

void Partition::AskForChanges(absl::Duration now, std::vector<internal::v1::IsrChange>* asks) {
  if (ask_.in_flight || now < ask_.not_before || ask_.answered_at_map != 0) return;
  internal::v1::IsrChange change;
  // One that leaves is let go when this node serves and has what it had.
  const bool relieves = role_ == Role::kPrimary && !context_->peers->Leaving(context_->self);
  for (Member& member : members_) {
    if (member.in_isr) {
      const bool relieved = relieves && member.known && member.acked >= committed_ &&
                            context_->peers->Leaving(member.node);
      if (change.remove() == 0 && (relieved || SilentMember(member, now))) {
        change.set_remove(member.node.value());
      }
    } else if (change.add() == 0 && role_ == Role::kPrimary && ReadyToAsk(member)) {
      change.set_add(member.node.value());
    }
  }
  if (change.remove() != 0) {
    // One thing at a time: the live should not wait for the dead to be replaced.
    change.clear_add();
  } else if (change.add() == 0) {
    return;
  } else {
    Member& member = *FindMember(base::Incarnation(change.add()));
    member.stage = Member::Stage::kAsked;
    RefreshLeaseLocked();
  }
  change.set_partition(id_.value());
  change.set_epoch(placement_.epoch.value());
  change.set_isr_version(placement_.isr_version);
  ask_.in_flight = true;
  asks->push_back(std::move(change));
}

bool Partition::Unserved() const {
  if (serving_.load(std::memory_order_relaxed) != 0) return false;
  // Relaxed: one that was given the role just now is counted next time.
  if (!leads_.load(std::memory_order_relaxed)) return false;
  base::MutexLock lock(mu_);
  return role_ == Role::kAdopting || deposed_;
}

bool Partition::WaitsForRelief() const {
  base::MutexLock lock(mu_);
  return role_ == Role::kReplica && context_->peers->Leaving(context_->self) &&
         !context_->peers->Leaving(placement_.primary);
}

void Partition::OnAsked(const internal::v1::IsrChange& change, bool answered,
                        uint64_t map_version) {
  base::MutexLock lock(mu_);
  if (!Leads() || change.epoch() != placement_.epoch.value() ||
      change.isr_version() != placement_.isr_version) {
    return;  // the map has moved on, and with it everything that was asked
  }
  ask_.in_flight = false;
  ask_.not_before = Now() + kAskAgain;
  if (!answered) {
    ask_.unknown = true;
  } else {
    ask_.answered_at_map = std::max<uint64_t>(map_version, 1);
  }
}

void Partition::OnLinkUp(base::Incarnation to, Finish* finish) {
  if (!leads_.load(std::memory_order_relaxed)) return;
  base::MutexLock lock(mu_);
  if (!Leads() || deposed_) return;
  Member* member = FindMember(to);
  if (member == nullptr) return;
  if (member->stage == Member::Stage::kCopying) {
    // A piece may be lost.
    EndSession(*member);
    return;
  }
  Stir();
  member->sent = member->acked;
  member->adopt_sent_at = -absl::InfiniteDuration();
  if (role_ == Role::kAdopting) {
    TakeoverStep(finish);
  } else {
    SendTo(*member);
  }
}

CopyState Partition::State() {
  base::MutexLock lock(mu_);
  return {.partition = id_,
          .epoch = placement_.epoch,
          .history = history_,
          .reset_epoch = reset_epoch_,
          .last_sequence = last(),
          .primary = role_ == Role::kPrimary,
          // A member has every acknowledged write, whether a takeover is over or not, and whether
          // or not it was told that its last records are committed.
          .in_sync = (role_ == Role::kReplica || Leads()) && load_ == 0};
}

Role Partition::role() {
  base::MutexLock lock(mu_);
  return role_;
}

void Partition::AddStats(ReplicationStats* stats) {
  base::MutexLock lock(mu_);
  switch (role_) {
    case Role::kNone:
      return;
    case Role::kLearner:
      ++stats->learners;
      return;
    case Role::kReplica:
      ++stats->replicas;
      return;
    case Role::kAdopting:
    case Role::kPrimary:
      break;
  }
  ++stats->primaries;
  if (placement_.isr.size() < replication_factor_) ++stats->under_replicated;
  stats->lag_records += last() - std::min(last(), committed_);
  const absl::Duration now = Now();
  for (const Member& member : members_) {
    if (member.in_isr && member.owed_since < now) {
      stats->lag = std::max(stats->lag, now - member.owed_since);
    }
  }
}

}  // namespace atoll::replication
