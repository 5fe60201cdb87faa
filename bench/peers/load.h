// A load on memcached or Redis, as strong as a client can make it: requests are built ahead but for
// their keys, answers are counted where they lie in the read buffer and never copied.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/histogram.h"
#include "bench/peers/connection.h"
#include "bench/peers/requests.h"

namespace atoll::bench {

struct PeerLoadOptions {
  PeerKind kind = PeerKind::kMemcached;
  uint16_t port = 0;
  // Connections, each with a thread of its own. Outstanding keys are `connections` times
  // `round_keys`.
  int connections = 1;
  // Keys that a connection asks for at once before it reads the answers, in requests of at most
  // `batch` keys.
  int round_keys = 1;
  int batch = 1;
  bool read = true;
  WriteStyle write_style = WriteStyle::kEach;
  uint64_t keys = 1'000'000;
  // As WorkloadKey names them, with this before.
  std::string key_prefix;
  uint32_t value_bytes = 100;
  uint32_t ttl_seconds = 86'400;
  absl::Duration warmup = absl::Milliseconds(200);
  absl::Duration duration = absl::Seconds(1);
  uint64_t seed = 1;
  // Run when the measured part begins and ends, by the thread that called.
  std::function<void()> at_begin;
  std::function<void()> at_end;
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

// `callers` blocking threads that ask for a key each and share the connections: what they ask for
// at about the same time travels together (bench/peers/auto_pipeline.h). `one_message`: at most one
// message is unanswered on each connection, so that the next one gathers more.
absl::StatusOr<PeerLoadResult> RunAutoPipelineLoad(const PeerLoadOptions& options, int callers,
                                                   bool one_message);

// Stores every key.
absl::Status FillPeer(const PeerLoadOptions& options);

}  // namespace atoll::bench
