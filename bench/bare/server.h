// The ceiling of a comparison: the memory engine of a node behind nothing but epoll and the part of
// memcached's text protocol that the loads use (`get` of any number of keys, `set`). No RPC, no
// replication, no admission, no metrics. What Atoll loses against it is what those cost.
#pragma once

#include <cstdint>

#include "absl/status/status.h"

namespace atoll::bench {

struct BareServerOptions {
  // On 127.0.0.1.
  uint16_t port = 0;
  // Each with an epoll of its own; connections go round them. 1-64.
  int threads = 1;
  uint64_t memory_bytes = uint64_t{1} << 30;
};

// Serves until the process is ended. Returns only if it cannot start.
absl::Status RunBareServer(const BareServerOptions& options);

}  // namespace atoll::bench
