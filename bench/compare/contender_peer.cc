#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/strings.h"
#include "bench/compare/contender.h"
#include "bench/compare/cpu_meter.h"
#include "bench/compare/redis_benchmark.h"

namespace atoll::bench {
namespace {

constexpr uint64_t kMemory = uint64_t{1} << 30;
constexpr int kServerThreads[] = {1, 2};
constexpr int kConnections[] = {1, 2, 4, 8};
// memcached's strongest way to have many gets outstanding is its multi-get.
constexpr int kMultiGetKeys = 100;

// Where many gets of one key each are outstanding.
bool GathersGets(const LoadSpec& load) {
  return load.async && load.reads() && !load.large && load.batch == 1;
}

enum class Use : uint8_t { kPlain, kAutoPipeline, kMset, kSingleGets };

class PeerContender final : public Contender {
 public:
  PeerContender(std::string name, PeerKind kind, Use use, const CompareSizes& sizes,
                std::shared_ptr<const PeerServers> servers)
      : name_(std::move(name)),
        kind_(kind),
        use_(use),
        sizes_(sizes),
        servers_(std::move(servers)) {}

  std::string name() const override { return name_; }
  std::vector<Setup> Setups(const LoadSpec& load) const override;
  absl::StatusOr<Measurement> Measure(const LoadSpec& load, const Setup& setup,
                                      absl::Duration duration) override;

 private:
  std::vector<Setup> SetupsOfThreads(const LoadSpec& load, int threads) const;
  // memcached's gets of one key are gathered in multi-gets, but for kSingleGets; Redis' are
  // pipelined.
  PeerLoadOptions LoadFor(const LoadSpec& load, const Setup& setup) const;

