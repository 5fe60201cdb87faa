// The coordinator in etcd (v3), over gRPC.
//
// Calls go to one of the endpoints, the next one after a failure. A read that fails is tried once
// at each endpoint; a Txn is not repeated, as it may have been carried out. Each watch has a thread
// that hands on what its stream brings, joins a new one after an outage from where it was, and
// begins with a snapshot where etcd has compacted that history, or has become another etcd.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/cluster/coordinator.h"

namespace grpc {
class CompletionQueue;
}

namespace atoll::cluster {

struct EtcdOptions {
  std::vector<std::string> endpoints;  // host:port
  // Empty: no authentication.
  std::string user;
  std::string password;
  // PEM files; `tls` with no CA: the system's roots.
  bool tls = false;
  std::string ca_file;
  std::string certificate_file;
  std::string key_file;
  absl::Duration call_timeout = absl::Seconds(2);
  absl::Duration retry_after = absl::Milliseconds(200);  // of a broken watch
  // Of the watches' streams; somebody serves it, or will before there is a watch, and it outlives
  // them. nullptr: one with a thread of its own.
  grpc::CompletionQueue* queue = nullptr;
  absl::Status Validate() const;
};

// Connects when first used: an etcd that is down is not an error here.
absl::StatusOr<std::unique_ptr<Coordinator>> MakeEtcdCoordinator(const EtcdOptions& options);

}  // namespace atoll::cluster
