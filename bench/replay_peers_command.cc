#include "bench/replay_peers_command.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "bench/exit.h"
#include "bench/peers/process.h"
#include "bench/progress.h"
#include "bench/replay_look_aside.h"
#include "bench/report.h"
#include "client/include/atoll/client.h"

namespace atoll::bench {
namespace {

constexpr std::string_view kCommand = "replay-peers";
// memcached and Redis take any limit; below these they hold next to nothing.
constexpr uint64_t kLeastPeerMib = 8;
constexpr uint64_t kLeastAtollMib = 64;
constexpr absl::Duration kTimeout = absl::Seconds(30);
// A node that is held up refuses what has waited too long, which is no miss: it is asked again.
constexpr int kTries = 20;

struct Flags {
  std::string file;
  std::string json;
  uint64_t rss_mib = 64;
  uint64_t requests = 0;
  LookAsideOptions look_aside;
  bool quiet = false;
};

class PeerTarget final : public LookAsideTarget {
 public:
  PeerTarget(PeerKind kind, uint16_t port) : kind_(kind), port_(port) {}

  absl::StatusOr<std::vector<std::optional<std::string>>> GetMany(
      absl::Span<const std::string> keys) override {
    if (absl::Status connected = Connect(); !connected.ok()) return connected;
    return connection_->GetMany(keys);
  }

  absl::StatusOr<uint64_t> SetMany(absl::Span<const PeerItem> items) override {
    if (absl::Status connected = Connect(); !connected.ok()) return connected;
    if (connection_->SetMany(items, 0).ok()) return 0;
    // One was refused, and the answers behind its own were not read: one by one, anew.
    uint64_t refused = 0;
    for (const PeerItem& item : items) {
      connection_.reset();
      if (absl::Status connected = Connect(); !connected.ok()) return connected;
      const absl::Status stored = connection_->SetMany(absl::MakeConstSpan(&item, 1), 0);
      if (stored.ok()) continue;
      const bool no_memory = absl::StrContains(stored.message(), "SERVER_ERROR") ||
                             absl::StrContains(stored.message(), "OOM");
      if (!no_memory) return stored;
      ++refused;
    }
    connection_.reset();
    return refused;
  }

 private:
  absl::Status Connect() {
    if (connection_ != nullptr) return absl::OkStatus();
    absl::StatusOr<std::unique_ptr<PeerConnection>> connected = ConnectPeer(kind_, port_);
    if (!connected.ok()) return connected.status();
    connection_ = *std::move(connected);
    return absl::OkStatus();
  }

  const PeerKind kind_;
  const uint16_t port_;
  std::unique_ptr<PeerConnection> connection_;
};

class AtollTarget final : public LookAsideTarget {
 public:
  explicit AtollTarget(Client& client) : client_(client) {}

  absl::StatusOr<std::vector<std::optional<std::string>>> GetMany(
      absl::Span<const std::string> keys) override {
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    std::vector<std::optional<std::string>> values(keys.size());
    MultiGetOptions options;
    options.timeout = kTimeout;
    absl::Status refused;
    for (int tries = 0; tries < kTries; ++tries) {
      refused = absl::OkStatus();
      const auto results = client_.MultiGet(views, options);
      for (size_t i = 0; i < results.size(); ++i) {
        if (!results[i].ok()) {
          refused = results[i].status();
        }
        if (results[i].ok() && results[i]->found()) {
          values[i] = std::string(results[i]->value.view());
        }
      }
      if (refused.code() != absl::StatusCode::kResourceExhausted) break;
    }
    if (!refused.ok()) return refused;
    return values;
  }

  absl::StatusOr<uint64_t> SetMany(absl::Span<const PeerItem> items) override {
    std::vector<SetEntry> entries(items.size());
    for (size_t i = 0; i < items.size(); ++i) {
      entries[i].key = items[i].key;
      entries[i].value = items[i].value;
    }
    uint64_t refused = 0;
    for (int tries = 0; tries < kTries; ++tries) {
      refused = 0;
      for (const auto& stored : client_.MultiSet(entries, {.timeout = kTimeout})) {
        if (stored.ok()) continue;
        if (stored.status().code() != absl::StatusCode::kResourceExhausted) return stored.status();
        ++refused;
      }
      if (refused == 0) break;
    }
    return refused;
  }

