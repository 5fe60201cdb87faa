// What this node knows of the others by heartbeats: who is silent, whose acknowledgements carry a
// lease (R5), and when this node last acknowledged whom (the grace period of a new primary).
//
// A state machine apart from I/O: time and messages come in, what to send goes out.
// Thread safety: any thread. Its lock is a leaf: taken under a partition's.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "atoll/internal/v1/peer.pb.h"
#include "base/ids.h"
#include "base/mutex.h"

namespace atoll::replication {

struct PeerTimes {
  absl::Duration heartbeat = absl::Milliseconds(200);
  absl::Duration silent_after = absl::Milliseconds(300);
  absl::Duration lease = absl::Seconds(1);
  absl::Duration grace = absl::Milliseconds(1200);
};

class PeerTable {
 public:
  explicit PeerTable(const PeerTimes& times) : times_(times) {}

  // A map was received: its version goes into acknowledgements from now on, `peers` (without this
  // node) are the living, and `leaving` of all nodes those that leave. Must come before the map's
  // effects on partitions: an acknowledgement given before a deposing map is counted by the grace
  // period, one given after it by nobody.
  void OnMap(uint64_t version, absl::Span<const base::Incarnation> peers,
             absl::Span<const base::Incarnation> leaving, absl::Duration now);
  // The effects of the map are complete.
  void MapApplied(uint64_t version);

  // Heartbeats to send now. `now` moves on; a caller that was itself away for long is not to take
  // others' silence for theirs.
  std::vector<base::Incarnation> Due(absl::Duration now);
  void OnLinkUp(base::Incarnation peer);
  // `unserved`: see Heartbeat; counted when the effects of the newest applied map were complete.
  internal::v1::Heartbeat MakeHeartbeat(absl::Duration now, absl::Time wall, uint32_t unserved);

  void Heard(base::Incarnation from, absl::Duration now);
  // The acknowledgement to send back.
  internal::v1::HeartbeatAck OnHeartbeat(base::Incarnation from,
                                         const internal::v1::Heartbeat& beat, absl::Duration now,
                                         absl::Time wall);
  // True if it renewed a lease.
  bool OnAck(base::Incarnation from, const internal::v1::HeartbeatAck& ack, absl::Duration now);

  // R3: a heartbeat stays unacknowledged for silent_after and nothing else was heard meanwhile, or
  // unacknowledged for the lease, heard or not (a network cut one way).
  bool Silent(base::Incarnation peer, absl::Duration now) const;
  // It said so.
  bool TakesWarmHints(base::Incarnation peer) const;
  // Of the living.
  bool AnySilent(absl::Duration now) const;
  // The node, or this one, hands over what it has before its end.
  bool Leaving(base::Incarnation node) const;
  // How many of its partitions the node did not serve when it last told, if that was within the
  // lease and after it had applied map `since`.
  std::optional<uint32_t> Unserved(base::Incarnation node, uint64_t since,
                                   absl::Duration now) const;
  // Nothing was acknowledged or heard for the grace period.
  std::vector<base::Incarnation> Suspects(absl::Duration now) const;
  // When the lease that the peer gave ends; -infinity if it gave none.
  absl::Duration LeaseUntil(base::Incarnation peer) const;
  // The map version that the acknowledgement of that lease carried.
  uint64_t LeaseMapVersion(base::Incarnation peer) const;
  // When this node last acknowledged a heartbeat of it; -infinity if never.
  absl::Duration LastAcknowledged(base::Incarnation peer) const;

 private:
  struct Peer {
    bool live = false;
    absl::Duration beat_at = -absl::InfiniteDuration();       // last heartbeat sent
    absl::Duration unacked_since = absl::InfiniteDuration();  // the oldest one that is owed
    absl::Duration heard_at = -absl::InfiniteDuration();
    absl::Duration counted_sent = -absl::InfiniteDuration();  // sent time of the acked heartbeat
    uint64_t counted_map = 0;
    absl::Duration acknowledged_at = -absl::InfiniteDuration();
    uint32_t unserved = 0;  // as told when it was last acknowledged
    uint64_t unserved_map = 0;
    bool takes_warm_hints = false;
  };

  bool IsSilent(const Peer& peer, absl::Duration now) const;

  const PeerTimes times_;
  mutable base::Mutex mu_;
  absl::flat_hash_map<base::Incarnation, Peer> peers_ ABSL_GUARDED_BY(mu_);
  std::vector<base::Incarnation> leaving_ ABSL_GUARDED_BY(mu_);
  uint64_t map_version_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t applied_version_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Duration last_tick_ ABSL_GUARDED_BY(mu_) = -absl::InfiniteDuration();
};

}  // namespace atoll::replication
