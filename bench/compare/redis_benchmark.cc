#include "bench/compare/redis_benchmark.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "bench/compare/cpu_meter.h"
#include "bench/workload.h"

namespace atoll::bench {
namespace {

constexpr int kConnections[] = {1, 2, 4, 8};
constexpr int kClientThreads[] = {1, 2};
// To find out how many requests last as long as a run is to.
constexpr uint64_t kProbe = 20'000;
// It puts 12 digits behind: as long as a key of ours.
constexpr char kKeyPrefix[] = "key:0000";
static_assert(sizeof(kKeyPrefix) - 1 + 12 == kWorkloadKeyBytes);

// CPU time of the children that were waited for.
absl::Duration ChildrenCpu() {
  rusage used{};
  getrusage(RUSAGE_CHILDREN, &used);
  return absl::DurationFromTimeval(used.ru_utime) + absl::DurationFromTimeval(used.ru_stime);
}

absl::StatusOr<std::string> OutputOf(const std::string& command) {
  FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return absl::UnavailableError("popen");
  std::string output;
  char some[4096];
  for (size_t size = 0; (size = fread(some, 1, sizeof(some), pipe)) > 0;) output.append(some, size);
  const int status = pclose(pipe);
  if (status == 0) return output;
  return absl::InternalError(absl::StrCat("redis-benchmark ended with ",
                                          WIFEXITED(status) ? WEXITSTATUS(status) : status));
}

class RedisBenchmark final : public Contender {
 public:
  RedisBenchmark(std::string program, const CompareSizes& sizes,
                 std::shared_ptr<const PeerServers> servers)
      : program_(std::move(program)), sizes_(sizes), servers_(std::move(servers)) {}

  std::string name() const override { return "redis by redis-benchmark"; }
  std::vector<Setup> Setups(const LoadSpec& load) const override;
  absl::StatusOr<Measurement> Measure(const LoadSpec& load, const Setup& setup,
                                      absl::Duration duration) override;

  absl::Status Fill() const;

 private:
  absl::StatusOr<RedisBenchmarkFigures> Run(const LoadSpec& load, const Setup& setup,
                                            uint64_t requests) const;

