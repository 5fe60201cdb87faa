// redis-benchmark, the load generator that Redis brings along: what our own client of Redis is held
// against, on the same servers.
//
// Thread safety: none.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "bench/compare/contender.h"
#include "bench/peers/process.h"

namespace atoll::bench {

// By the number of their threads.
using PeerServers = std::map<int, PeerServer>;

struct RedisBenchmarkFigures {
  double requests_per_second = 0;
  double p50_us = 0;
  double p99_us = 0;
};
// What `redis-benchmark --csv` writes. INTERNAL for anything else.
absl::StatusOr<RedisBenchmarkFigures> ParseRedisBenchmark(std::string_view csv);

// Has a part in loads of gets of one key. Stores the keys that the program asks for, of the same
// sizes, beside those that are there. NOT_FOUND if there is no such program.
absl::StatusOr<std::unique_ptr<Contender>> StartRedisBenchmark(
    const CompareSizes& sizes, std::shared_ptr<const PeerServers> servers);

}  // namespace atoll::bench
