// Follows the placement map: a stream from one node, and from the next when that one fails.
//
// Thread safety: Start and Stop by the owner; OnMap is called on a poller's thread, one at a time,
// in order of version within one stream.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "base/mutex.h"
#include "client/nodes.h"
#include "ring/placement_map.h"

namespace atoll::client {

class TopologyWatch {
 public:
  using OnMap = absl::AnyInvocable<void(std::shared_ptr<const ring::PlacementMap>)>;

  TopologyWatch(Nodes* nodes, OnMap on_map);
  ~TopologyWatch();
  TopologyWatch(const TopologyWatch&) = delete;
  TopologyWatch& operator=(const TopologyWatch&) = delete;

  void Start();
  // Returns when gRPC has given back everything. Not from a poller; before Nodes::Stop.
  void Stop();

  // Why the last stream ended; OK if none has.
  absl::Status last_error() const;

 private:
  struct Session;
  class Event;

  void Connect() ABSL_LOCKS_EXCLUDED(mu_);
  void OnStarted(bool ok) ABSL_LOCKS_EXCLUDED(mu_);
  void OnRead(bool ok) ABSL_LOCKS_EXCLUDED(mu_);
  void OnFinished(bool ok) ABSL_LOCKS_EXCLUDED(mu_);

  Nodes* const nodes_;
  // Used on the poller's thread only.
  OnMap on_map_;

  mutable base::Mutex mu_;
  base::CondVar idle_;
  std::unique_ptr<Session> session_ ABSL_GUARDED_BY(mu_);
  size_t next_candidate_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Duration backoff_ ABSL_GUARDED_BY(mu_) = absl::ZeroDuration();
  absl::Status last_error_ ABSL_GUARDED_BY(mu_);
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace atoll::client
