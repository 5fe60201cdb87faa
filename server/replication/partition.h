// One partition as this node has it: nobody's, learner's, replica's or primary's copy.
//
// A state machine apart from I/O. Operations, messages, maps and time come in; store writes happen
// at once; messages go to the Transport, which never blocks nor calls back, under the partition's
// mutex, so that they leave in the order of what they tell; callbacks are put on a Finish and run
// when the mutex is free.
//
// Thread safety: public methods may be called by any thread. Lock order: partition, then the
// store's locks, PeerTable's, the transport's. Two partitions are never locked together.
//
// Invariants:
//  - Sequences of the copy are contiguous: it holds the effect of every record up to last() (but
//    for what was evicted or expired), and records above committed_ are in log_ (R4).
//  - committed_ <= last() of every ISR member, and of every member asked for (R2, R3).
//  - Only a primary that serves assigns versions, one epoch at a time (R1).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/random/random.h"
#include "base/mutex.h"
#include "ring/placement_map.h"
#include "server/replication/disk_tier.h"
#include "server/replication/evaluate.h"
#include "server/replication/operation.h"
#include "server/replication/peers.h"
#include "server/replication/record_log.h"
#include "server/replication/replicator.h"
#include "server/replication/request_table.h"

namespace atoll::replication {

// One moment by both clocks.
struct Moment {
  absl::Duration boot;
  absl::Time wall;
};

// What all partitions share.
struct Context {
  ReplicatorOptions options;
  store::Store* store = nullptr;
  Transport* transport = nullptr;
  const base::Clock* clock = nullptr;
  DiskTier* disk = nullptr;
  PeerTable* peers = nullptr;
  base::Incarnation self;
  uint64_t max_value_bytes = store::kMaxValueBytes;
  // Counters: relaxed, nothing else depends on them.
  std::atomic<uint64_t> pending_bytes{0};
  std::atomic<uint64_t> waiting{0};
  std::atomic<int> copying{0};
  std::atomic<uint64_t> next_session{1};
  std::atomic<bool> draining{false};
  std::atomic<uint64_t> hints_sent{0};
  std::atomic<uint64_t> hints_dropped{0};
  std::atomic<uint64_t> hints_applied{0};
  // The newest map whose effects on all partitions are complete.
  std::atomic<uint64_t> applied_map{0};
  // A bit for each partition that has something to do when time passes: it is set and cleared under
  // the partition's mutex, and read without it (relaxed: what is set just now has time until the
  // next tick).
  std::array<std::atomic<uint64_t>, base::kPartitionCount / 64> restless{};
};

// What to call when the lock is free, in order.
class Finish {
 public:
  void Add(absl::AnyInvocable<void()> call);
  void Answer(Done done, OperationResult result);
  void Run();

 private:
  // Either a call or an answer: no closure around it, and so no memory of its own.
  struct Item {
    absl::AnyInvocable<void()> call;
    Done done;
    OperationResult result;
  };
  std::vector<Item> items_;
};

enum class Role : uint8_t { kNone, kLearner, kReplica, kAdopting, kPrimary };

// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): in the order in which it is read.
class Partition {
 public:
  void Init(Context* context, base::PartitionId id);

  // --- Operations (execute.cc) ---
  // The quick way of a read: true if `found`, which the caller read from the store after
  // ReadTicket, may be answered. 0 is no ticket.
  uint64_t ReadTicket() const { return serving_.load(std::memory_order_acquire); }
  bool MayAnswer(uint64_t ticket, base::Version seen) const;
  void Execute(const Operation& operation, Done done, Finish* finish);
  // A write of a batch, at `now` or a little later. The sink's Answer and Refuse are called when
  // the mutex is free.
  void ExecuteWrite(const Operation& operation, Moment now, size_t index, WriteSink& sink,
                    Finish* finish);
  // Brings near what a read without a lock, or a write, will touch.
  void PrefetchForRead() const { __builtin_prefetch(&serving_); }
  void PrefetchForWrite() const;
  void Flush(base::NamespaceId ns, absl::Duration deadline, Done done, Finish* finish);
  absl::StatusOr<store::ScanChunk> Scan(uint64_t cursor, const store::ScanOptions& options);

  // --- Maps (placement.cc) ---
  void OnPlacement(const ring::PlacementMap& map, const ring::Placement& placement, Finish* finish);
  void OnLoaded(uint64_t load, absl::StatusOr<CopyState> copy, Finish* finish);

  // --- Messages (replica.cc, primary.cc, takeover.cc, learner_sync.cc) ---
  void OnMessage(base::Incarnation from, const internal::v1::PeerMessage& message, Finish* finish);
  void OnAppend(base::Incarnation from, const wire::Append& append, Finish* finish);
  void OnAppendAck(base::Incarnation from, const wire::AppendAck& ack, Finish* finish);
  void OnLinkUp(base::Incarnation to, Finish* finish);
  void RefreshLease();