  const std::string program_;
  const CompareSizes sizes_;
  const std::shared_ptr<const PeerServers> servers_;
  // Requests a second, by the setup's name.
  std::map<std::string, double> rates_;
};

std::vector<Setup> RedisBenchmark::Setups(const LoadSpec& load) const {
  std::vector<Setup> setups;
  if (!load.reads() || load.batch > 1 || load.large) return setups;
  for (const auto& [threads, server] : *servers_) {
    for (const int client_threads : kClientThreads) {
      const auto add = [&, threads = threads](int connections) {
        if (client_threads > connections) return;
        Setup setup{.server_threads = threads, .connections = connections};
        setup.client_threads = client_threads;
        setup.name = absl::StrFormat("%d and %d threads, %d connections", threads, client_threads,
                                     connections);
        setups.push_back(std::move(setup));
      };
      if (!load.async) {
        add(static_cast<int>(load.outstanding));
        continue;
      }
      for (const int connections : kConnections) add(connections);
    }
  }
  return setups;
}

absl::StatusOr<RedisBenchmarkFigures> RedisBenchmark::Run(const LoadSpec& load, const Setup& setup,
                                                          uint64_t requests) const {
  const int pipeline = std::max(1, static_cast<int>(load.outstanding) / setup.connections);
  std::string command;
  for (const std::string& argument : WithItsLibraries({program_})) {
    absl::StrAppend(&command, "'", argument, "' ");
  }
  absl::StrAppend(&command, "-h 127.0.0.1 -p ", servers_->at(setup.server_threads).port, " -c ",
                  setup.connections, " -P ", pipeline, " -n ", requests, " -r ", sizes_.keys,
                  " --csv");
  if (setup.client_threads > 1) absl::StrAppend(&command, " --threads ", setup.client_threads);
  absl::StrAppend(&command, " GET ", kKeyPrefix, "__rand_int__ 2>/dev/null");
  absl::StatusOr<std::string> csv = OutputOf(command);
  if (!csv.ok()) return csv.status();
  return ParseRedisBenchmark(*csv);
}

absl::StatusOr<Measurement> RedisBenchmark::Measure(const LoadSpec& load, const Setup& setup,
                                                    absl::Duration duration) {
  double& rate = rates_[setup.name + load.name];
  if (rate == 0) {
    const absl::StatusOr<RedisBenchmarkFigures> probe = Run(load, setup, kProbe);
    if (!probe.ok()) return probe.status();
    rate = probe->requests_per_second;
  }
  const auto requests =
      std::max(kProbe, static_cast<uint64_t>(rate * absl::ToDoubleSeconds(duration)));
  CpuMeter cpu(std::vector<pid_t>{servers_->at(setup.server_threads).process->pid()});
  const absl::Duration client_before = ChildrenCpu();
  cpu.Begin();
  const absl::StatusOr<RedisBenchmarkFigures> figures = Run(load, setup, requests);
  cpu.End();
  if (!figures.ok()) return figures.status();
  rate = figures->requests_per_second;
  const auto keys = static_cast<double>(requests);
  return Measurement{
      .keys_per_second = rate,
      .p50_us = figures->p50_us,
      .p99_us = figures->p99_us,
      .server_cpu_us = absl::ToDoubleMicroseconds(cpu.taken()[0]) / keys,
      .client_cpu_us = absl::ToDoubleMicroseconds(ChildrenCpu() - client_before) / keys,
  };
}

absl::Status RedisBenchmark::Fill() const {
  constexpr uint64_t kBatch = 200;
  const std::string value(sizes_.value_bytes, 'v');
  for (const auto& [threads, server] : *servers_) {
    absl::StatusOr<std::unique_ptr<PeerConnection>> connection =
        ConnectPeer(PeerKind::kRedis, server.port);
    if (!connection.ok()) return connection.status();
    for (uint64_t first = 0; first < sizes_.keys; first += kBatch) {
      const uint64_t count = std::min(kBatch, sizes_.keys - first);
      std::vector<std::string> keys(count);
      std::vector<PeerItem> items(count);
      for (uint64_t i = 0; i < count; ++i) {
        keys[i] = absl::StrFormat("%s%012d", kKeyPrefix, first + i);
        items[i] = {.key = keys[i], .value = value};
      }
      absl::Status stored = (*connection)->SetMany(items, sizes_.ttl_seconds);
      if (!stored.ok()) return stored;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RedisBenchmarkFigures> ParseRedisBenchmark(std::string_view csv) {
  // A line of names, a line of figures, all of them in quotation marks.
  const std::vector<std::string> lines =
      absl::StrSplit(absl::string_view(csv.data(), csv.size()), '\n', absl::SkipWhitespace());
  const absl::Status bad = absl::InternalError("redis-benchmark: not the table that was expected");
  if (lines.size() != 2) return bad;
  const std::vector<std::string> names = absl::StrSplit(lines[0], ',');
  const std::vector<std::string> figures = absl::StrSplit(lines[1], ',');
  const auto figure = [&](std::string_view name, double* out) {
    for (size_t i = 0; i < std::min(names.size(), figures.size()); ++i) {
      if (names[i] != absl::StrCat("\"", absl::string_view(name.data(), name.size()), "\"")) {
        continue;
      }
      return absl::SimpleAtod(absl::StripSuffix(absl::StripPrefix(figures[i], "\""), "\""), out);
    }
    return false;
  };
  RedisBenchmarkFigures read;
  double p50_ms = 0;
  double p99_ms = 0;
  if (!figure("rps", &read.requests_per_second) || !figure("p50_latency_ms", &p50_ms) ||
      !figure("p99_latency_ms", &p99_ms) || read.requests_per_second <= 0) {
    return bad;
  }
  read.p50_us = p50_ms * 1000;
  read.p99_us = p99_ms * 1000;
  return read;
}

absl::StatusOr<std::unique_ptr<Contender>> StartRedisBenchmark(
    const CompareSizes& sizes, std::shared_ptr<const PeerServers> servers) {
  absl::StatusOr<std::string> program = FindProgram("redis-benchmark");
  if (!program.ok()) return program.status();
  auto contender = std::make_unique<RedisBenchmark>(*std::move(program), sizes, std::move(servers));
  if (absl::Status filled = contender->Fill(); !filled.ok()) return filled;
  return contender;
}

}  // namespace atoll::bench
