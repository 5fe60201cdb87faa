// The Transport between nodes: for each other node process one outgoing PeerService.Link, kept up,
// on which everything for it goes in order; and the sink of the Links that come in.
//
// Whoever sends records only queues; a thread of the links' completion queue writes. One write is
// under way on a link; all that queues meanwhile, or while anybody holds, goes out as the next.
// While a message with records is unanswered, no other one leaves but with answers to the peer's:
// an idle link sends at once, and the messages of a busy one get larger. A link that breaks is made
// anew with a back-off, and the receiver is told (OnLinkUp), since what was under way is lost.
// While a link is down, and beyond its bounded queue, messages are dropped.
//
// Thread safety: all methods may be called by any thread. Send may be called under a partition's
// mutex; the receiver is called with no lock held. Order: construct, SetReceiver, add to the
// cluster view as a listener before the replicator, ..., remove from the view, Stop, destroy; the
// receiver and the queue, which is served, outlive Stop.
#pragma once

#include <grpcpp/security/credentials.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "atoll/internal/v1/peer.pb.h"
#include "base/mutex.h"
#include "rpc/completion_queue.h"
#include "server/cluster/cluster_view.h"
#include "server/replication/link_sink.h"
#include "server/replication/read_epochs.h"
#include "server/replication/replicator.h"

namespace atoll::replication {

// What a message on a Link may take: a record with the largest value. A server of PeerService
// must accept as much.
inline constexpr int kMaxLinkMessageBytes = 80 << 20;

struct PeerLinksOptions {
  base::Incarnation self;
  // Of a listener in the members' descriptors.
  std::string listener = "peer";
  std::shared_ptr<grpc::ChannelCredentials> credentials;  // nullptr: insecure
  // Not nullptr. That of the threads which serve the peers' calls, so that one thread takes records
  // in, writes acknowledgements, and takes those of others.
  grpc::CompletionQueue* queue = nullptr;
  // Queued for one node, above what is being written.
  uint64_t max_queue_bytes = uint64_t{160} << 20;
  // A message stops growing here; one record may be larger.
  uint64_t batch_bytes = 1 << 20;
  // An answer that takes longer (a value of 64 MiB, a link that was made anew) holds nothing up any
  // more. Whoever holds next looks: ticks do.
  absl::Duration patience = absl::Milliseconds(10);
};

class PeerLinks final : public Transport, public LinkSink, public cluster::ClusterListener {
 public:
  explicit PeerLinks(const PeerLinksOptions& options);
  ~PeerLinks() override;

  void SetReceiver(Receiver* receiver) { receiver_ = receiver; }
  // Breaks every link and waits until gRPC is done with them. Safe to repeat.
  void Stop();

  void Send(base::Incarnation to, const internal::v1::PeerMessage& message) override;
  void SendAppend(base::Incarnation to, const wire::AppendToSend& append) override;
  void SendAck(base::Incarnation to, const wire::AppendAck& ack) override;
  bool SendAlong(base::Incarnation to, const internal::v1::PeerMessage& message) override;
  void Hold() override;
  void Release() override;
  absl::Status OnHello(const internal::v1::LinkHello& hello) override;
  absl::Status OnMessages(base::Incarnation from, wire::Input& input) override;
  void OnMap(const cluster::MapPtr& map) override;

  // Links that are up.
  int up() const;
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }
  // Links and tables of them that are still in memory: those in use, and what was let go of while
  // somebody was looking.
  size_t kept() const ABSL_LOCKS_EXCLUDED(mu_);
  // Messages written.
  uint64_t written() const { return written_.load(std::memory_order_relaxed); }

 private:
  class Link;
  struct Acks;
  // Few: a list is searched faster than a table.
  using Routes = std::vector<std::pair<base::Incarnation, Link*>>;

  void Gone(Link* link);
  // nullptr: the node is not in the map. While the caller reads (`readers_`).
  Link* Find(base::Incarnation to) const;
  void PublishLocked(Routes routes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  template <typename Message>
  void SendAny(base::Incarnation to, const Message& message);
  // Whether a message that was just queued may wait for a Release.
  bool KeepBack();

  const PeerLinksOptions options_;
  Receiver* receiver_ = nullptr;
  // Sequentially consistent: who queues marks, then looks for holders; who releases counts down,
  // then looks for a mark. One of the two sees the other, and nothing stays behind.
  std::atomic<int> holders_{0};
  std::atomic<bool> kept_back_{false};
  std::atomic<uint64_t> written_{0};
  mutable base::Mutex mu_;
  base::CondVar gone_;
  std::string cluster_id_ ABSL_GUARDED_BY(mu_);
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  // Links that gRPC is not done with, those of `routes_` among them.
  absl::flat_hash_map<const Link*, std::shared_ptr<Link>> links_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<const Routes> published_ ABSL_GUARDED_BY(mu_);
  // What `published_` holds: of the nodes that are wanted. Whoever sends takes no lock to find its
  // link, but reads; links and routes that are let go of are destroyed once nobody reads them.
  std::atomic<const Routes*> routes_{nullptr};
  mutable ReadEpochs readers_;        // Retire and Reclaim under mu_
  std::atomic<uint64_t> dropped_{0};  // relaxed: a counter
};

}  // namespace atoll::replication
