#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "bench/client_load_target.h"
#include "bench/compare/contender.h"
#include "bench/compare/cpu_meter.h"
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

class AtollContender final : public Contender {
 public:
  AtollContender(const CompareSizes& sizes, PeerServer server, std::unique_ptr<Client> client)
      : sizes_(sizes),
        server_(std::move(server)),
        client_(std::move(client)),
        target_(*client_, absl::Seconds(30), absl::Seconds(sizes.ttl_seconds)) {}

  absl::Status FillAll() {
    if (absl::Status small = Fill(SmallValues(sizes_), target_, nullptr); !small.ok()) return small;
    return Fill(LargeValues(sizes_), target_, nullptr);
  }

  std::string name() const override { return "atoll"; }
  std::vector<Setup> Setups(const LoadSpec&) const override { return {{.name = "defaults"}}; }

  absl::StatusOr<Measurement> Measure(const LoadSpec& load, const Setup&,
                                      absl::Duration duration) override {
    CpuMeter cpu({server_.process->pid(), 0});
    LoadOptions options{.workload = load.large ? LargeValues(sizes_) : SmallValues(sizes_),
                        .outstanding = load.outstanding,
                        .async = load.async,
                        .warmup = duration / 5,
                        .duration = duration,
                        .at_begin = [&] { cpu.Begin(); },
                        .at_end = [&] { cpu.End(); }};
    options.workload.read_share = load.read ? 1 : 0;
    options.workload.batch = load.batch;
    const LoadResult result = RunLoad(options, target_);
    if (!result.first_error.ok()) return result.first_error;
    if (result.errors != 0 || result.keys == 0 || result.hits != result.reads) {
      return absl::InternalError(absl::StrCat(result.errors, " errors, ", result.hits, " hits of ",
                                              result.reads, " reads"));
    }
    const Histogram& latency = load.read ? result.read_latency : result.write_latency;
    const auto keys = static_cast<double>(result.keys);
    return Measurement{
        .keys_per_second = result.keys_per_second(),
        .p50_us = absl::ToDoubleMicroseconds(latency.Quantile(0.5)),
        .p99_us = absl::ToDoubleMicroseconds(latency.Quantile(0.99)),
        .server_cpu_us = absl::ToDoubleMicroseconds(cpu.taken()[0]) / keys,
        .client_cpu_us = absl::ToDoubleMicroseconds(cpu.taken()[1]) / keys,
    };
  }

 private:
  const CompareSizes sizes_;
  const PeerServer server_;
  const std::unique_ptr<Client> client_;
  ClientLoadTarget target_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Contender>> StartAtoll(const CompareSizes& sizes) {
  absl::StatusOr<PeerServer> server = StartAtolld(kMemory, 0);
  if (!server.ok()) return server.status();
  absl::StatusOr<std::unique_ptr<Client>> client =
      Client::Create({.endpoints = {absl::StrCat("127.0.0.1:", server->port)}});
  if (!client.ok()) return client.status();
  if (absl::Status up = (*client)->WaitUntilReady(absl::Now() + absl::Seconds(20)); !up.ok()) {
    return up;
  }
  auto contender = std::make_unique<AtollContender>(sizes, *std::move(server), *std::move(client));
  if (absl::Status filled = contender->FillAll(); !filled.ok()) return filled;
  return contender;
}

}  // namespace atoll::bench