 private:
  Client& client_;
};

struct Measured {
  uint64_t limit_mib = 0;
  uint64_t empty_bytes = 0;
  uint64_t rss_bytes = 0;  // anonymous, beyond the empty process
  LookAsideResult result;
};

using Trace = absl::Span<const TraceRequest>;

absl::StatusOr<Measured> Play(const Flags& flags, Trace trace, std::string_view name,
                              const ServerProcess& process, LookAsideTarget& target,
                              uint64_t limit_mib) {
  absl::StatusOr<uint64_t> empty = process.AnonymousBytes();
  if (!empty.ok()) return empty.status();
  Progress progress(absl::StrCat(std::string(name), " ", limit_mib, " MiB"), trace.size(),
                    flags.quiet);
  LookAsideOptions options = flags.look_aside;
  options.progress = [&](uint64_t done) { progress.Update(done, "requests"); };
  absl::StatusOr<LookAsideResult> result = LookAside(trace, options, target);
  if (!result.ok()) return result.status();
  absl::StatusOr<uint64_t> full = process.AnonymousBytes();
  if (!full.ok()) return full.status();
  return Measured{limit_mib, *empty, *full - std::min(*full, *empty), *result};
}

absl::StatusOr<Measured> PlayPeer(const Flags& flags, Trace trace, PeerKind kind,
                                  uint64_t limit_mib) {
  absl::StatusOr<PeerServer> server = StartPeer(kind, limit_mib << 20, 1);
  if (!server.ok()) return server.status();
  PeerTarget target(kind, server->port);
  return Play(flags, trace, PeerName(kind), *server->process, target, limit_mib);
}

absl::StatusOr<Measured> PlayAtoll(const Flags& flags, Trace trace, uint64_t limit_mib) {
  absl::StatusOr<PeerServer> server = StartAtolld(limit_mib << 20, 1);
  if (!server.ok()) return server.status();
  ClientOptions options;
  options.endpoints = {absl::StrCat("127.0.0.1:", server->port)};
  absl::StatusOr<std::unique_ptr<Client>> client = Client::Create(options);
  if (!client.ok()) return client.status();
  if (absl::Status up = (*client)->WaitUntilReady(absl::Now() + absl::Seconds(20)); !up.ok()) {
    return up;
  }
  AtollTarget target(**client);
  return Play(flags, trace, "atoll", *server->process, target, limit_mib);
}

using PlayOnce = std::function<absl::StatusOr<Measured>(uint64_t limit_mib)>;

absl::StatusOr<Measured> PlayWithinGoal(uint64_t goal_bytes, uint64_t least_mib,
                                        const PlayOnce& play) {
  LimitSearch search(goal_bytes, least_mib);
  Measured best;
  while (!search.done()) {
    absl::StatusOr<Measured> measured = play(search.next_mib());
    if (!measured.ok()) return measured;
    if (search.Tried(measured->rss_bytes)) best = *measured;
  }
  return best;
}

nlohmann::json ToJson(const Measured& measured) {
  const LookAsideResult& result = measured.result;
  return {{"limit_mib", measured.limit_mib},
          {"empty_bytes", measured.empty_bytes},
          {"rss_beyond_empty_bytes", measured.rss_bytes},
          {"misses", result.misses},
          {"miss_ratio", result.miss_ratio()},
          {"second_half_misses", result.late_misses},
          {"second_half_miss_ratio", result.late_miss_ratio()},
          {"refused_sets", result.refused},
          {"wrong", result.wrong}};
}

// Plays with each cache in turn, and prints a row of each.
class Rows {
 public:
  Rows(const Flags& flags, Trace trace) : flags_(flags), trace_(trace) {
    json_ = {
        {"file", flags.file}, {"requests", trace.size()}, {"goal_rss_bytes", flags.rss_mib << 20}};
  }

