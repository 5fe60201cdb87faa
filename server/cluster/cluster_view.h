// The cluster as one node sees it: the placement map, the namespaces, and whom to ask for changes.
//
// Implemented by cluster::Membership over a Coordinator; tests have a fake.
// Thread safety: every method may be called by any thread. Listeners are called on the membership's
// own thread, one at a time, in order of map version, with no lock held.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "atoll/internal/v1/peer.pb.h"
#include "atoll/v1/admin.pb.h"
#include "base/ids.h"
#include "ring/placement_map.h"

namespace atoll::cluster {

using MapPtr = std::shared_ptr<const ring::PlacementMap>;

// A namespace as operations need it. Immutable.
struct NamespaceInfo {
  std::string name;
  base::NamespaceId id;
  v1::NamespaceSettings settings;
};
using NamespacePtr = std::shared_ptr<const NamespaceInfo>;

class ClusterListener {
 public:
  virtual ~ClusterListener() = default;
  virtual void OnMap(const MapPtr& map) = 0;
  // Any namespace was made, changed or dropped.
  virtual void OnNamespaces() {}
};

class ClusterView {
 public:
  virtual ~ClusterView() = default;

  // This process.
  virtual base::Incarnation self() const = 0;
  virtual const std::string& node_name() const = 0;

  // The newest map; never nullptr (version 0, no partitions, before the first).
  virtual MapPtr map() const = 0;
  // Listeners outlive the view or are removed first. Add calls OnMap with the current map soon
  // after.
  virtual void AddListener(ClusterListener* listener) = 0;
  virtual void RemoveListener(ClusterListener* listener) = 0;

  // nullptr if there is none. `default` always is.
  virtual NamespacePtr FindNamespace(std::string_view name) const = 0;
  virtual NamespacePtr FindNamespace(base::NamespaceId id) const = 0;
  virtual std::vector<NamespacePtr> namespaces() const = 0;

  // Sends a request to the controller (this node or another) and calls `done`, on any thread, when
  // the map has what was decided, or UNAVAILABLE / DEADLINE_EXCEEDED. The outcome of the latter is
  // unknown.
  using AskDone = absl::AnyInvocable<void(absl::StatusOr<internal::v1::AskControllerResponse>)>;
  virtual void AskController(internal::v1::AskControllerRequest request, AskDone done) = 0;

  virtual bool coordinator_up() const = 0;
  virtual bool is_controller() const = 0;
  // Whoever is, as far as this node knows; 0: nobody.
  virtual base::Incarnation controller() const = 0;
};

}  // namespace atoll::cluster
