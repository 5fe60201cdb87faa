// A load on memcached or Redis, as strong as a client can make it: requests are built ahead,
// answers are counted where they lie in the read buffer and never copied.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/histogram.h"
#include "bench/peers/connection.h"

namespace atoll::bench {

struct PeerLoadOptions {
  PeerKind kind = PeerKind::kMemcached;
  uint16_t port = 0;
  // Connections, each with a thread of its own.
  int connections = 1;
  // Requests that a connection sends at once before it reads their answers.
  int pipeline = 1;
  // Keys of a request; above 1 reads are multi-gets, and writes so many sets sent as one request.
  int batch = 1;
  bool read = true;
  uint64_t keys = 1'000'000;
  // As WorkloadKey names them, with this before.
  std::string key_prefix;
  uint32_t value_bytes = 100;
  uint32_t ttl_seconds = 86'400;
  absl::Duration warmup = absl::Milliseconds(200);
  absl::Duration duration = absl::Seconds(1);
  uint64_t seed = 1;
};

struct PeerLoadResult {
  uint64_t keys = 0;
  uint64_t hits = 0;
  absl::Duration elapsed;
  // From the sending of a round of requests to the last of its answers.
  Histogram latency;
  double keys_per_second() const {
    return static_cast<double>(keys) / absl::ToDoubleSeconds(elapsed);
  }
};

absl::StatusOr<PeerLoadResult> RunPeerLoad(const PeerLoadOptions& options);

// Stores every key.
absl::Status FillPeer(const PeerLoadOptions& options);

}  // namespace atoll::bench