  // --- Time (tick.cc) ---
  // Whether there is something to do when time passes.
  bool Restless() const;
  // Appends what is to be asked of the controller. `thorough`: also of a partition that is not
  // restless, and tells commit points; for when a peer is silent, and now and then (a member may be
  // gone from the map).
  // `now` or a moment later: one look at the clock for all partitions.
  void Tick(absl::Duration now, bool thorough, std::vector<internal::v1::IsrChange>* asks,
            Finish* finish);
  // The controller's answer; `answered` false: the outcome is unknown.
  void OnAsked(const internal::v1::IsrChange& change, bool answered, uint64_t map_version);

  // This node leaves, and is needed until another that stays serves in its place.
  bool WaitsForRelief() const;
  // The map names this node primary, and it does not serve (yet).
  bool Unserved() const;
  // Other copies that are to know what is read here.
  using Copies = absl::InlinedVector<base::Incarnation, 4>;
  Copies OtherCopies();
  CopyState State();
  void AddStats(ReplicationStats* stats);
  Role role();

 private:
  // A copy elsewhere, as the primary sees it.
  struct Member {
    base::Incarnation node;
    bool in_isr = false;
    // `acked` is what the member said in this epoch.
    bool known = false;
    uint64_t acked = 0;
    uint64_t sent = 0;
    uint64_t told_committed = 0;
    absl::Duration owed_since = absl::InfiniteDuration();
    absl::Duration sent_at = -absl::InfiniteDuration();
    absl::Duration rewound_at = -absl::InfiniteDuration();
    absl::Duration adopt_sent_at = -absl::InfiniteDuration();

    // As a learner.
    enum class Stage : uint8_t {
      kWaiting,
      kCopying,
      kCopied,   // every piece acknowledged; live records go on
      kJoining,  // counts for commits, so that it catches up
      kAsked,    // the controller was asked; counts until the outcome is known (R3)
    };
    Stage stage = Stage::kWaiting;
    uint64_t session = 0;
    uint64_t base_sequence = 0;
    uint64_t cursor = 0;
    uint32_t sent_number = 0;
    uint32_t acked_number = 0;
    bool all_sent = false;
    absl::Duration progress_at = -absl::InfiniteDuration();
    absl::Duration retry_at = -absl::InfiniteDuration();

    bool joined() const { return stage == Stage::kJoining || stage == Stage::kAsked; }
    bool has_session() const { return stage != Stage::kWaiting; }
  };

  struct Waiter {
    Done done;
    OperationResult result;
    absl::Duration deadline;
    bool write = false;
    bool ambiguous = false;  // the ISR shrank below min_isr meanwhile (R2)
  };

  struct Takeover {
    base::Incarnation old_primary;
    bool released = false;
    absl::Duration grace_until = -absl::InfiniteDuration();
    absl::Duration fetch_sent_at = -absl::InfiniteDuration();
    uint64_t fetched_after = 0;
  };

  struct Ask {
    bool in_flight = false;
    bool unknown = false;  // some answer never came
    uint64_t answered_at_map = 0;
    absl::Duration not_before = -absl::InfiniteDuration();
  };

