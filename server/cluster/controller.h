// Decides the next placement map from what happened: nodes that came and went, what primaries and
// operators ask, and time. No I/O: membership.h feeds it and publishes what it decides.
//
// Rules (docs/consistency.md): nothing is declared dead for a while after Start or Quiet; an ISR is
// never emptied by absence; a primary's request counts only with the map's own (epoch,
// isr_version) (R3); a partition that nobody holds is revived from a clean disk (R9), or reset once
// every last member is back without one. What a dead or leaving node had is kept for it for a
// while, so that a restart moves nothing. Every change of a partition's ISR or learners raises its
// isr_version.
//
// An ISR shrinks by a death only where somebody is registered who holds the partition and, if the
// dead one was stopped, is not being stopped too. Otherwise it stays whole: the disk of any one of
// its members will do, and who is not registered may be dead as well. So may be, for a while, who
// was registered when Start or Quiet came: the lease of a process that ended meanwhile runs on.
//
// Thread safety: none; one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "atoll/internal/v1/peer.pb.h"
#include "atoll/internal/v1/storage.pb.h"
#include "base/clock.h"
#include "base/ids.h"
#include "ring/placement.h"
#include "ring/placement_map.h"

namespace atoll::cluster {

// A copy that a standalone node has on disk: its first map takes it up.
struct DiskCopyInfo {
  base::PartitionId partition;
  base::Epoch epoch;
  uint64_t history = 0;
  uint32_t reset_epoch = 0;
};

struct ControllerOptions {
  std::string cluster = "atoll";
  std::string cluster_id;
  uint32_t replication_factor = 2;
  // The first map waits for so many nodes.
  uint32_t initial_nodes = 1;
  // No death is declared for so long after Start and Quiet: the TTL of a node's lease, in which
  // every living node registers again.
  absl::Duration quiet = absl::Seconds(3);
  // Copies of a node that died or leaves are replaced only after this.
  absl::Duration re_replicate_after = absl::Seconds(10);
  // R9: how long the last primary has the first claim to be revived.
  absl::Duration revive_wait = absl::Seconds(10);
  // Between two balancing steps, once one has handed roles over: a takeover should have ended
  // before the old primary's copy is dropped.
  absl::Duration settle = absl::Seconds(1);
  uint32_t max_learners_per_node = 256;
  // Only for a node that stands alone.
  std::vector<DiskCopyInfo> standalone_copies;
};

// A living node, as it registered.
struct Registration {
  internal::v1::NodeDescriptor descriptor;
  int64_t revision = 0;  // of the registration: the newest one of a data folder is the living one
};

class Controller {
 public:
  // `seed` is random; `clock` outlives it.
  Controller(ControllerOptions options, const base::Clock* clock, uint64_t seed);

  // From the newest map, which has no partitions if there was none.
  void Start(ring::PlacementMap current);
  // The coordinator was away: registrations may be missing.
  void Quiet();
  // Every living node.
  void SetNodes(const std::vector<Registration>& nodes);
  // Carried out, or refused, by the next Next.
  void Ask(const internal::v1::AskControllerRequest& request);

  // The map to publish, its version raised; nothing if it stays as it is. Time matters: call it
  // after every input and a few times a second.
  std::optional<ring::PlacementMap> Next();
  // It was published. Inputs since Next are kept; if it is not called, they are all considered
  // again by the next Next, but for the requests, which are lost.
  void Committed(ring::PlacementMap map);

  const ring::PlacementMap& current() const { return current_; }
  // Partitions that were reset since Start (R9), as published.
  uint64_t resets() const { return resets_; }

 private:
  bool IsLiving(base::Incarnation node) const { return living_.contains(node); }
  // Living, and not by the word of a lease alone that the outage may have prolonged.
  bool MayStepIn(base::Incarnation node) const {
    return IsLiving(node) && (clock_->BootTime() >= quiet_until_ || !unproven_.contains(node));
  }
  std::optional<ring::PlacementMap> FirstMap();
  void Join(ring::PlacementMap& map);
  void MarkAllDead(ring::PlacementMap& map, const std::vector<base::Incarnation>& dead) const;
  void DeclareDeaths(ring::PlacementMap& map);
  void ApplyStates(ring::PlacementMap& map);
  void ApplyRequests(ring::PlacementMap& map);
  void ApplyIsrChange(base::Incarnation from, const internal::v1::IsrChange& change,
                      ring::PlacementMap& map) const;
  void SeatOrphans(ring::PlacementMap& map);
  bool SeatLivingMember(ring::PlacementMap& map, ring::Placement& placement) const;
  // The living node that came up where `node` was: on its data folder, or else by its name.
  std::optional<base::Incarnation> SuccessorOf(const ring::PlacementMap& map,
                                               base::Incarnation node) const;
  void Balance(ring::PlacementMap& map);
  std::vector<base::Incarnation> Held(const ring::PlacementMap& map) const;
  uint64_t Random();

  const ControllerOptions options_;
  const base::Clock* const clock_;
  uint64_t random_state_;

  ring::PlacementMap current_;
  absl::Duration quiet_until_;
  std::map<base::Incarnation, Registration> living_;
  // Those that were registered already when Start or Quiet came; the next SetNodes says who.
  std::set<base::Incarnation> unproven_;
  bool unproven_unknown_ = true;
  // Replaced while it was quiet: looked at again, together with the deaths, when that is over.
  std::set<base::Incarnation> replaced_in_quiet_;
  bool deaths_declared_ = false;  // by the last Next
  // Incarnation of each data folder that was seen, so that its successor ends it.
  std::map<base::Incarnation, std::string> folders_;
  std::vector<internal::v1::AskControllerRequest> requests_;
  std::set<base::Incarnation> leaving_;
  // When a node was seen to be gone or leaving.
  std::map<base::Incarnation, absl::Duration> gone_since_;
  // Of each partition without a primary; kInfinite otherwise.
  std::vector<absl::Duration> orphan_since_;
  absl::Duration settled_at_;
  // Whether the last balancing found nothing to do, on which map and with whom held.
  uint64_t balanced_version_ = 0;
  std::vector<base::Incarnation> balanced_held_;
  bool balance_changed_roles_ = false;
  uint64_t resets_ = 0;
  uint64_t resets_in_next_ = 0;
};

}  // namespace atoll::cluster
