// A node: everything that atolld is made of, wired, started and stopped in order.
//
// Start: folder, store, coordinator, config, warm tier; membership, replication, routing, services
// (made, not yet told anything); listeners, so that the ports are known; then the node registers
// and waits for its first map. Stop: not serving; roles handed over; operations under way drained;
// listeners; membership; threads; the clean stop of the warm tier last.
//
// Thread safety: Start and Stop from one thread.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/admin/figures.h"
#include "server/options.h"

namespace atoll::server {

class Node {
 public:
  // Returns when the node serves (its map may still be without owners: other nodes to wait for).
  // Options were validated. CANCELLED if `give_up` becomes true while it waits for the coordinator.
  static absl::StatusOr<std::unique_ptr<Node>> Start(const NodeOptions& options,
                                                     const std::atomic<bool>& give_up);
  virtual ~Node() = default;

  // Name and address of every listener, as others should dial it.
  struct Address {
    std::string name;
    std::string address;
  };
  virtual std::vector<Address> addresses() const = 0;
  virtual admin::NodeFigures Figures() const = 0;
  // Within options.stop_timeout, or a little more. What could not be done is in the status; the
  // node has stopped all the same.
  virtual absl::Status Stop() = 0;
};

}  // namespace atoll::server
