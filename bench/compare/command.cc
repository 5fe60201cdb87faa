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

// Of --quick, from its start to the last round of the last load: the rest is left to it.
constexpr absl::Duration kQuickTime = absl::Seconds(165);

// Everybody who takes part, up and filled, Atoll first. They run side by side, and one at a time is
// under load.
absl::StatusOr<Contenders> StartAll(const CompareSizes& sizes, bool quick, Progress& progress) {
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
    absl::StatusOr<Contenders> peers = StartPeerContenders(sizes, kind, !quick);
    if (!peers.ok()) return peers.status();
    for (std::unique_ptr<Contender>& peer : *peers) all.push_back(std::move(peer));
  }
  if (quick) return all;
  progress.Update(all.size(), "atoll-tls");
  absl::StatusOr<std::unique_ptr<Contender>> tls = StartAtollWithTls(sizes);
  if (tls.ok()) {
    all.push_back(*std::move(tls));
  } else {
    std::fprintf(stderr, "No rows with TLS: %s\n", tls.status().ToString().c_str());
  }
  return all;
}

absl::StatusOr<Contenders> StartClusters(const CompareSizes& sizes) {
  Contenders clusters;
  for (const int replication_factor : {1, 2}) {
    absl::StatusOr<std::unique_ptr<Contender>> cluster = StartCluster(sizes, replication_factor);
    if (!cluster.ok()) return cluster.status();
    clusters.push_back(*std::move(cluster));
  }
  return clusters;
}

std::vector<Contender*> Pointers(const Contenders& contenders) {
  std::vector<Contender*> all;
  all.reserve(contenders.size());
  for (const std::unique_ptr<Contender>& one : contenders) all.push_back(one.get());
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

// Of the command's two parts, what was asked for.
struct Plan {
  std::vector<LoadSpec> against_peers;
  std::vector<LoadSpec> on_clusters;
};

absl::StatusOr<Plan> PlanOf(const Flags& flags) {
  Plan plan;
  std::vector<std::string> names;
  const auto take = [&](const std::vector<LoadSpec>& loads, bool by_default,
                        std::vector<LoadSpec>& wanted) {
    for (const LoadSpec& load : loads) {
      names.push_back(load.name);
      const bool named =
          std::find(flags.only.begin(), flags.only.end(), load.name) != flags.only.end();
      if (named || (flags.only.empty() && by_default)) wanted.push_back(load);
    }
  };
  take(CompareLoads(), true, plan.against_peers);
  take(ClusterLoads(), !flags.quick, plan.on_clusters);
  if (!flags.only.empty() &&
      plan.against_peers.size() + plan.on_clusters.size() != flags.only.size()) {
    return absl::InvalidArgumentError(absl::StrCat("--only ", absl::StrJoin(flags.only, " "),
                                                   ": the loads are ", absl::StrJoin(names, ", ")));
  }
  return plan;
}

// Runs the loads on the contenders and hands the rows of each to `add`. Where `end` is finite, the
// time until then is shared out among the loads.
absl::Status RunLoads(const std::vector<LoadSpec>& loads, const Contenders& contenders,
                      Effort effort, absl::Time end, CompareReport& report,
                      void (CompareReport::*add)(const std::vector<Row>&)) {
  const std::vector<Contender*> all = Pointers(contenders);
  for (size_t i = 0; i < loads.size(); ++i) {
    const absl::Time now = absl::Now();
    effort.until = now + (end - now) / static_cast<int64_t>(loads.size() - i);
    const absl::StatusOr<std::vector<Row>> rows = CompareUnder(loads[i], all, effort);
    if (!rows.ok()) return rows.status();
    (report.*add)(*rows);
    absl::PrintF("%s\n", report.last_line());
    std::fflush(stdout);
  }
  return absl::OkStatus();
}

absl::Status CompareAll(const Flags& flags, const Plan& plan, const CompareSizes& sizes,
                        CompareReport& report) {
  const absl::Time end = flags.quick ? absl::Now() + kQuickTime : absl::InfiniteFuture();
  const Effort effort = EffortOf(flags);
  if (!plan.against_peers.empty()) {
    absl::StatusOr<Contenders> contenders = [&] {
      Progress progress("fill   ", flags.quick ? 6 : 7, flags.quiet);
      return StartAll(sizes, flags.quick, progress);
    }();
    if (!contenders.ok()) return contenders.status();
    absl::PrintF("%s\n", CompareReport::HeadLine());
    std::fflush(stdout);
    if (absl::Status run =
            RunLoads(plan.against_peers, *contenders, effort, end, report, &CompareReport::Add);
        !run.ok()) {
      return run;
    }
  }
  if (plan.on_clusters.empty()) return absl::OkStatus();
  // The others have ended: three nodes and their load are enough for a machine.
  const absl::StatusOr<Contenders> clusters = StartClusters(sizes);
  if (!clusters.ok()) return clusters.status();
  return RunLoads(plan.on_clusters, *clusters, effort, end, report, &CompareReport::AddCluster);
}

void RunCompare(const Flags& flags) {
  const absl::StatusOr<Plan> plan = PlanOf(flags);
  if (!plan.ok()) Fail(kCommand, plan.status());
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
  CompareReport report;
  if (absl::Status compared = CompareAll(flags, *plan, sizes, report); !compared.ok()) {
    Fail(kCommand, compared);
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
      "lone_1, value_1m; without --quick also Atoll with TLS, memcached's gets of one key, Redis\n"
      "by redis-benchmark, and cluster_get, cluster_get90, cluster_set on three nodes. What they\n"
      "are: bench/README.md.");
  command->add_flag("--quick", flags->quick,
                    "Fewer and shorter runs, in three minutes, and only against the others");
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
