#include "bench/compare/command.h"

#include <stdlib.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "bench/compare/comparison.h"
#include "bench/compare/contender.h"
#include "bench/compare/report.h"
#include "bench/exit.h"
#include "bench/progress.h"
#include "bench/report.h"

namespace atoll::bench {
namespace {

constexpr std::string_view kCommand = "compare";

struct Flags {
  bool quick = false;
  int rounds = 0;
  double seconds = 0;
  uint64_t keys = 1'000'000;
  std::vector<std::string> only;
  bool no_extras = false;
  std::string json;
  std::string markdown;
  bool quiet = false;
};

Effort EffortOf(const Flags& flags) {
  const double seconds = flags.seconds != 0 ? flags.seconds : flags.quick ? 0.7 : 3;
  return {.rounds = flags.rounds != 0 ? flags.rounds
                    : flags.quick     ? 3
                                      : 5,
          .duration = absl::Seconds(seconds),
          .trial = absl::Seconds(seconds / 3)};
}

// Everybody who takes part, up and filled, Atoll first. They run side by side, and one at a time is
// under load.
absl::StatusOr<Contenders> StartAll(const CompareSizes& sizes, Progress& progress) {
  Contenders all;
  progress.Update(0, "atoll");
  absl::StatusOr<std::unique_ptr<Contender>> atoll = StartAtoll(sizes);
  if (!atoll.ok()) return atoll.status();
  all.push_back(*std::move(atoll));
  progress.Update(1, "ceiling");
  absl::StatusOr<std::unique_ptr<Contender>> bare = StartBareContender(sizes);
  if (!bare.ok()) return bare.status();
  all.push_back(*std::move(bare));
  for (const PeerKind kind : {PeerKind::kMemcached, PeerKind::kRedis}) {
    progress.Update(all.size(), std::string(PeerName(kind)));
    absl::StatusOr<Contenders> peers = StartPeerContenders(sizes, kind);
    if (!peers.ok()) return peers.status();
    for (std::unique_ptr<Contender>& peer : *peers) all.push_back(std::move(peer));
  }
  return all;
}

std::string Machine() {
  std::string model = "unknown processor";
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) {
      model = line.substr(line.find(':') + 2);
      break;
    }
  }
  return absl::StrCat(std::thread::hardware_concurrency(), " cores, ", model);
}

// Processes that want a core beside this one, over the last minute.
double LoadAverage() {
  double average = 0;
  return getloadavg(&average, 1) == 1 ? average : 0;
}

absl::StatusOr<std::vector<LoadSpec>> LoadsOf(const Flags& flags) {
  std::vector<LoadSpec> wanted;
  for (const LoadSpec& load : CompareLoads()) {
    if (flags.only.empty() ||
        std::find(flags.only.begin(), flags.only.end(), load.name) != flags.only.end()) {
      wanted.push_back(load);
    }
  }
  if (!flags.only.empty() && wanted.size() != flags.only.size()) {
    std::vector<std::string> names;
    for (const LoadSpec& load : CompareLoads()) names.push_back(load.name);
    return absl::InvalidArgumentError(absl::StrCat("--only ", absl::StrJoin(flags.only, " "),
                                                   ": the loads are ", absl::StrJoin(names, ", ")));
  }
  return wanted;
}

void RunCompare(const Flags& flags) {
  const absl::StatusOr<std::vector<LoadSpec>> loads = LoadsOf(flags);
  if (!loads.ok()) Fail(kCommand, loads.status());
  const CompareSizes sizes{.keys = flags.keys};
  const Effort effort = EffortOf(flags);
  const double busy = LoadAverage();
  std::string about = absl::StrFormat(
      "%d keys, values of %d B (value_1m: %d of %d MiB), all with a TTL; %d interleaved runs of "
      "%.1f s each, median (least-most); %s; load average before: %.1f.",
      sizes.keys, sizes.value_bytes, sizes.large_keys, sizes.large_bytes >> 20, effort.rounds,
      absl::ToDoubleSeconds(effort.duration), Machine(), busy);
  absl::PrintF("%s\n", about);
  if (busy > 0.5) {
    std::fprintf(stderr, "The machine is busy with something else: the figures will be off.\n");
  }
  std::fflush(stdout);
  absl::StatusOr<Contenders> contenders = [&] {
    Progress progress("fill   ", 6, flags.quiet);
    return StartAll(sizes, progress);
  }();
  if (!contenders.ok()) Fail(kCommand, contenders.status());
  std::vector<Contender*> all;
  for (const std::unique_ptr<Contender>& one : *contenders) all.push_back(one.get());

  absl::PrintF("%s\n", CompareReport::HeadLine());
  std::fflush(stdout);
  CompareReport report;
  for (const LoadSpec& load : *loads) {
    const absl::StatusOr<std::vector<Row>> rows = CompareUnder(load, all, effort);
    if (!rows.ok()) Fail(kCommand, rows.status());
    report.Add(*rows);
    absl::PrintF("%s\n", report.last_line());
    std::fflush(stdout);
  }
  if (!flags.json.empty()) {
    if (absl::Status written = WriteJson(flags.json, report.Json()); !written.ok()) {
      Fail(kCommand, written);
    }
  }
  const std::string markdown = report.Markdown(about);
  if (flags.markdown.empty()) {
    absl::PrintF("\n%s", markdown);
  } else if (absl::Status written = WriteMarkdown(flags.markdown, markdown); !written.ok()) {
    Fail(kCommand, written);
  }
}

}  // namespace

void AddCompareCommand(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "compare", "Atoll beside memcached and Redis under the same loads: ratios, interleaved runs");
  command->footer(
      "Starts all servers itself, on free ports of 127.0.0.1, and ends them. A ratio above 1 says\n"
      "that Atoll is faster. Loads: blocking_64, async_256, async_1024, multiget_100, "
      "multiset_100,\n"
      "lone_1, value_1m; what they are, and what stands in the rows: bench/README.md.");
  command->add_flag("--quick", flags->quick, "Fewer and shorter runs: within three minutes");
  command->add_option("--rounds", flags->rounds, "Interleaved runs of each load (5; quick 3)")
      ->check(CLI::Range(1, 100));
  command->add_option("--seconds", flags->seconds, "Length of a run (3; quick 0.7)")
      ->check(CLI::Range(0.1, 600.0));
  command->add_option("--keys", flags->keys, "Different keys")
      ->check(CLI::Range(uint64_t{1000}, uint64_t{3'000'000}))
      ->capture_default_str();
  command->add_option("--only", flags->only, "Only these loads");
  command->add_option("--json", flags->json, "Write ratios and rows to this file");
  command->add_option("--markdown", flags->markdown,
                      "Write the tables to this file, between its compare marks where it has them "
                      "(stdout)");
  command->add_flag("--quiet", flags->quiet, "No progress bar");
  command->callback([flags] { RunCompare(*flags); });
}

}  // namespace atoll::bench
