// One watch in etcd: a thread that hands on what the stream brings and takes it up again. Internal
// to cluster/.
#pragma once

#include <memory>
#include <string>

#include "server/cluster/etcd_client.h"

namespace atoll::cluster {

// `coordinator` (for snapshots), `client` and `queue`, which is served, outlive the watch.
std::unique_ptr<Watch> MakeEtcdWatch(Coordinator* coordinator, EtcdClient* client,
                                     grpc::CompletionQueue* queue, std::string prefix,
                                     int64_t from_revision, absl::Duration retry_after,
                                     Coordinator::WatchCallback callback);

}  // namespace atoll::cluster