  uint64_t last() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return log_.last(); }
  absl::Duration Now() const { return context_->clock->BootTime(); }
  const Rules& rules() const { return context_->options.rules; }
  bool Leads() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return role_ == Role::kPrimary || role_ == Role::kAdopting;
  }
  void Send(base::Incarnation to, const internal::v1::PeerMessage& message) {
    context_->transport->Send(to, message);
  }

  // execute.cc
  absl::Status Admit(const Operation& operation, absl::Duration now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status AdmitWrite() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Read(const Operation& operation, Done done, Finish* finish)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool ReplicaMayAnswer() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Fills the waiter's answer; returns the sequence that must be committed before it is given.
  uint64_t Write(const Operation& operation, absl::Time now, Waiter* waiter, Finish* finish)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The same for a request that was seen before; nothing if it was not.
  std::optional<uint64_t> AnswerRetry(const Operation& operation, absl::Time now, Waiter* waiter)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Applies to the store; may turn the effect into an erasure for want of room.
  bool ApplyLocally(const Operation& operation, base::Version version, Evaluation* evaluation)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Logs the record of sequence last() + 1 and sends it.
  void Replicate(uint64_t sequence, absl::FunctionRef<wire::Record()> make)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Wait(uint64_t sequence, Waiter waiter) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Answers when `sequence` is committed, at once if it is.
  void AnswerWhenCommitted(uint64_t sequence, Waiter waiter, Finish* finish)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Whether a committed answer, made complete, may be given: no read while the lease is missing.
  bool Settle(Waiter* waiter) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Answers what is settled; all else goes on waiting.
  void Complete(Waiter waiter, Finish* finish) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool LeaseHolds() const;

  // placement.cc
  Role RoleIn(const ring::Placement& placement) const;
  void StepDown(const ring::Placement& next, Finish* finish) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void FailWaiters(bool keep_writes, Finish* finish) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void StartEmpty() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DropFromDisk(Finish* finish) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Forget() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void BecomePrimary(bool fresh, Finish* finish) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void UpdateMembers(bool asks_void) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void MembersChanged(bool asks_void, Finish* finish) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  uint32_t MinIsr() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void RefreshLeaseLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SetServing(bool serving) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // primary.cc
  Member* FindMember(base::Incarnation node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SendTo(Member& member) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void TellCommitted(Member& member) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Progress(Member& member, uint64_t applied) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AdvanceCommit(Finish* finish) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AnswerCommitted(Finish* finish) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SetCommitted(uint64_t sequence) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void TruncateLog() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OnAppendAckLocked(base::Incarnation from, const wire::AppendAck& ack, Finish* finish)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What the log's records may take to reach a member: a large value that is sent again while it is
  // on its way would hold up the heartbeats behind it.
  absl::Duration TimeForLog() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool SilentMember(const Member& member, absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // replica.cc
  void OnForeignAppend(base::Incarnation from, const internal::v1::Append& append, Finish* finish)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OnAppendLocked(base::Incarnation from, const wire::Append& append, Finish* finish)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OnSnapshot(base::Incarnation from, const internal::v1::Snapshot& snapshot)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Applies it and counts its request; the log is the caller's.
  void ApplyRecord(const wire::Record& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ApplyEffect(const wire::Record& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AckAppend(base::Incarnation to, uint32_t epoch, internal::v1::AppendAck::Answer answer)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AckSnapshot(base::Incarnation to, const internal::v1::Snapshot& snapshot, uint32_t number)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // takeover.cc
  void TakeoverStep(Finish* finish) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool AdoptStep() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool TailStep() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Serve(Finish* finish) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OnAdopt(base::Incarnation from, const internal::v1::Adopt& adopt)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OnAdoptReply(base::Incarnation from, const internal::v1::AdoptReply& reply, Finish* finish)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OnFetchTail(base::Incarnation from, const internal::v1::FetchTail& fetch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OnTail(const internal::v1::Tail& tail, Finish* finish) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SendAdoptReply(base::Incarnation to, base::Epoch epoch, bool ready)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // learner_sync.cc
  void PumpLearner(Member& member) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void StartSession(Member& member) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndSession(Member& member) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SendPiece(Member& member) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OnSnapshotAck(base::Incarnation from, const internal::v1::SnapshotAck& ack)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void TryJoin(Member& member) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool ReadyToAsk(const Member& member) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // tick.cc
  bool AtRest() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Ticks are to come by, until SettleDown finds the partition at rest.
  void Stir() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SettleDown() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ExpireWaiters(absl::Duration now, Finish* finish) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ResendOwed(absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void TickLearners(absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AskForChanges(absl::Duration now, std::vector<internal::v1::IsrChange>* asks)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SettleAsk() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Context* context_ = nullptr;
  base::PartitionId id_;

  // The map names this node primary, or its writes of before still wait: ticks pass by the rest
  // without their lock.
  std::atomic<bool> leads_{false};
  // For reads that take no lock. Epoch while this node serves as primary, else 0.
  std::atomic<uint64_t> serving_{0};
  // As committed_.
  std::atomic<uint64_t> visible_{0};
  // Nanoseconds of boot time; INT64_MAX: no lease is needed.
  std::atomic<int64_t> lease_until_ns_{0};

  mutable base::Mutex mu_;
  Role role_ ABSL_GUARDED_BY(mu_) = Role::kNone;
  ring::Placement placement_ ABSL_GUARDED_BY(mu_);
  uint32_t replication_factor_ ABSL_GUARDED_BY(mu_) = 1;
  // The map version by which the present role and epoch became known.
  uint64_t seated_at_map_ ABSL_GUARDED_BY(mu_) = 0;
  // The last primary but this node, in any map seen.
  base::Incarnation last_primary_ ABSL_GUARDED_BY(mu_);

  // The copy.
  bool has_copy_ ABSL_GUARDED_BY(mu_) = false;
  // The load that brings the copy from disk, 0 for none: until it is done nobody serves the copy,
  // whatever terms begin meanwhile.
  uint64_t load_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t last_load_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t history_ ABSL_GUARDED_BY(mu_) = 0;
  uint32_t reset_epoch_ ABSL_GUARDED_BY(mu_) = 0;
  RecordLog log_ ABSL_GUARDED_BY(mu_);
  uint64_t committed_ ABSL_GUARDED_BY(mu_) = 0;
  RequestTable requests_ ABSL_GUARDED_BY(mu_);

  // As primary.
  absl::InlinedVector<Member, 2> members_ ABSL_GUARDED_BY(mu_);
  std::multimap<uint64_t, Waiter> waiters_ ABSL_GUARDED_BY(mu_);  // by sequence
  uint64_t pending_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  Takeover takeover_ ABSL_GUARDED_BY(mu_);
  Ask ask_ ABSL_GUARDED_BY(mu_);
  // Another node knows a higher epoch: nothing is served until the map tells more (R4).
  bool deposed_ ABSL_GUARDED_BY(mu_) = false;

  // As learner.
  uint64_t session_ ABSL_GUARDED_BY(mu_) = 0;
  uint32_t session_number_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace atoll::replication
