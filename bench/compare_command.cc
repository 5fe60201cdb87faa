#include "bench/compare_command.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "bench/compare.h"
#include "bench/exit.h"
#include "bench/report.h"

namespace atoll::bench {
namespace {

constexpr std::string_view kCommand = "compare";
constexpr uint64_t kMemory = uint64_t{1} << 30;
constexpr PeerKind kPeers[] = {PeerKind::kMemcached, PeerKind::kRedis};

struct Flags {
  bool quick = false;
  int rounds = 0;  // 0: 5, or 3 with --quick
  double seconds = 0;
  uint64_t keys = 1'000'000;
  int io_threads = 2;
  std::vector<std::string> only;
  std::string json;
  std::string markdown;
};

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// One cache under one load, over the rounds.
struct Row {
  std::string load;
  std::string cache;
  std::string config;
  std::vector<double> scores;
  std::vector<Measurement> measured;

  template <typename Member>
  double MedianOf(Member member) const {
    std::vector<double> values;
    for (const Measurement& one : measured) values.push_back(one.*member);
    return Median(values);
  }
};

// All servers of a comparison: they run side by side, and only one is under load at a time.
struct Servers {
  PeerServer atolld;
  std::unique_ptr<Client> client;
  // By kind and server threads.
  std::map<std::pair<PeerKind, int>, PeerServer> peers;
};

absl::StatusOr<Servers> StartAll(const Flags& flags, const CompareSizes& sizes) {
  Servers servers;
  absl::StatusOr<PeerServer> atolld = StartAtolld(kMemory, flags.io_threads);
  if (!atolld.ok()) return atolld.status();
  servers.atolld = *std::move(atolld);
  absl::StatusOr<std::unique_ptr<Client>> client =
      Client::Create({.endpoints = {absl::StrCat("127.0.0.1:", servers.atolld.port)}});
  if (!client.ok()) return client.status();
  servers.client = *std::move(client);
  if (absl::Status up = servers.client->WaitUntilReady(absl::Now() + absl::Seconds(20)); !up.ok()) {
    return up;
  }
  if (absl::Status filled = FillAtoll(sizes, *servers.client); !filled.ok()) return filled;
  for (const PeerKind kind : kPeers) {
    for (const int threads : {1, 2}) {
      absl::StatusOr<PeerServer> peer = StartPeer(kind, kMemory, threads);
      if (!peer.ok()) return peer.status();
      if (absl::Status filled = FillPeerForCompare(sizes, kind, *peer); !filled.ok()) return filled;
      servers.peers[{kind, threads}] = *std::move(peer);
    }
  }
  return servers;
}

// The configuration that does best in a short run.
absl::StatusOr<PeerConfig> Best(const LoadSpec& load, const CompareSizes& sizes, PeerKind kind,
                                Servers& servers, absl::Duration each) {
  PeerConfig best;
  double most = -1;
  for (const PeerConfig& config : PeerConfigs(load)) {
    const absl::StatusOr<Measurement> tried =
        MeasurePeer(load, sizes, each, kind, config, servers.peers[{kind, config.server_threads}]);
    if (!tried.ok()) return tried.status();
    if (tried->Score(load) > most) {
      most = tried->Score(load);
      best = config;
    }
  }
  return best;
}

absl::StatusOr<std::vector<Row>> CompareUnder(const LoadSpec& load, const CompareSizes& sizes,
                                              const Flags& flags, Servers& servers) {
  const absl::Duration duration = absl::Seconds(flags.seconds);
  std::vector<Row> rows(1 + std::size(kPeers));
  std::vector<PeerConfig> configs(std::size(kPeers));
  rows[0] = {.load = load.name,
             .cache = "atoll",
             .config = absl::StrCat(flags.io_threads, " I/O threads")};
  for (size_t i = 0; i < std::size(kPeers); ++i) {
    absl::StatusOr<PeerConfig> best = Best(load, sizes, kPeers[i], servers, duration / 3);
    if (!best.ok()) return best.status();
    configs[i] = *best;
    rows[i + 1] = {.load = load.name,
                   .cache = std::string(PeerName(kPeers[i])),
                   .config = absl::StrCat(best->server_threads, " threads, ", best->connections,
                                          " connections")};
  }
  for (int round = 0; round < flags.rounds; ++round) {
    for (size_t i = 0; i < rows.size(); ++i) {
      const absl::StatusOr<Measurement> one =
          i == 0 ? MeasureAtoll(load, sizes, duration, *servers.client, *servers.atolld.process)
                 : MeasurePeer(load, sizes, duration, kPeers[i - 1], configs[i - 1],
                               servers.peers[{kPeers[i - 1], configs[i - 1].server_threads}]);
      if (!one.ok()) {
        return absl::Status(one.status().code(), absl::StrCat(load.name, ", ", rows[i].cache, ": ",
                                                              one.status().message()));
      }
      rows[i].scores.push_back(one->Score(load));
      rows[i].measured.push_back(*one);
    }
  }
  return rows;
}

// Of each round's pair; its median, least and greatest.
struct Ratio {
  double median = 0;
  double least = 0;
  double most = 0;
};

Ratio RatioOf(const Row& atoll, const Row& peer) {
  std::vector<double> ratios;
  for (size_t i = 0; i < atoll.scores.size(); ++i) {
    ratios.push_back(atoll.scores[i] / peer.scores[i]);
  }
  const auto [least, most] = std::minmax_element(ratios.begin(), ratios.end());
  return {.median = Median(ratios), .least = *least, .most = *most};
}

std::string Cell(const Ratio& ratio) {
  return absl::StrFormat("%.2f (%.2f-%.2f)", ratio.median, ratio.least, ratio.most);
}

nlohmann::json RowJson(const Row& row) {
  return {{"load", row.load},
          {"cache", row.cache},
          {"config", row.config},
          {"keys_per_second", row.MedianOf(&Measurement::keys_per_second)},
          {"p50_us", row.MedianOf(&Measurement::p50_us)},
          {"p99_us", row.MedianOf(&Measurement::p99_us)},
          {"server_cpu_us_per_key", row.MedianOf(&Measurement::server_cpu_us)},
          {"client_cpu_us_per_key", row.MedianOf(&Measurement::client_cpu_us)}};
}

std::string MarkdownRow(const Row& row) {
  return absl::StrFormat("| %s | %s | %s | %.0f | %.1f | %.1f | %.2f | %.2f |\n", row.load,
                         row.cache, row.config, row.MedianOf(&Measurement::keys_per_second),
                         row.MedianOf(&Measurement::p50_us), row.MedianOf(&Measurement::p99_us),
                         row.MedianOf(&Measurement::server_cpu_us),
                         row.MedianOf(&Measurement::client_cpu_us));
}

class Report {
 public:
  void Add(const std::vector<Row>& rows) {
    const Ratio memcached = RatioOf(rows[0], rows[1]);
    const Ratio redis = RatioOf(rows[0], rows[2]);
    absl::PrintF("%-14s %-20s %-20s %12.0f keys/s  p50 %.1f us\n", rows[0].load, Cell(memcached),
                 Cell(redis), rows[0].MedianOf(&Measurement::keys_per_second),
                 rows[0].MedianOf(&Measurement::p50_us));
    std::fflush(stdout);
    ratios_.push_back(
        {{"load", rows[0].load}, {"vs_memcached", memcached.median}, {"vs_redis", redis.median}});
    absl::StrAppend(&ratio_table_, "| ", rows[0].load, " | ", Cell(memcached), " | ", Cell(redis),
                    " |\n");
    for (const Row& row : rows) {
      rows_.push_back(RowJson(row));
      absl::StrAppend(&row_table_, MarkdownRow(row));
    }
  }

