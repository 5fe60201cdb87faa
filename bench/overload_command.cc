#include "bench/overload_command.h"

#include <algorithm>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "bench/client_load_target.h"
#include "bench/exit.h"
#include "bench/load.h"
#include "bench/peers/process.h"
#include "bench/report.h"
#include "client/include/atoll/client.h"

namespace atoll::bench {
namespace {

constexpr std::string_view kCommand = "overload";
constexpr uint64_t kMemory = uint64_t{256} << 20;

struct Flags {
  uint32_t burn_us = 200;
  double times = 4;
  double seconds = 5;
  uint32_t timeout_ms = 500;
  uint32_t outstanding = 16'384;
  std::string json;
};

// One standalone node whose operations burn processor time, and a client of it.
struct Node {
  PeerServer server;
  std::unique_ptr<Client> client;
};

absl::StatusOr<Node> StartNode(const Flags& flags) {
  absl::StatusOr<PeerServer> server =
      StartAtolld(kMemory, 0, {"--test-burn-us", absl::StrCat(flags.burn_us)});
  if (!server.ok()) return server.status();
  absl::StatusOr<std::unique_ptr<Client>> client =
      // Every get is to reach the node.
      Client::Create(
          {.endpoints = {absl::StrCat("127.0.0.1:", server->port)}, .collapse_reads = false});
  if (!client.ok()) return client.status();
  if (absl::Status up = (*client)->WaitUntilReady(absl::Now() + absl::Seconds(20)); !up.ok()) {
    return up;
  }
  return Node{*std::move(server), *std::move(client)};
}

struct Figures {
  LoadResult peak;
  LoadResult overload;
  double offered = 0;
  // Of the node, anonymous: before the overload, and the most during it.
  uint64_t bytes_before = 0;
  uint64_t most_bytes = 0;
  uint64_t slowdowns = 0;

  double goodput_share() const { return overload.keys_per_second() / peak.keys_per_second(); }
};

absl::StatusOr<Figures> Measure(const Flags& flags, Node& node) {
  Figures figures;
  const WorkloadOptions workload{.keys = 1000, .value_bytes = 100, .read_share = 1};
  ClientLoadTarget target(*node.client, absl::Milliseconds(flags.timeout_ms));
  if (absl::Status filled = Fill(workload, target, nullptr); !filled.ok()) return filled;
  LoadOptions load{.workload = workload, .async = true, .duration = absl::Seconds(flags.seconds)};
  // A stream's messages are served by one thread at a time, and a client has more than one stream
  // only from 1,024 operations on.
  for (const uint32_t outstanding : {64u, 256u, 2048u}) {
    load.outstanding = outstanding;
    LoadResult run = RunLoad(load, target);
    if (run.keys > figures.peak.keys) figures.peak = std::move(run);
  }
  if (figures.peak.keys == 0) return absl::InternalError("nothing was answered");
  const auto bytes = [&] { return node.server.process->AnonymousBytes().value_or(0); };
  figures.bytes_before = bytes();
  figures.offered = load.rate = figures.peak.keys_per_second() * flags.times;
  load.outstanding = flags.outstanding;
  load.drop_late = true;
  // A sleep for each of 36,000 a second took the node's processors where waking is dear.
  load.start_grain = absl::Milliseconds(1);
  load.progress = [&](double) { figures.most_bytes = std::max(figures.most_bytes, bytes()); };
  figures.overload = RunLoad(load, target);
  figures.slowdowns = node.client->stats().slowdowns;
  return figures;
}

nlohmann::json Json(const Flags& flags, const Figures& figures) {
  const LoadResult& overload = figures.overload;
  return {{"burn_us", flags.burn_us},
          {"timeout_ms", flags.timeout_ms},
          {"outstanding", flags.outstanding},
          {"peak_per_second", figures.peak.keys_per_second()},
          {"offered_per_second", figures.offered},
          {"goodput_per_second", overload.keys_per_second()},
          {"goodput_share", figures.goodput_share()},
          {"accepted", LatencyJson(overload.read_latency)},
          {"refused", overload.refused},
          {"too_late", overload.errors - overload.refused},
          {"not_started", overload.not_started},
          {"client_slowdowns", figures.slowdowns},
          {"node_bytes_before", figures.bytes_before},
          {"node_bytes_most", figures.most_bytes}};
}

void RunOverload(const Flags& flags) {
  absl::StatusOr<Node> node = StartNode(flags);
  if (!node.ok()) Fail(kCommand, node.status());
  const absl::StatusOr<Figures> figures = Measure(flags, *node);
  if (!figures.ok()) Fail(kCommand, figures.status());
  const LoadResult& overload = figures->overload;
  absl::PrintF(
      "peak      %.0f/s, closed loop, the best of 64, 256 and 2,048 outstanding, %d us each\n",
      figures->peak.keys_per_second(), flags.burn_us);
  absl::PrintF("offered   %.0f/s, open loop, at most %d outstanding; %d found no place\n",
               figures->offered, flags.outstanding, overload.not_started);
  absl::PrintF("goodput   %.0f/s, %.0f%% of the peak\n", overload.keys_per_second(),
               100 * figures->goodput_share());
  PrintLatency("accepted", overload.read_latency);
  absl::PrintF("refused   %d, too late %d; the client slowed down %d times\n", overload.refused,
               overload.errors - overload.refused, figures->slowdowns);
  absl::PrintF("node      %d MiB before, %d MiB at most\n", figures->bytes_before >> 20,
               figures->most_bytes >> 20);
  if (flags.json.empty()) return;
  if (absl::Status written = WriteJson(flags.json, Json(flags, *figures)); !written.ok()) {
    Fail(kCommand, written);
  }
}

}  // namespace

void AddOverloadCommand(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "overload", "Gets at several times of what a node can do: goodput, latency, memory");
  command->footer(
      "Starts a node itself, whose operations burn processor time, finds its peak in a closed "
      "loop,\n"
      "and puts a multiple of it on it in an open loop.");
  command->add_option("--burn-us", flags->burn_us, "Processor time of an operation, microseconds")
      ->check(CLI::Range(10u, 10'000u))
      ->capture_default_str();
  command->add_option("--times", flags->times, "So many times the peak")
      ->check(CLI::Range(1.0, 100.0))
      ->capture_default_str();
  command
      ->add_option("--seconds", flags->seconds,
                   "Length of each run: three for the peak, one above it")
      ->check(CLI::Range(0.5, 600.0))
      ->capture_default_str();
  command->add_option("--timeout-ms", flags->timeout_ms, "Deadline of an operation, milliseconds")
      ->check(CLI::Range(10u, 60'000u))
      ->capture_default_str();
  command->add_option("--outstanding", flags->outstanding, "Operations under way at most")
      ->check(CLI::Range(64u, 65'536u))
      ->capture_default_str();
  command->add_option("--json", flags->json, "Write the figures to this file");
  command->callback([flags] { RunOverload(*flags); });
}

}  // namespace atoll::bench
