// The loads under which Atoll is compared with memcached and Redis, and how each cache is put under
// them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/peers/connection.h"
#include "bench/peers/process.h"
#include "client/include/atoll/client.h"

namespace atoll::bench {

struct LoadSpec {
  std::string name;
  // Operations outstanding, and keys in each.
  uint32_t outstanding = 1;
  uint32_t batch = 1;
  bool read = true;
  // Atoll: asynchronous instead of a blocking thread for each operation. Peers: pipelining over few
  // connections instead of a connection and a thread for each.
  bool async = false;
  // A large value instead of the small ones.
  bool large = false;
  // Compared by the inverse of the median latency instead of by throughput.
  bool by_latency = false;
};

// blocking_64, async_256, async_1024, multiget_100, multiset_100, lone_1, value_1m.
const std::vector<LoadSpec>& CompareLoads();

struct CompareSizes {
  uint64_t keys = 1'000'000;
  uint32_t value_bytes = 100;
  uint64_t large_keys = 64;
  uint32_t large_bytes = 1 << 20;
};

// How a cache is driven: servers and connections of a peer; nothing to choose for Atoll.
struct PeerConfig {
  int server_threads = 1;
  int connections = 1;
};
std::vector<PeerConfig> PeerConfigs(const LoadSpec& load);

struct Measurement {
  double keys_per_second = 0;
  double p50_us = 0;
  double p99_us = 0;
  // CPU time a key.
  double server_cpu_us = 0;
  double client_cpu_us = 0;

  // What is compared: larger is better.
  double Score(const LoadSpec& load) const {
    return load.by_latency ? 1e6 / p50_us : keys_per_second;
  }
};

absl::StatusOr<Measurement> MeasureAtoll(const LoadSpec& load, const CompareSizes& sizes,
                                         absl::Duration duration, Client& client,
                                         const ServerProcess& process);
absl::StatusOr<Measurement> MeasurePeer(const LoadSpec& load, const CompareSizes& sizes,
                                        absl::Duration duration, PeerKind kind,
                                        const PeerConfig& config, const PeerServer& server);

// Stores both sets of keys.
absl::Status FillAtoll(const CompareSizes& sizes, Client& client);
absl::Status FillPeerForCompare(const CompareSizes& sizes, PeerKind kind, const PeerServer& server);

}  // namespace atoll::bench