  nlohmann::json Json() const { return {{"ratios", ratios_}, {"rows", rows_}}; }
  std::string Markdown() const {
    return absl::StrCat("| load | against memcached | against Redis |\n|---|---|---|\n",
                        ratio_table_,
                        "\n| load | cache | configuration | keys/s | p50 us | p99 us | server CPU "
                        "us/key | client CPU us/key |\n|---|---|---|---|---|---|---|---|\n",
                        row_table_);
  }

 private:
  nlohmann::json ratios_ = nlohmann::json::array();
  nlohmann::json rows_ = nlohmann::json::array();
  std::string ratio_table_;
  std::string row_table_;
};

bool Wanted(const Flags& flags, const std::string& name) {
  return flags.only.empty() ||
         std::find(flags.only.begin(), flags.only.end(), name) != flags.only.end();
}

void RunCompare(Flags& flags) {
  if (flags.rounds == 0) flags.rounds = flags.quick ? 3 : 5;
  if (flags.seconds == 0) flags.seconds = flags.quick ? 0.8 : 3;
  const CompareSizes sizes{.keys =
                               flags.quick ? std::min<uint64_t>(flags.keys, 200'000) : flags.keys};
  for (const std::string& name : flags.only) {
    const auto& loads = CompareLoads();
    if (std::none_of(loads.begin(), loads.end(),
                     [&](const LoadSpec& l) { return l.name == name; })) {
      Fail(kCommand, absl::InvalidArgumentError(absl::StrCat("--only: no load ", name)));
    }
  }
  absl::StatusOr<Servers> servers = StartAll(flags, sizes);
  if (!servers.ok()) Fail(kCommand, servers.status());
  absl::PrintF("%-14s %-20s %-20s\n", "load", "against memcached", "against redis");
  Report report;
  for (const LoadSpec& load : CompareLoads()) {
    if (!Wanted(flags, load.name)) continue;
    const absl::StatusOr<std::vector<Row>> rows = CompareUnder(load, sizes, flags, *servers);
    if (!rows.ok()) Fail(kCommand, rows.status());
    report.Add(*rows);
  }
  if (!flags.json.empty()) {
    if (absl::Status written = WriteJson(flags.json, report.Json()); !written.ok()) {
      Fail(kCommand, written);
    }
  }
  if (!flags.markdown.empty()) {
    std::ofstream file(flags.markdown);
    file << report.Markdown();
    if (!file.good()) {
      Fail(kCommand,
           absl::InvalidArgumentError(absl::StrCat(flags.markdown, ": cannot be written")));
    }
  }
}

}  // namespace

void AddCompareCommand(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "compare", "Atoll beside memcached and Redis under the same loads: ratios, interleaved runs");
  command->add_flag("--quick", flags->quick, "Fewer keys and shorter runs: within three minutes");
  command->add_option("--rounds", flags->rounds, "Interleaved runs of each load (5; quick 3)")
      ->check(CLI::Range(1, 100));
  command->add_option("--seconds", flags->seconds, "Length of a run (3; quick 0.8)")
      ->check(CLI::Range(0.1, 600.0));
  command->add_option("--keys", flags->keys, "Different keys")->capture_default_str();
  command->add_option("--io-threads", flags->io_threads, "Of atolld")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_option("--only", flags->only, "Only these loads");
  command->add_option("--json", flags->json, "Write ratios and rows to this file");
  command->add_option("--markdown", flags->markdown, "Write the tables to this file");
  command->callback([flags] { RunCompare(*flags); });
}

}  // namespace atoll::bench
