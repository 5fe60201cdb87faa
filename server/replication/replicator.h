// Carries out operations on the partitions that this node is primary of, replicates them, and keeps
// this node's copies of the others: the node's end of docs/consistency.md (R1-R9).
//
// Thread safety: all methods may be called by any thread. No lock is held while a Done is called.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "atoll/internal/v1/peer.pb.h"
#include "base/clock.h"
#include "rpc/wire/peer_messages.h"
#include "server/cluster/cluster_view.h"
#include "server/replication/disk_tier.h"
#include "server/replication/operation.h"
#include "server/replication/rules.h"
#include "server/store/store.h"

namespace atoll::replication {

// Sends messages to other nodes, in order per node, best effort. Implemented over PeerService.Link,
// by fakes in tests and by the simulator. Send never blocks and never calls back.
class Transport {
 public:
  virtual ~Transport() = default;
  // Dropped if the link is down or its bounded queue is full (the state machines resend).
  virtual void Send(base::Incarnation to, const internal::v1::PeerMessage& message) = 0;
  // The same for what carries the load.
  virtual void SendAppend(base::Incarnation to, const wire::AppendToSend& append) = 0;
  virtual void SendAck(base::Incarnation to, const wire::AppendAck& ack) = 0;
  // The same for what is in no hurry and may be lost: it goes along with what leaves, makes nothing
  // leave early, and is dropped where much waits. False: it was dropped.
  virtual bool SendAlong(base::Incarnation to, const internal::v1::PeerMessage& message) = 0;
  // Between them what is sent, by this thread or any, may be kept back, so that it leaves together.
  virtual void Hold() {}
  virtual void Release() {}
};

// Whom a Transport tells what came in.
class Receiver {
 public:
  virtual ~Receiver() = default;
  // In order per sender: what came together.
  virtual void OnItems(base::Incarnation from, absl::Span<const wire::PeerItem> items) = 0;
  // A link to the node was made anew: everything unacknowledged is sent again.
  virtual void OnLinkUp(base::Incarnation to) = 0;
};

struct ReplicatorOptions {
  uint32_t min_isr = 1;
  absl::Duration heartbeat = absl::Milliseconds(200);
  absl::Duration silent_after = absl::Milliseconds(300);  // R3
  absl::Duration lease = absl::Seconds(1);
  absl::Duration grace = absl::Milliseconds(1200);
  // Records accepted and not yet committed, over all partitions; above it writes get
  // RESOURCE_EXHAUSTED.
  uint64_t max_pending_bytes = uint64_t{64} << 20;
  // For tests.
  Rules rules;
};

struct ReplicationStats {
  uint32_t primaries = 0;
  uint32_t replicas = 0;
  uint32_t learners = 0;
  uint32_t under_replicated = 0;
  uint64_t lag_records = 0;
  absl::Duration lag;
  // Entries told to replicas to be warm; those that no link took; and those that others told of and
  // that this node keeps by it.
  uint64_t warm_hints_sent = 0;
  uint64_t warm_hints_dropped = 0;
  uint64_t warm_hints_applied = 0;
};

class Replicator : public cluster::ClusterListener, public Receiver {
 public:
  // What it borrows outlives it. `disk` is nullptr without a data folder. The caller adds it to
  // `view` as a listener, and removes it before its end.
  static std::unique_ptr<Replicator> Create(const ReplicatorOptions& options, store::Store* store,
                                            cluster::ClusterView* view, Transport* transport,
                                            const base::Clock* clock, DiskTier* disk = nullptr);
  ~Replicator() override = default;

  // FAILED_PRECONDITION with reason WRONG_OWNER if this node is not the partition's primary (or,
  // for a BOUNDED read, has no copy that may answer); UNAVAILABLE while a takeover is under way.
  // Reads of committed entries complete inline.
  virtual void Execute(const Operation& operation, Done done) = 0;
  // Reads of many keys; `done` is called once per operation with its place.
  using BatchDone = absl::AnyInvocable<void(size_t index, OperationResult)>;
  virtual void ExecuteReads(absl::Span<const Operation> operations, BatchDone done) = 0;
  // What of these keys can be answered at once, by one look at the store for all.
  virtual void ReadNow(absl::Span<const store::Key> keys, const store::FindOptions& options,
                       ReadSink& sink) = 0;
  // Writes, in order; what goes to other nodes leaves as one message to each.
  virtual void Write(absl::Span<const Operation> operations, WriteSink& sink) = 0;
  // Between them, records for other nodes are kept back, so that several calls of Write are one
  // message to each.
  virtual void Hold() = 0;
  virtual void Release() = 0;
  // Flushes a namespace in one partition.
  virtual void Flush(base::PartitionId partition, base::NamespaceId ns, absl::Duration deadline,
                     absl::AnyInvocable<void(absl::Status)> done) = 0;
  // A page of a partition of which this node is primary. An entry whose newest value is not
  // committed yet is listed without the value.
  virtual absl::StatusOr<store::ScanChunk> Scan(base::PartitionId partition, uint64_t cursor,
                                                const store::ScanOptions& options) = 0;

  // Time passes: silence, learners, deadlines. The node calls it every 20 ms or so.
  virtual void Tick() = 0;

  // Refuses new operations with UNAVAILABLE and waits, at most so long, until those under way are
  // done.
  virtual absl::Status Drain(absl::Duration timeout) = 0;
  virtual ReplicationStats Stats() const = 0;
  // Partitions of the newest map without a primary that serves, as far as this node has heard.
  virtual uint32_t Unserved() const = 0;
  // Every copy that this node holds: what the warm tier writes beside them at a clean stop.
  virtual std::vector<CopyState> Copies() const = 0;
};

}  // namespace atoll::replication
