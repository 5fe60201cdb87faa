#include <cstdlib>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "bench/client_load_target.h"
#include "bench/compare/contender.h"
#include "bench/compare/cpu_meter.h"
#include "bench/compare/temporary_folder.h"
#include "bench/load.h"
#include "client/include/atoll/client.h"

namespace atoll::bench {
namespace {

constexpr uint64_t kMemory = uint64_t{1} << 30;

WorkloadOptions SmallValues(const CompareSizes& sizes) {
  return {.keys = sizes.keys, .value_bytes = sizes.value_bytes};
}

WorkloadOptions LargeValues(const CompareSizes& sizes) {
  return {.keys = sizes.large_keys, .key_prefix = kLargePrefix, .value_bytes = sizes.large_bytes};
}

// A client is there only while it is measured: one that has nothing to do would still take turns at
// waiting for the network of this process, as no connection of the others does.
class AtollContender final : public Contender {
 public:
  AtollContender(std::string name, const CompareSizes& sizes, std::vector<PeerServer> nodes,
                 ClientOptions options)
      : name_(std::move(name)),
        sizes_(sizes),
        nodes_(std::move(nodes)),
        options_(std::move(options)) {
    for (const PeerServer& node : nodes_) {
      options_.endpoints.push_back(absl::StrCat("127.0.0.1:", node.port));
    }
  }

  absl::Status FillAll() const {
    const absl::StatusOr<std::unique_ptr<Client>> client = Connect();
    if (!client.ok()) return client.status();
    ClientLoadTarget target = TargetOf(**client);
    if (absl::Status small = Fill(SmallValues(sizes_), target, nullptr); !small.ok()) return small;
    return Fill(LargeValues(sizes_), target, nullptr);
  }

  std::string name() const override { return name_; }
  std::vector<Setup> Setups(const LoadSpec&) const override { return {{.name = "defaults"}}; }

  absl::StatusOr<Measurement> Measure(const LoadSpec& load, const Setup&,
                                      absl::Duration duration) override {
    const absl::StatusOr<std::unique_ptr<Client>> client = Connect();
    if (!client.ok()) return client.status();
    ClientLoadTarget target = TargetOf(**client);
    CpuMeter cpu(std::vector<std::function<absl::Duration()>>{
        [] { return CpuTimeOf(0); }, [this] { return OfNodes(CpuTimeOf); },
        [this] { return OfNodes([](pid_t pid) { return CpuTimeOfThreads(pid, "io"); }); },
        [this] { return OfNodes([](pid_t pid) { return CpuTimeOfThreads(pid, "patient"); }); }});
    LoadOptions options{.workload = load.large ? LargeValues(sizes_) : SmallValues(sizes_),
                        .outstanding = load.outstanding,
                        .async = load.async,
                        .warmup = duration / 5,
                        .duration = duration,
                        .at_begin = [&] { cpu.Begin(); },
                        .at_end = [&] { cpu.End(); }};
    options.workload.read_share = load.read_share;
    options.workload.batch = load.batch;
    // The others' clients look at the clock once for each round of answers.
    if (load.async && load.outstanding >= 64) options.time_every = 16;
    const LoadResult result = RunLoad(options, target);
    if (!result.first_error.ok()) return result.first_error;
    if (result.errors != 0 || result.keys == 0 || result.hits != result.reads) {
      return absl::InternalError(absl::StrCat(result.errors, " errors, ", result.hits, " hits of ",
                                              result.reads, " reads"));
    }
    const Histogram& latency = load.reads() ? result.read_latency : result.write_latency;
    const auto keys = static_cast<double>(result.keys);
    const auto us_per_key = [&](size_t clock) {
      return absl::ToDoubleMicroseconds(cpu.taken()[clock]) / keys;
    };
    return Measurement{
        .keys_per_second = result.keys_per_second(),
        .p50_us = absl::ToDoubleMicroseconds(latency.Quantile(0.5)),
        .p99_us = absl::ToDoubleMicroseconds(latency.Quantile(0.99)),
        .server_cpu_us = us_per_key(1),
        .client_cpu_us = us_per_key(0),
        .io_threads_us = us_per_key(2),
        .patient_threads_us = us_per_key(3),
    };
  }

 private:
  absl::Duration OfNodes(absl::FunctionRef<absl::Duration(pid_t)> of) const {
    absl::Duration all;
    for (const PeerServer& node : nodes_) all += of(node.process->pid());
    return all;
  }
  absl::StatusOr<std::unique_ptr<Client>> Connect() const {
    absl::StatusOr<std::unique_ptr<Client>> client = Client::Create(options_);
    if (!client.ok()) return client.status();
    if (absl::Status up = (*client)->WaitUntilReady(absl::Now() + absl::Seconds(20)); !up.ok()) {
      return up;
    }
    return client;
  }
  ClientLoadTarget TargetOf(Client& client) const {
    return ClientLoadTarget(client, absl::Seconds(30), absl::Seconds(sizes_.ttl_seconds));
  }

