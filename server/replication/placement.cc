// Partition: what a new placement map makes of the copy.
#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "server/replication/errors.h"
#include "server/replication/partition.h"

namespace atoll::replication {

void Partition::Init(Context* context, base::PartitionId id) {
  context_ = context;
  id_ = id;
}

Role Partition::RoleIn(const ring::Placement& placement) const {
  const base::Incarnation self = context_->self;
  if (placement.primary == self) return Role::kPrimary;
  if (placement.InIsr(self)) return Role::kReplica;
  return placement.IsLearner(self) ? Role::kLearner : Role::kNone;
}

uint32_t Partition::MinIsr() const {
  return std::min(context_->options.min_isr, std::max<uint32_t>(replication_factor_, 1));
}

void Partition::OnPlacement(const ring::PlacementMap& map, const ring::Placement& placement,
                            Finish* finish) {
  base::MutexLock lock(mu_);
  replication_factor_ = map.replication_factor;
  if (placement == placement_) return;
  if (placement.epoch < placement_.epoch) {
    base::LogError(absl::StrCat("partition ", id_.value(), ": the map went back from epoch ",
                                placement_.epoch.value(), " to ", placement.epoch.value()));
    return;
  }
  const bool new_term = placement.epoch != placement_.epoch;
  const Role before = role_;
  const Role next = RoleIn(placement);
  if (Leads() && (new_term || next != Role::kPrimary)) StepDown(placement, finish);
  if (placement_.primary.value() != 0 && placement_.primary != context_->self) {
    last_primary_ = placement_.primary;
  }
  const bool asks_void = new_term || placement.isr_version != placement_.isr_version;
  placement_ = placement;
  context_->store->NoteWarmed(id_, next == Role::kPrimary && rules().warm_hints &&
                                       placement.isr.size() + placement.learners.size() > 1);
  if (new_term || next != before) seated_at_map_ = map.version;
  leads_.store(next == Role::kPrimary || !waiters_.empty(), std::memory_order_relaxed);
  if (leads_.load(std::memory_order_relaxed)) Stir();

  if (next == Role::kPrimary || next == Role::kReplica) {
    // A seat in an ISR is given to a complete copy of this process, or to all members at once at a
    // first assignment, a reset or a revival: then everyone starts anew (R7, R9).
    const bool fresh =
        !has_copy_ || placement.history != history_ || placement.reset_epoch != reset_epoch_;
    if (fresh) {
      FailWaiters(false, finish);
      StartEmpty();
    }
    context_->store->RetainTombstones(id_, false);
    if (next == Role::kReplica) {
      role_ = Role::kReplica;
    } else if (new_term || (before != Role::kPrimary && before != Role::kAdopting)) {
      BecomePrimary(fresh, finish);
    } else {
      MembersChanged(asks_void, finish);
    }
    // From here on it is this process's copy that counts, but where that one comes from disk.
    if ((fresh || before == Role::kLearner) && load_ == 0) DropFromDisk(finish);
    return;
  }
  // A learner begins anew in each term; an incomplete copy is worth nothing without a primary that
  // goes on with it.
  const bool goes_on = next == Role::kLearner && before == Role::kLearner && !new_term;
  FailWaiters(false, finish);
  if (!goes_on && before != Role::kNone) Forget();
  // What a process before left on disk may be all that there is until a learner is in the ISR: the
  // primary that it is to copy from may be dead, and the map not know it yet.
  if (before != Role::kNone && before != Role::kLearner) DropFromDisk(finish);
  if (next == Role::kLearner && !goes_on) {
    context_->store->OpenPartition(id_);
    context_->store->RetainTombstones(id_, true);
  }
  role_ = next;
  if (!rules().r7_copy_before_in_sync && next == Role::kLearner) {
    has_copy_ = true;
    history_ = placement_.history;
  }
}

void Partition::StepDown(const ring::Placement& next, Finish* finish) {
  SetServing(false);
  // One that stays in the ISR keeps its records through the takeover: its pending writes are
  // answered when the new primary tells that they are committed.
  FailWaiters(next.InIsr(context_->self), finish);
  for (Member& member : members_) EndSession(member);
  members_.clear();
  context_->pending_bytes.fetch_sub(pending_bytes_, std::memory_order_relaxed);
  pending_bytes_ = 0;
  deposed_ = false;
  ask_ = {};
  takeover_ = {};
  // One that stays in the ISR is asked by the new primary; one that does not tells it: the grace
  // period need not be waited out.
  if (next.primary.value() != 0 && next.primary != context_->self && !next.InIsr(context_->self)) {
    SendAdoptReply(next.primary, next.epoch, true);
  }
}

void Partition::FailWaiters(bool keep_writes, Finish* finish) {
  for (auto at = waiters_.begin(); at != waiters_.end();) {
    Waiter& waiter = at->second;
    if (waiter.write && keep_writes) {
      ++at;
      continue;
    }
    context_->waiting.fetch_sub(1, std::memory_order_relaxed);
    OperationResult result{.status = waiter.write
                                         ? Ambiguous("the partition has another primary now")
                                         : WrongOwner(id_)};
    finish->Answer(std::move(waiter.done), std::move(result));
    at = waiters_.erase(at);
  }
}

void Partition::StartEmpty() {
  context_->store->DropPartition(id_);
  context_->store->OpenPartition(id_);
  log_.Reset(0);
  requests_.Clear();
  committed_ = 0;
  visible_.store(0, std::memory_order_release);
  has_copy_ = true;
  load_ = 0;
  history_ = placement_.history;
  reset_epoch_ = placement_.reset_epoch;
  session_ = 0;
  session_number_ = 0;
}

void Partition::DropFromDisk(Finish* finish) {
  if (context_->disk == nullptr) return;
  finish->Add([disk = context_->disk, id = id_] { disk->Drop(id); });
}

void Partition::Forget() {
  context_->store->DropPartition(id_);
  log_.Reset(0);
  requests_.Clear();
  committed_ = 0;
  visible_.store(0, std::memory_order_release);
  has_copy_ = false;
  load_ = 0;
  session_ = 0;
  session_number_ = 0;
}

void Partition::BecomePrimary(bool fresh, Finish* finish) {
  role_ = Role::kAdopting;
  deposed_ = false;
  ask_ = {};
  takeover_ = {};
  members_.clear();
  UpdateMembers(true);
  const absl::Duration now = Now();
  if (!fresh && rules().grace && last_primary_.value() != 0) {
    takeover_.old_primary = last_primary_;
    takeover_.grace_until =
        context_->peers->LastAcknowledged(last_primary_) + context_->options.grace;
  }
  // A revival seats one node (R9). Where several begin together nobody has more than the others.
  if (fresh && context_->disk != nullptr && placement_.isr.size() == 1) {
    load_ = ++last_load_;
    finish->Add(
        [disk = context_->disk, id = id_, reset = placement_.reset_epoch, load = load_, this] {
          disk->Load(id, reset, [this, load](absl::StatusOr<CopyState> copy) {
            Finish then;
            OnLoaded(load, std::move(copy), &then);
            then.Run();
          });
        });
  }
  for (Member& member : members_) member.owed_since = now;
  TakeoverStep(finish);
}

void Partition::OnLoaded(uint64_t load, absl::StatusOr<CopyState> copy, Finish* finish) {
  base::MutexLock lock(mu_);
  if (load != load_) return;  // the copy was given up meanwhile
  load_ = 0;
  if (copy.ok() && copy->epoch < placement_.epoch) {
    log_.Reset(copy->last_sequence);
    SetCommitted(copy->last_sequence);
  } else {
    if (copy.ok()) {
      // Versions of now would be below those on disk.
      base::LogError(absl::StrCat("partition ", id_.value(), ": epoch ", placement_.epoch.value(),
                                  " is not above ", copy->epoch.value(), " on disk; starts cold"));
    } else if (!absl::IsNotFound(copy.status())) {
      base::LogError(
          absl::StrCat("partition ", id_.value(), ": starts cold: ", copy.status().ToString()));
    }
    StartEmpty();
  }
  TakeoverStep(finish);
}

void Partition::UpdateMembers(bool asks_void) {
  for (Member& member : members_) {
    const bool stays = placement_.InIsr(member.node) || placement_.IsLearner(member.node);
    if (!stays) EndSession(member);
  }
  members_.erase(std::remove_if(members_.begin(), members_.end(),
                                [&](const Member& member) ABSL_NO_THREAD_SAFETY_ANALYSIS {
                                  return !placement_.InIsr(member.node) &&
                                         !placement_.IsLearner(member.node);
                                }),
                 members_.end());
  const auto seat = [&](base::Incarnation node, bool in_isr) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (node == context_->self) return;
    Member* member = FindMember(node);
    if (member == nullptr) {
      members_.push_back({.node = node});
      member = &members_.back();
    }
    if (in_isr && !member->in_isr) {
      EndSession(*member);
    } else if (!in_isr &&
               (member->in_isr || (asks_void && member->stage == Member::Stage::kAsked))) {
      // The outcome is known now: the request named an ISR version that is past (R3).
      if (member->in_isr) *member = {.node = node};
      if (member->stage == Member::Stage::kAsked) member->stage = Member::Stage::kCopied;
    }
    member->in_isr = in_isr;
  };
  for (base::Incarnation node : placement_.isr) seat(node, true);
  for (base::Incarnation node : placement_.learners) seat(node, false);
}