  const std::string name_;
  const PeerKind kind_;
  const Use use_;
  const CompareSizes sizes_;
  const std::shared_ptr<const PeerServers> servers_;
};

std::vector<Setup> PeerContender::Setups(const LoadSpec& load) const {
  if (use_ == Use::kAutoPipeline && (load.async || load.outstanding == 1)) return {};
  if (use_ == Use::kMset && load.reads()) return {};
  if (use_ == Use::kSingleGets && !GathersGets(load)) return {};
  std::vector<Setup> setups;
  for (const auto& [threads, server] : *servers_) {
    for (Setup& setup : SetupsOfThreads(load, threads)) setups.push_back(std::move(setup));
  }
  return setups;
}

std::vector<Setup> PeerContender::SetupsOfThreads(const LoadSpec& load, int threads) const {
  std::vector<Setup> setups;
  const auto add = [&](int connections, Setup setup, const char* how) {
    setup.server_threads = threads;
    setup.connections = connections;
    setup.name = absl::StrCat(threads, threads == 1 ? " thread, " : " threads, ", connections,
                              connections == 1 ? " connection" : " connections", how);
    setups.push_back(std::move(setup));
  };
  const bool own_connections = !load.async && use_ == Use::kPlain;
  if (own_connections) add(static_cast<int>(load.outstanding), {}, "");
  for (const int connections : kConnections) {
    if (own_connections || connections > static_cast<int>(load.outstanding)) continue;
    if (use_ == Use::kAutoPipeline) {
      add(connections, {}, "");
      add(connections, {.one_message = true}, ", one message at a time");
      continue;
    }
    if (use_ == Use::kMset) {
      add(connections, {.write_style = WriteStyle::kTogether}, "");
      continue;
    }
    add(connections, {}, "");
    if (!load.reads() && kind_ == PeerKind::kMemcached && name_ == PeerName(kind_)) {
      add(connections, {.write_style = WriteStyle::kQuiet}, ", quiet");
    }
  }
  return setups;
}

PeerLoadOptions PeerContender::LoadFor(const LoadSpec& load, const Setup& setup) const {
  const int each = static_cast<int>(load.OutstandingKeys()) / setup.connections;
  int batch = static_cast<int>(load.batch);
  if (kind_ == PeerKind::kMemcached && use_ != Use::kSingleGets && GathersGets(load)) {
    batch = kMultiGetKeys;
  }
  return {.kind = kind_,
          .port = servers_->at(setup.server_threads).port,
          .connections = setup.connections,
          .round_keys = each,
          .batch = batch,
          .read = load.reads(),
          .write_style = setup.write_style,
          .keys = load.large ? sizes_.large_keys : sizes_.keys,
          .key_prefix = load.large ? kLargePrefix : "",
          .value_bytes = load.large ? sizes_.large_bytes : sizes_.value_bytes,
          .ttl_seconds = sizes_.ttl_seconds};
}

absl::StatusOr<Measurement> PeerContender::Measure(const LoadSpec& load, const Setup& setup,
                                                   absl::Duration duration) {
  CpuMeter cpu(std::vector<pid_t>{servers_->at(setup.server_threads).process->pid(), 0});
  PeerLoadOptions options = LoadFor(load, setup);
  options.warmup = duration / 5;
  options.duration = duration;
  options.at_begin = [&] { cpu.Begin(); };
  options.at_end = [&] { cpu.End(); };
  const absl::StatusOr<PeerLoadResult> result =
      use_ == Use::kAutoPipeline
          ? RunAutoPipelineLoad(options, static_cast<int>(load.outstanding), setup.one_message)
          : RunPeerLoad(options);
  if (!result.ok()) return result.status();
  // A multi-get that names a key twice may answer it once.
  if (result->keys == 0 || (load.reads() && result->hits < result->keys * 98 / 100)) {
    return absl::InternalError(
        absl::StrCat(base::AsAbsl(name_), ": ", result->hits, " hits of ", result->keys));
  }
  const auto keys = static_cast<double>(result->keys);
  return Measurement{
      .keys_per_second = result->keys_per_second(),
      .p50_us = absl::ToDoubleMicroseconds(result->latency.Quantile(0.5)),
      .p99_us = absl::ToDoubleMicroseconds(result->latency.Quantile(0.99)),
      .server_cpu_us = absl::ToDoubleMicroseconds(cpu.taken()[0]) / keys,
      .client_cpu_us = absl::ToDoubleMicroseconds(cpu.taken()[1]) / keys,
  };
}

absl::Status FillServer(const CompareSizes& sizes, PeerKind kind, uint16_t port) {
  const PeerLoadOptions small{.kind = kind,
                              .port = port,
                              .keys = sizes.keys,
                              .value_bytes = sizes.value_bytes,
                              .ttl_seconds = sizes.ttl_seconds};
  if (absl::Status filled = FillPeer(small); !filled.ok()) return filled;
  PeerLoadOptions large = small;
  large.keys = sizes.large_keys;
  large.key_prefix = kLargePrefix;
  large.value_bytes = sizes.large_bytes;
  return FillPeer(large);
}

using StartServer = absl::FunctionRef<absl::StatusOr<PeerServer>(int threads)>;

absl::StatusOr<std::shared_ptr<const PeerServers>> StartServers(const CompareSizes& sizes,
                                                                PeerKind kind, StartServer start) {
  auto servers = std::make_shared<PeerServers>();
  for (const int threads : kServerThreads) {
    absl::StatusOr<PeerServer> server = start(threads);
    if (!server.ok()) return server.status();
    if (absl::Status filled = FillServer(sizes, kind, server->port); !filled.ok()) return filled;
    (*servers)[threads] = *std::move(server);
  }
  return servers;
}

}  // namespace

absl::StatusOr<Contenders> StartPeerContenders(const CompareSizes& sizes, PeerKind kind, bool all) {
  // Redis' I/O threads are tried too, as its documentation proposes them.
  absl::StatusOr<std::shared_ptr<const PeerServers>> servers =
      StartServers(sizes, kind, [&](int threads) { return StartPeer(kind, kMemory, threads); });
  if (!servers.ok()) return servers.status();
  const std::string name(PeerName(kind));
  Contenders contenders;
  const auto add = [&](std::string as, Use use) {
    contenders.push_back(
        std::make_unique<PeerContender>(std::move(as), kind, use, sizes, *servers));
  };
  add(name, Use::kPlain);
  add(name + ", shared connections", Use::kAutoPipeline);
  if (kind == PeerKind::kMemcached && all) add("memcached, gets of one key", Use::kSingleGets);
  if (kind == PeerKind::kRedis) add("redis, MSET without TTL", Use::kMset);
  if (kind == PeerKind::kRedis && all) {
    absl::StatusOr<std::unique_ptr<Contender>> theirs = StartRedisBenchmark(sizes, *servers);
    if (theirs.ok()) {
      contenders.push_back(*std::move(theirs));
    } else if (absl::IsNotFound(theirs.status())) {
      std::fprintf(stderr, "No rows by redis-benchmark: %s\n", theirs.status().ToString().c_str());
    } else {
      return theirs.status();
    }
  }
  return contenders;
}

absl::StatusOr<std::unique_ptr<Contender>> StartBareContender(const CompareSizes& sizes) {
  absl::StatusOr<std::shared_ptr<const PeerServers>> servers = StartServers(
      sizes, PeerKind::kMemcached, [](int threads) { return StartBareServer(kMemory, threads); });
  if (!servers.ok()) return servers.status();
  return std::make_unique<PeerContender>("ceiling", PeerKind::kMemcached, Use::kPlain, sizes,
                                         *std::move(servers));
}

}  // namespace atoll::bench
