#include <utility>

#include "absl/strings/str_cat.h"
#include "base/ids.h"
#include "server/cluster/descriptor.h"
#include "server/cluster/keys.h"
#include "server/cluster/membership.h"

namespace atoll::cluster {
namespace {

constexpr uint32_t kDefaultReplicationFactor = 2;

absl::Status Contradiction(std::string_view setting, uint64_t wanted, const std::string& cluster,
                           uint64_t stored) {
  return absl::FailedPreconditionError(absl::StrCat(std::string(setting), ": ", wanted,
                                                    ", but cluster \"", cluster,
                                                    "\" was made with ", stored));
}

absl::StatusOr<internal::v1::ClusterConfig> Check(const KeyValue& kv,
                                                  const ConfigRequest& request) {
  internal::v1::ClusterConfig config;
  if (!config.ParseFromString(kv.value)) {
    return absl::DataLossError(absl::StrCat(kv.key, ": cannot be read"));
  }
  if (request.replication_factor != 0 &&
      request.replication_factor != config.replication_factor()) {
    return Contradiction("replication_factor", request.replication_factor, request.cluster,
                         config.replication_factor());
  }
  if (config.partition_count() != base::kPartitionCount) {
    return Contradiction("partition_count", base::kPartitionCount, request.cluster,
                         config.partition_count());
  }
  return config;
}

}  // namespace

absl::StatusOr<internal::v1::ClusterConfig> EstablishConfig(Coordinator* coordinator,
                                                            const ConfigRequest& request) {
  const Keys keys(request.cluster);
  internal::v1::ClusterConfig made;
  made.set_cluster_id(request.cluster_id.empty()
                          ? absl::StrCat(absl::Hex(DrawRandom(), absl::kZeroPad16),
                                         absl::Hex(DrawRandom(), absl::kZeroPad16))
                          : request.cluster_id);
  made.set_replication_factor(request.replication_factor == 0 ? kDefaultReplicationFactor
                                                              : request.replication_factor);
  made.set_partition_count(base::kPartitionCount);
  // Nodes that start together race to write it: who loses reads what the winner wrote.
  for (int attempt = 0; attempt < 2; ++attempt) {
    absl::StatusOr<Lookup> lookup = coordinator->Get(keys.config());
    if (!lookup.ok()) return lookup.status();
    if (lookup->kv) return Check(*lookup->kv, request);
    absl::StatusOr<TxnResult> written =
        coordinator->Txn({Condition::Absent(keys.config())},
                         {Mutation::Put(keys.config(), made.SerializeAsString())});
    if (!written.ok()) return written.status();
    if (written->succeeded) return made;
  }
  return absl::UnavailableError("config: written and removed by others meanwhile");
}

}  // namespace atoll::cluster
