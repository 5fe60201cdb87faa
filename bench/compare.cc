#include "bench/compare.h"

#include <sys/resource.h>

#include <algorithm>

#include "bench/client_load_target.h"
#include "bench/load.h"
#include "bench/peers/load.h"

namespace atoll::bench {
namespace {

constexpr char kLargePrefix[] = "large:";

absl::Duration OwnCpu() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return absl::DurationFromTimeval(usage.ru_utime) + absl::DurationFromTimeval(usage.ru_stime);
}

// CPU time of both ends while a measurement runs, warm-up included: the keys of the warm-up are not
// counted, so that the figure is an upper bound, the same for all.
class CpuMeter {
 public:
  explicit CpuMeter(const ServerProcess& server)
      : server_(server),
        server_start_(server.CpuTime().value_or(absl::ZeroDuration())),
        own_start_(OwnCpu()) {}

  void Fill(double keys, Measurement& measurement) const {
    if (keys <= 0) return;
    const absl::Duration server = server_.CpuTime().value_or(server_start_) - server_start_;
    measurement.server_cpu_us = absl::ToDoubleMicroseconds(server) / keys;
    measurement.client_cpu_us = absl::ToDoubleMicroseconds(OwnCpu() - own_start_) / keys;
  }

 private:
  const ServerProcess& server_;
  const absl::Duration server_start_;
  const absl::Duration own_start_;
};

// Large values have names of their own.
class PrefixedTarget final : public LoadTarget {
 public:
  explicit PrefixedTarget(LoadTarget& target) : target_(target) {}
  Answer Read(absl::Span<const std::string> keys) override { return target_.Read(Named(keys)); }
  Answer Write(absl::Span<const std::string> keys, std::string_view value) override {
    return target_.Write(Named(keys), value);
  }
  void ReadAsync(absl::Span<const std::string> keys, Done done) override {
    target_.ReadAsync(Named(keys), std::move(done));
  }
  void WriteAsync(absl::Span<const std::string> keys, std::string_view value, Done done) override {
    target_.WriteAsync(Named(keys), value, std::move(done));
  }

 private:
  static std::vector<std::string> Named(absl::Span<const std::string> keys) {
    std::vector<std::string> named;
    for (const std::string& key : keys) named.push_back(kLargePrefix + key);
    return named;
  }
  LoadTarget& target_;
};

WorkloadOptions WorkloadFor(const LoadSpec& load, const CompareSizes& sizes) {
  return {.keys = load.large ? sizes.large_keys : sizes.keys,
          .value_bytes = load.large ? sizes.large_bytes : sizes.value_bytes,
          .read_share = load.read ? 1.0 : 0.0,
          .batch = load.batch};
}

PeerLoadOptions PeerLoadFor(const LoadSpec& load, const CompareSizes& sizes, PeerKind kind,
                            uint16_t port) {
  return {.kind = kind,
          .port = port,
          .batch = static_cast<int>(load.batch),
          .read = load.read,
          .keys = load.large ? sizes.large_keys : sizes.keys,
          .key_prefix = load.large ? kLargePrefix : "",
          .value_bytes = load.large ? sizes.large_bytes : sizes.value_bytes};
}

}  // namespace

const std::vector<LoadSpec>& CompareLoads() {
  static const auto* const loads = new std::vector<LoadSpec>{
      {.name = "blocking_64", .outstanding = 64},
      {.name = "async_256", .outstanding = 256, .async = true},
      {.name = "async_1024", .outstanding = 1024, .async = true},
      {.name = "multiget_100", .outstanding = 4, .batch = 100, .async = true},
      {.name = "multiset_100", .outstanding = 4, .batch = 100, .read = false, .async = true},
      {.name = "lone_1", .outstanding = 1, .by_latency = true},
      {.name = "value_1m", .outstanding = 4, .async = true, .large = true},
  };
  return *loads;
}