void Partition::MembersChanged(bool asks_void, Finish* finish) {
  // What was asked may still be carried out while the ISR version is what it named (R3).
  if (asks_void) ask_ = {};
  UpdateMembers(asks_void);
  if (placement_.isr.size() < MinIsr()) {
    for (auto& [sequence, waiter] : waiters_) waiter.ambiguous = true;
  }
  RefreshLeaseLocked();
  if (role_ == Role::kAdopting) {
    TakeoverStep(finish);
  } else {
    AdvanceCommit(finish);
  }
}

void Partition::RefreshLease() {
  // Most partitions are none of ours to lead.
  if (serving_.load(std::memory_order_relaxed) == 0) return;
  base::MutexLock lock(mu_);
  RefreshLeaseLocked();
}

void Partition::RefreshLeaseLocked() {
  absl::Duration until = absl::InfiniteDuration();
  for (const Member& member : members_) {
    // A member that was asked for holds the lease too: it may be in the ISR already (R3).
    if (!member.in_isr && member.stage != Member::Stage::kAsked) continue;
    until = std::min(until, context_->peers->LeaseUntil(member.node));
  }
  lease_until_ns_.store(until == absl::InfiniteDuration() ? std::numeric_limits<int64_t>::max()
                                                          : absl::ToInt64Nanoseconds(until),
                        std::memory_order_relaxed);
}

void Partition::SetServing(bool serving) {
  serving_.store(serving ? placement_.epoch.value() : 0, std::memory_order_release);
}

}  // namespace atoll::replication
