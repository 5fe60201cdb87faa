// One watch in etcd: a thread that reads the stream and takes it up again. Internal to cluster/.
#pragma once

#include <memory>
#include <string>

#include "server/cluster/etcd_client.h"

namespace atoll::cluster {

// `coordinator` (for snapshots) and `client` outlive the watch.
std::unique_ptr<Watch> MakeEtcdWatch(Coordinator* coordinator, EtcdClient* client,
                                     std::string prefix, int64_t from_revision,
                                     absl::Duration retry_after,
                                     Coordinator::WatchCallback callback);

}  // namespace atoll::cluster