std::vector<PeerConfig> PeerConfigs(const LoadSpec& load) {
  std::vector<PeerConfig> configs;
  // Redis' I/O threads are measured too, as its documentation proposes them for two cores or more.
  for (const int threads : {1, 2}) {
    if (!load.async) {
      configs.push_back(
          {.server_threads = threads, .connections = static_cast<int>(load.outstanding)});
      continue;
    }
    for (const int connections : {1, 2, 4, 8}) {
      if (connections > static_cast<int>(load.outstanding)) continue;
      configs.push_back({.server_threads = threads, .connections = connections});
    }
  }
  return configs;
}

absl::StatusOr<Measurement> MeasureAtoll(const LoadSpec& load, const CompareSizes& sizes,
                                         absl::Duration duration, Client& client,
                                         const ServerProcess& process) {
  LoadOptions options;
  options.workload = WorkloadFor(load, sizes);
  options.outstanding = load.outstanding;
  options.async = load.async;
  options.warmup = duration / 5;
  options.duration = duration;
  ClientLoadTarget plain(client);
  PrefixedTarget prefixed(plain);
  const CpuMeter cpu(process);
  const LoadResult result =
      RunLoad(options, load.large ? static_cast<LoadTarget&>(prefixed) : plain);
  if (!result.first_error.ok()) return result.first_error;
  const Histogram& latency = load.read ? result.read_latency : result.write_latency;
  Measurement measurement{.keys_per_second = result.keys_per_second(),
                          .p50_us = absl::ToDoubleMicroseconds(latency.Quantile(0.5)),
                          .p99_us = absl::ToDoubleMicroseconds(latency.Quantile(0.99))};
  cpu.Fill(static_cast<double>(result.keys), measurement);
  return measurement;
}

absl::StatusOr<Measurement> MeasurePeer(const LoadSpec& load, const CompareSizes& sizes,
                                        absl::Duration duration, PeerKind kind,
                                        const PeerConfig& config, const PeerServer& server) {
  PeerLoadOptions options = PeerLoadFor(load, sizes, kind, server.port);
  options.connections = config.connections;
  options.pipeline = std::max(1, static_cast<int>(load.outstanding) / config.connections);
  // memcached's strongest way to have many gets outstanding is its multi-get: up to 100 keys in
  // one.
  if (kind == PeerKind::kMemcached && load.async && load.read && load.batch == 1 && !load.large) {
    options.batch = std::min(100, options.pipeline);
    options.pipeline = std::max(1, options.pipeline / options.batch);
  }
  options.warmup = duration / 5;
  options.duration = duration;
  const CpuMeter cpu(*server.process);
  const absl::StatusOr<PeerLoadResult> result = RunPeerLoad(options);
  if (!result.ok()) return result.status();
  Measurement measurement{.keys_per_second = result->keys_per_second(),
                          .p50_us = absl::ToDoubleMicroseconds(result->latency.Quantile(0.5)),
                          .p99_us = absl::ToDoubleMicroseconds(result->latency.Quantile(0.99))};
  cpu.Fill(static_cast<double>(result->keys), measurement);
  return measurement;
}

absl::Status FillAtoll(const CompareSizes& sizes, Client& client) {
  ClientLoadTarget plain(client, absl::Seconds(30));
  PrefixedTarget prefixed(plain);
  if (absl::Status filled =
          Fill({.keys = sizes.keys, .value_bytes = sizes.value_bytes}, plain, nullptr);
      !filled.ok()) {
    return filled;
  }
  const std::string value(sizes.large_bytes, 'v');
  for (uint64_t i = 0; i < sizes.large_keys; ++i) {
    const std::vector<std::string> key = {WorkloadKey(i)};
    if (Answer answer = prefixed.Write(key, value); !answer.status.ok()) return answer.status;
  }
  return absl::OkStatus();
}

absl::Status FillPeerForCompare(const CompareSizes& sizes, PeerKind kind,
                                const PeerServer& server) {
  for (const bool large : {false, true}) {
    const LoadSpec load{.large = large};
    if (absl::Status filled = FillPeer(PeerLoadFor(load, sizes, kind, server.port)); !filled.ok()) {
      return filled;
    }
  }
  return absl::OkStatus();
}

}  // namespace atoll::bench