  const std::string name_;
  const CompareSizes sizes_;
  const std::vector<PeerServer> nodes_;
  ClientOptions options_;
};

// Of nodes that are up, with every key stored.
absl::StatusOr<std::unique_ptr<Contender>> Filled(std::string name, const CompareSizes& sizes,
                                                  std::vector<PeerServer> nodes,
                                                  Credentials credentials) {
  auto contender =
      std::make_unique<AtollContender>(std::move(name), sizes, std::move(nodes),
                                       ClientOptions{.credentials = std::move(credentials)});
  if (absl::Status filled = contender->FillAll(); !filled.ok()) return filled;
  return contender;
}

absl::StatusOr<std::unique_ptr<Contender>> StartNode(std::string name, const CompareSizes& sizes,
                                                     const std::vector<std::string>& flags,
                                                     Credentials credentials) {
  absl::StatusOr<PeerServer> server = StartAtolld(kMemory, 0, flags);
  if (!server.ok()) return server.status();
  std::vector<PeerServer> nodes;
  nodes.push_back(*std::move(server));
  return Filled(std::move(name), sizes, std::move(nodes), std::move(credentials));
}

// cert.pem, signed by itself, and key.pem.
bool MakeCertificate(const TemporaryFolder& folder) {
  return std::system(absl::StrCat("cd '", folder.path(),
                                  "' && openssl req -x509 -newkey rsa:2048 -nodes -days 2 "
                                  "-subj /CN=atoll -addext subjectAltName=IP:127.0.0.1 "
                                  "-keyout key.pem -out cert.pem >/dev/null 2>&1")
                         .c_str()) == 0;
}

// With the files that it reads, and its etcd if it is a cluster.
class ContenderWithFiles final : public Contender {
 public:
  ContenderWithFiles(std::unique_ptr<TemporaryFolder> folder, std::optional<PeerServer> etcd,
                     std::unique_ptr<Contender> nodes)
      : folder_(std::move(folder)), etcd_(std::move(etcd)), nodes_(std::move(nodes)) {}

  std::string name() const override { return nodes_->name(); }
  std::vector<Setup> Setups(const LoadSpec& load) const override { return nodes_->Setups(load); }
  absl::StatusOr<Measurement> Measure(const LoadSpec& load, const Setup& setup,
                                      absl::Duration duration) override {
    return nodes_->Measure(load, setup, duration);
  }

 private:
  const std::unique_ptr<TemporaryFolder> folder_;
  const std::optional<PeerServer> etcd_;
  const std::unique_ptr<Contender> nodes_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Contender>> StartAtoll(const CompareSizes& sizes) {
  return StartNode("atoll", sizes, {}, {});
}

absl::StatusOr<std::unique_ptr<Contender>> StartAtollWithTls(const CompareSizes& sizes) {
  auto folder = std::make_unique<TemporaryFolder>();
  if (!MakeCertificate(*folder)) return absl::NotFoundError("openssl made no certificate");
  const std::string cert = folder->path() + "/cert.pem";
  const std::string key = folder->path() + "/key.pem";
  auto node =
      StartNode("atoll-tls", sizes, {"--tls-cert", cert, "--tls-key", key, "--tls-ca", cert},
                {.tls = true, .ca_file = cert, .certificate_file = cert, .key_file = key});
  if (!node.ok()) return node.status();
  return std::make_unique<ContenderWithFiles>(std::move(folder), std::nullopt, *std::move(node));
}

absl::StatusOr<std::unique_ptr<Contender>> StartCluster(const CompareSizes& sizes,
                                                        int replication_factor) {
  auto folder = std::make_unique<TemporaryFolder>();
  absl::StatusOr<PeerServer> etcd = StartEtcd(folder->path() + "/etcd");
  if (!etcd.ok()) return etcd.status();
  std::vector<PeerServer> nodes;
  for (int i = 1; i <= 3; ++i) {
    absl::StatusOr<PeerServer> node = StartAtolld(
        kMemory / 2, 0,
        {"--node-name", absl::StrCat("n", i), "--etcd", absl::StrCat("127.0.0.1:", etcd->port),
         "--replication-factor", absl::StrCat(replication_factor), "--initial-nodes", "3"});
    if (!node.ok()) return node.status();
    nodes.push_back(*std::move(node));
  }
  auto filled = Filled(absl::StrCat("rf", replication_factor), sizes, std::move(nodes), {});
  if (!filled.ok()) return filled.status();
  return std::make_unique<ContenderWithFiles>(std::move(folder), *std::move(etcd),
                                              *std::move(filled));
}

}  // namespace atoll::bench