  // Anonymous bytes beyond the empty process.
  uint64_t Atoll(uint64_t goal_bytes) {
    return Row("atoll", PlayWithinGoal(goal_bytes, kLeastAtollMib, [&](uint64_t mib) {
                 return PlayAtoll(flags_, trace_, mib);
               }));
  }
  void Peers(uint64_t goal_bytes, std::string_view suffix) {
    for (const PeerKind kind : {PeerKind::kMemcached, PeerKind::kRedis}) {
      const auto play = [&](uint64_t mib) { return PlayPeer(flags_, trace_, kind, mib); };
      Row(absl::StrCat(std::string(PeerName(kind)), std::string(suffix)),
          PlayWithinGoal(goal_bytes, kLeastPeerMib, play));
    }
  }
  const nlohmann::json& json() const { return json_; }
  uint64_t wrong() const { return wrong_; }

 private:
  uint64_t Row(const std::string& name, const absl::StatusOr<Measured>& measured) {
    if (!measured.ok()) {
      Fail(kCommand, absl::Status(measured.status().code(),
                                  absl::StrCat(name, ": ", measured.status().message())));
    }
    absl::PrintF("%-20s %4d MiB %8.1f MiB %9.2f%% %13.2f%% %8d\n", name, measured->limit_mib,
                 static_cast<double>(measured->rss_bytes) / (1 << 20),
                 100 * measured->result.miss_ratio(), 100 * measured->result.late_miss_ratio(),
                 measured->result.refused);
    json_[name] = ToJson(*measured);
    wrong_ += measured->result.wrong;
    return measured->rss_bytes;
  }

  const Flags& flags_;
  const Trace trace_;
  nlohmann::json json_;
  uint64_t wrong_ = 0;
};

void RunReplayPeers(const Flags& flags) {
  absl::StatusOr<std::vector<TraceRequest>> trace = ReadTrace(flags.file);
  if (!trace.ok()) Fail(kCommand, trace.status());
  if (flags.requests != 0 && flags.requests < trace->size()) trace->resize(flags.requests);
  absl::PrintF(
      "%d requests, look-aside; each cache's limit is the largest with which its anonymous memory "
      "after\nthe run is at most %d MiB beyond what it takes when empty.\n",
      trace->size(), flags.rss_mib);
  absl::PrintF("%-20s %8s %12s %10s %14s %8s\n", "", "limit", "anonymous", "misses", "2nd half",
               "refused");
  const uint64_t goal = flags.rss_mib << 20;
  Rows rows(flags, *trace);
  const uint64_t taken = rows.Atoll(goal);
  rows.Peers(goal, "");
  // With its least limit Atoll may be over the goal: the others get as much as it took.
  if (static_cast<double>(taken) > LimitSearch::kTolerance * static_cast<double>(goal)) {
    rows.Peers(taken, ", as atoll");
  }
  if (!flags.json.empty()) {
    if (absl::Status written = WriteJson(flags.json, rows.json()); !written.ok()) {
      Fail(kCommand, written);
    }
  }
  if (rows.wrong() != 0) Fail(kCommand, absl::DataLossError("values came back wrong"));
}

}  // namespace

void AddReplayPeersCommand(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "replay-peers",
      "Misses of Atoll, memcached and Redis on a trace, look-aside, with the same memory each");
  command->add_option("FILE", flags->file, "Trace: *.trace[.xz] (4-byte keys) or 16-byte records")
      ->required();
  command->add_option("--rss", flags->rss_mib, "MiB of anonymous memory beyond the empty process")
      ->check(CLI::Range(uint64_t{16}, uint64_t{1} << 20))
      ->capture_default_str();
  command->add_option("--batch", flags->look_aside.batch, "Keys of a multi-get at most")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  command
      ->add_option("--value-bytes", flags->look_aside.value_bytes,
                   "Size of a value where the trace has none")
      ->check(CLI::Range(1u, 1u << 20))
      ->capture_default_str();
  command->add_option("--requests", flags->requests, "Stop after so many (0: the whole trace)");
  command->add_option("--json", flags->json, "Write the figures to this file");
  command->add_flag("--quiet", flags->quiet, "No progress bar");
  command->callback([flags] { RunReplayPeers(*flags); });
}

}  // namespace atoll::bench
