// Where the client sends each partition: the pushed map, mended by what nodes answer.
//
// Thread safety: all methods.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "base/ids.h"
#include "base/mutex.h"
#include "ring/placement_map.h"

namespace atoll::client {

class RouteTable {
 public:
  // Takes a pushed map. A mend that is newer than the map's entry stays; a map of another cluster
  // replaces everything. False if it is older than the one there.
  bool Apply(std::shared_ptr<const ring::PlacementMap> map) ABSL_LOCKS_EXCLUDED(mu_);
  // Takes one partition's entry out of a refusal. False if the table had it, or a newer one.
  bool Mend(const ring::DecodedPlacement& entry) ABSL_LOCKS_EXCLUDED(mu_);

  // Changes with every entry that changes. Acquire: who sees it sees what it counts.
  uint64_t version() const { return version_.load(std::memory_order_acquire); }

  // The primary's address; empty if there is none, or none is known.
  std::string AddressOf(base::PartitionId partition) const ABSL_LOCKS_EXCLUDED(mu_);
  // Addresses of the nodes that can be asked for anything.
  std::vector<std::string> Addresses() const ABSL_LOCKS_EXCLUDED(mu_);
  // OK if every partition has an owner with an address; else UNAVAILABLE tells what is missing.
  absl::Status Ready() const ABSL_LOCKS_EXCLUDED(mu_);
  // The last pushed one; nullptr before the first.
  std::shared_ptr<const ring::PlacementMap> map() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Seat {
    base::Epoch epoch;
    uint32_t isr_version = 0;
    base::Incarnation primary;
  };

  static bool Newer(const ring::Placement& placement, const Seat& seat);

  // Counted up behind each change, under the lock.
  std::atomic<uint64_t> version_{1};
  mutable base::Mutex mu_;
  std::shared_ptr<const ring::PlacementMap> map_ ABSL_GUARDED_BY(mu_);
  std::vector<Seat> seats_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<base::Incarnation, std::string> addresses_ ABSL_GUARDED_BY(mu_);
};

}  // namespace atoll::client
