#include "bench/replay_command.h"

#include <algorithm>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "bench/client_target.h"
#include "bench/connection.h"
#include "bench/exit.h"
#include "bench/progress.h"
#include "bench/replay.h"
#include "bench/report.h"
#include "bench/simulated_cache.h"

namespace atoll::bench {
namespace {

constexpr std::string_view kCommand = "replay";

struct Flags {
  ConnectionFlags connection;
  std::string file;
  std::string json;
  ReplayOptions replay;
  uint64_t requests = 0;
  uint64_t simulate = 0;
  bool quiet = false;
};

double SimulatedHitRatio(absl::Span<const TraceRequest> trace, uint64_t entries) {
  SimulatedCache cache(entries);
  uint64_t hits = 0;
  for (const TraceRequest& request : trace) hits += cache.Access(request.key, 1) ? 1 : 0;
  return static_cast<double>(hits) / static_cast<double>(trace.size());
}

void WriteFigures(const Flags& flags, const ReplayResult& result, double per_second) {
  nlohmann::json json = {{"file", flags.file},
                         {"requests", result.requests},
                         {"hits", result.hits},
                         {"misses", result.misses},
                         {"hit_ratio", result.hit_ratio()},
                         {"wrong", result.wrong},
                         {"errors", result.errors},
                         {"seconds", absl::ToDoubleSeconds(result.elapsed)},
                         {"requests_per_second", per_second},
                         {"get", LatencyJson(result.gets)},
                         {"set", LatencyJson(result.sets)}};
  if (absl::Status written = WriteJson(flags.json, json); !written.ok()) Fail(kCommand, written);
}

void RunReplay(Flags& flags) {
  absl::StatusOr<std::vector<TraceRequest>> trace = ReadTrace(flags.file);
  if (!trace.ok()) Fail(kCommand, trace.status());
  if (flags.requests != 0 && flags.requests < trace->size()) trace->resize(flags.requests);
  absl::StatusOr<std::unique_ptr<Client>> client = flags.connection.Connect();
  if (!client.ok()) Fail(kCommand, client.status());
  // A prefix of this run's own: an earlier replay's entries would be hits that the trace does not
  // have.
  if (flags.replay.key_prefix.empty()) {
    flags.replay.key_prefix = absl::StrCat("replay:", absl::ToUnixMicros(absl::Now()), ":");
  }

  ReplayResult result;
  {
    Progress progress("replay", trace->size(), flags.quiet);
    const absl::Time start = absl::Now();
    flags.replay.progress = [&](uint64_t done, uint64_t hits) {
      progress.Update(done, absl::StrFormat("hit ratio %4.1f%%  %.0f requests/s",
                                            100.0 * static_cast<double>(hits) /
                                                static_cast<double>(std::max<uint64_t>(done, 1)),
                                            static_cast<double>(done) /
                                                absl::ToDoubleSeconds(absl::Now() - start)));
    };
    ClientTarget target(**client, flags.connection.ns, std::nullopt);
    result = Replay(*trace, flags.replay, target);
    progress.Update(trace->size(), absl::StrFormat("hit ratio %4.1f%%", 100 * result.hit_ratio()));
  }

  const double per_second =
      static_cast<double>(result.requests) / absl::ToDoubleSeconds(result.elapsed);
  absl::PrintF("%d requests in %.2f s: %.0f requests/s, %d threads\n", result.requests,
               absl::ToDoubleSeconds(result.elapsed), per_second, flags.replay.threads);
  absl::PrintF("hit ratio %.2f%%  (%d hits, %d misses)\n", 100 * result.hit_ratio(), result.hits,
               result.misses);
  if (flags.simulate != 0) {
    absl::PrintF("simulated, %d entries: %.2f%%\n", flags.simulate,
                 100 * SimulatedHitRatio(*trace, flags.simulate));
  }
  PrintLatency("get", result.gets);
  PrintLatency("set", result.sets);
  absl::PrintF("values checked: %d, wrong: %d, errors: %d\n", result.hits, result.wrong,
               result.errors);
  if (!flags.json.empty()) WriteFigures(flags, result, per_second);
  if (!result.first_error.ok()) Fail(kCommand, result.first_error);
  if (result.wrong != 0) Fail(kCommand, absl::DataLossError("values came back wrong"));
}

}  // namespace

void AddReplayCommand(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "replay", "Replay a request trace look-aside: get, and on a miss set; check every value");
  command->add_option("FILE", flags->file, "Trace: *.trace[.xz] (4-byte keys) or 16-byte records")
      ->required();
  flags->connection.Add(*command);
  command->add_option("--threads", flags->replay.threads, "Callers at once")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command
      ->add_option("--value-bytes", flags->replay.value_bytes,
                   "Size of a value where the trace has none")
      ->check(CLI::Range(1u, 64u << 20))
      ->capture_default_str();
  command->add_option("--requests", flags->requests, "Stop after so many (0: the whole trace)");
  command->add_option("--key-prefix", flags->replay.key_prefix,
                      "Before every key (a new one for each run)");
  command->add_option("--simulate", flags->simulate,
                      "Print beside it the hit ratio of a simulated cache of so many entries");
  command->add_option("--json", flags->json, "Write the figures to this file");
  command->add_flag("--quiet", flags->quiet, "No progress bar");
  command->callback([flags] { RunReplay(*flags); });
}

}  // namespace atoll::bench
