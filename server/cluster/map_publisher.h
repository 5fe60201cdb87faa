// The controller's office: campaigns for the key, and, while it holds it, runs the Controller and
// publishes its maps by compare-and-swap, fenced by the key's revision. Internal to cluster/.
//
// Thread safety: none; the membership's thread. Blocks on the coordinator.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/cluster/cluster_view.h"
#include "server/cluster/controller.h"
#include "server/cluster/coordinator.h"
#include "server/cluster/keys.h"

namespace atoll::cluster {

struct StoredMap {
  MapPtr map;
  int64_t revision = 0;  // of its key; 0: there is none
};

// DATA_LOSS if the bytes are not a map.
absl::StatusOr<MapPtr> ParseMap(const std::string& bytes);

class MapPublisher {
 public:
  MapPublisher(Keys keys, ControllerOptions options, internal::v1::ControllerRecord self,
               Coordinator* coordinator, const base::Clock* clock);

  bool in_office() const { return fence_ != 0; }
  // Tries to take the key, which must seem free. False if another one has it.
  absl::StatusOr<bool> Campaign(LeaseId lease);
  // The key was seen with this create_revision (0: deleted). Ends the office if it is not ours.
  void OnControllerKey(int64_t create_revision, int64_t seen_at);
  void Resign() { fence_ = 0; }

  // Before each round of inputs: reads the newest map if what is in force is not known. A store
  // that has no map any more is given `last_known` again.
  absl::Status Prepare(const MapPtr& last_known);
  void SetNodes(const std::vector<Registration>& nodes) { controller_.SetNodes(nodes); }
  void Ask(const internal::v1::AskControllerRequest& request) { controller_.Ask(request); }
  void OnCoordinatorBack() { controller_.Quiet(); }

  // Decides and publishes: the newest map, if there is a newer one than the last call gave.
  // FAILED_PRECONDITION: out of office. UNAVAILABLE: what was decided may or may not be in force.
  absl::StatusOr<std::optional<StoredMap>> Step();
  const ring::PlacementMap& current() const { return controller_.current(); }

 private:
  const Keys keys_;
  const internal::v1::ControllerRecord self_;
  Coordinator* const coordinator_;
  Controller controller_;
  // create_revision of the key while we hold it, else 0.
  int64_t fence_ = 0;
  int64_t map_revision_ = 0;
  bool reload_ = true;
};

}  // namespace atoll::cluster
