// Those that are compared: each is up and filled, and can be put under a load.
//
// Thread safety: none.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/compare/loads.h"
#include "bench/peers/load.h"
#include "bench/peers/process.h"

namespace atoll::bench {

// A way to drive a contender. What a field means to a contender that does not use it: nothing.
struct Setup {
  int server_threads = 1;
  int connections = 1;
  WriteStyle write_style = WriteStyle::kEach;
  // Of the auto-pipelining clients.
  bool one_message = false;
  // Of redis-benchmark.
  int client_threads = 1;
  // As a table shows it.
  std::string name;
};

struct Measurement {
  double keys_per_second = 0;
  double p50_us = 0;
  double p99_us = 0;
  // CPU time a key, of the whole processes.
  double server_cpu_us = 0;
  double client_cpu_us = 0;
  // Of a cluster's nodes: the threads that serve all calls, and those that stand in for them at
  // what clients ask.
  double io_threads_us = 0;
  double patient_threads_us = 0;

  // What is compared: larger is better.
  double Score(const LoadSpec& load) const {
    return load.by_latency ? 1e6 / p50_us : keys_per_second;
  }
};

class Contender {
 public:
  virtual ~Contender() = default;
  virtual std::string name() const = 0;
  // The ways among which the best one is looked for; empty: it has no part in this load.
  virtual std::vector<Setup> Setups(const LoadSpec& load) const = 0;
  virtual absl::StatusOr<Measurement> Measure(const LoadSpec& load, const Setup& setup,
                                              absl::Duration duration) = 0;
};

using Contenders = std::vector<std::unique_ptr<Contender>>;

// One standalone node, and the client library with its defaults.
absl::StatusOr<std::unique_ptr<Contender>> StartAtoll(const CompareSizes& sizes);
// The same with TLS, both sides showing certificates, which the program openssl makes.
absl::StatusOr<std::unique_ptr<Contender>> StartAtollWithTls(const CompareSizes& sizes);

// Three nodes with their etcd, and the client library; `server_cpu_us` is of all three together.
absl::StatusOr<std::unique_ptr<Contender>> StartCluster(const CompareSizes& sizes,
                                                        int replication_factor);

// memcached or Redis, a server for each number of threads. First the contender that ratios are
// formed with; behind it further ways to use the same servers, in rows of their own: connections
// that many callers share (blocking_64), and Redis' MSET, which gives no time to live
// (multiset_100). `all`: and memcached's pipelined gets of one key each, as most clients send them
// (async_*), and redis-benchmark in the place of our client of Redis, where it is found.
absl::StatusOr<Contenders> StartPeerContenders(const CompareSizes& sizes, PeerKind kind, bool all);

// The memory engine behind epoll and memcached's protocol (bench/bare/server.h): the ceiling.
absl::StatusOr<std::unique_ptr<Contender>> StartBareContender(const CompareSizes& sizes);

}  // namespace atoll::bench
