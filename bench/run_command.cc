#include "bench/run_command.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/client_load_target.h"
#include "bench/connection.h"
#include "bench/exit.h"
#include "bench/load.h"
#include "bench/progress.h"
#include "bench/report.h"

namespace atoll::bench {
namespace {

constexpr std::string_view kCommand = "run";

struct Flags {
  ConnectionFlags connection;
  LoadOptions load;
  double seconds = 10;
  double warmup_seconds = 1;
  std::string json;
  std::string csv;
  bool no_fill = false;
  bool quiet = false;
};

nlohmann::json ResultJson(const Flags& flags, const LoadResult& result) {
  const WorkloadOptions& workload = flags.load.workload;
  return {{"keys", workload.keys},
          {"distribution", workload.distribution == Distribution::kZipf ? "zipf" : "uniform"},
          {"value_bytes", workload.value_bytes},
          {"max_value_bytes", std::max(workload.value_bytes, workload.max_value_bytes)},
          {"read_share", workload.read_share},
          {"batch", workload.batch},
          {"outstanding", flags.load.outstanding},
          {"async", flags.load.async},
          {"rate", flags.load.rate},
          {"seconds", absl::ToDoubleSeconds(result.elapsed)},
          {"operations", result.operations},
          {"keys_per_second", result.keys_per_second()},
          {"reads", result.reads},
          {"hits", result.hits},
          {"errors", result.errors},
          {"refused", result.refused},
          {"read", LatencyJson(result.read_latency)},
          {"write", LatencyJson(result.write_latency)}};
}

// One row, under a header of its own: runs are appended to a sheet without it by `tail -n 1`.
absl::Status WriteCsv(const std::string& path, const nlohmann::json& json) {
  std::string header;
  std::string row;
  const nlohmann::json flat = json.flatten();  // items() does not keep it
  for (const auto& [name, value] : flat.items()) {
    std::string column = name.substr(1);
    for (char& c : column) c = c == '/' ? '_' : c;
    absl::StrAppend(&header, header.empty() ? "" : ",", column);
    absl::StrAppend(&row, row.empty() ? "" : ",", value.dump());
  }
  std::ofstream file(path);
  file << header << '\n' << row << '\n';
  if (!file.good()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be written"));
  }
  return absl::OkStatus();
}

void Print(const Flags& flags, const LoadResult& result) {
  absl::PrintF("%s, %d outstanding%s, batch %d: %.0f keys/s, %.0f operations/s\n",
               flags.load.rate > 0 ? "open loop" : "closed loop", flags.load.outstanding,
               flags.load.async ? " (asynchronous)" : "", flags.load.workload.batch,
               result.keys_per_second(),
               static_cast<double>(result.operations) / absl::ToDoubleSeconds(result.elapsed));
  PrintLatency("read", result.read_latency);
  PrintLatency("write", result.write_latency);
  if (result.reads != 0) {
    absl::PrintF("hit ratio %.2f%%\n",
                 100.0 * static_cast<double>(result.hits) / static_cast<double>(result.reads));
  }
  absl::PrintF("errors: %d (%d refused for overload)\n", result.errors, result.refused);
}

void RunRun(Flags& flags) {
  flags.load.duration = absl::Seconds(flags.seconds);
  flags.load.warmup = absl::Seconds(flags.warmup_seconds);
  if (absl::Status valid = flags.load.Validate(); !valid.ok()) Fail(kCommand, valid);
  absl::StatusOr<std::unique_ptr<Client>> client = flags.connection.Connect();
  if (!client.ok()) Fail(kCommand, client.status());
  ClientLoadTarget target(**client);
  if (!flags.no_fill) {
    Progress progress("fill", flags.load.workload.keys, flags.quiet);
    const absl::Status filled =
        Fill(flags.load.workload, target, [&](uint64_t done) { progress.Update(done, "keys"); });
    if (!filled.ok()) Fail(kCommand, filled);
  }
  LoadResult result;
  {
    Progress progress("run ", 1000, flags.quiet);
    flags.load.progress = [&](double share) {
      progress.Update(static_cast<uint64_t>(share * 1000), "");
    };
    result = RunLoad(flags.load, target);
  }
  Print(flags, result);
  const nlohmann::json json = ResultJson(flags, result);
  if (!flags.json.empty()) {
    if (absl::Status written = WriteJson(flags.json, json); !written.ok()) Fail(kCommand, written);
  }
  if (!flags.csv.empty()) {
    if (absl::Status written = WriteCsv(flags.csv, json); !written.ok()) Fail(kCommand, written);
  }
  if (!result.first_error.ok()) Fail(kCommand, result.first_error);
}

void AddLoadFlags(CLI::App& command, Flags& flags) {
  command.add_option("--outstanding", flags.load.outstanding, "Operations under way at once")
      ->capture_default_str();
  command.add_flag("--async", flags.load.async, "Asynchronous callers instead of blocking threads");
  command.add_option("--rate", flags.load.rate,
                     "Open loop: operations a second, whatever the answers (0: closed loop)");
  command.add_option("--seconds", flags.seconds, "Measured time")
      ->check(CLI::Range(0.1, 86'400.0))
      ->capture_default_str();
  command.add_option("--warmup", flags.warmup_seconds, "Seconds before it")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
}

void AddWorkloadFlags(CLI::App& command, WorkloadOptions& workload) {
  static const std::map<std::string, Distribution> kDistributions = {
      {"uniform", Distribution::kUniform}, {"zipf", Distribution::kZipf}};
  command.add_option("--keys", workload.keys, "Different keys")->capture_default_str();
  command.add_option("--distribution", workload.distribution, "uniform or zipf")
      ->transform(CLI::CheckedTransformer(kDistributions));
  command.add_option("--zipf", workload.zipf_exponent, "Exponent of the zipf distribution")
      ->capture_default_str();
  command.add_option("--value-bytes", workload.value_bytes, "Size of a value")
      ->check(CLI::Range(0u, 64u << 20))
      ->capture_default_str();
  command
      .add_option("--max-value-bytes", workload.max_value_bytes,
                  "Sizes are drawn evenly from --value-bytes to this")
      ->check(CLI::Range(0u, 64u << 20));
  command.add_option("--read-share", workload.read_share, "Reads among the operations, 0-1")
      ->capture_default_str();
  command.add_option("--batch", workload.batch, "Keys in one operation")->capture_default_str();
  command.add_option("--seed", workload.seed, "Of all draws")->capture_default_str();
}

}  // namespace

void AddRunCommand(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("run", "Put a load on a cluster and measure it");
  flags->connection.Add(*command);
  AddLoadFlags(*command, *flags);
  AddWorkloadFlags(*command, flags->load.workload);
  command->add_flag("--no-fill", flags->no_fill, "Do not store every key first");
  command->add_option("--json", flags->json, "Write the figures to this file");
  command->add_option("--csv", flags->csv, "Write the figures to this file, a header and a row");
  command->add_flag("--quiet", flags->quiet, "No progress bar");
  command->callback([flags] { RunRun(*flags); });
}

}  // namespace atoll::bench
