#include "bench/memory_command.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "bench/exit.h"
#include "bench/peers/process.h"
#include "bench/progress.h"
#include "bench/report.h"
#include "client/include/atoll/client.h"

namespace atoll::bench {
namespace {

constexpr std::string_view kCommand = "memory";
constexpr uint64_t kBatch = 100;

struct Flags {
  uint64_t items = 10'000'000;
  uint32_t key_bytes = 24;
  uint32_t value_bytes = 100;
  uint32_t ttl_seconds = 86'400;
  std::string json;
  bool quiet = false;
};

std::string KeyOf(uint64_t index, uint32_t bytes) {
  std::string key = absl::StrFormat("%016x", index * 0x9E3779B97F4A7C15);
  key.resize(std::max<size_t>(bytes, key.size()), 'k');
  return key;
}

// Values differ, so that nothing can share or compress them.
std::string ValueOf(uint64_t index, uint32_t bytes) {
  std::string value(bytes, '\0');
  uint64_t state = index;
  for (char& c : value) {
    state = state * 6364136223846793005 + 1442695040888963407;
    c = static_cast<char>('a' + (state >> 59) % 26);
  }
  return value;
}

using StoreBatch = std::function<absl::Status(const std::vector<std::string>& keys,
                                              const std::vector<std::string>& values)>;

absl::Status Load(const Flags& flags, std::string_view name, const StoreBatch& store) {
  Progress progress(std::string(name), flags.items, flags.quiet);
  for (uint64_t at = 0; at < flags.items; at += kBatch) {
    std::vector<std::string> keys;
    std::vector<std::string> values;
    for (uint64_t i = at; i < std::min(at + kBatch, flags.items); ++i) {
      keys.push_back(KeyOf(i, flags.key_bytes));
      values.push_back(ValueOf(i, flags.value_bytes));
    }
    if (absl::Status stored = store(keys, values); !stored.ok()) return stored;
    progress.Update(at + keys.size(), "items");
  }
  return absl::OkStatus();
}

struct Measured {
  double beyond_payload = 0;  // bytes an item
  uint64_t empty_bytes = 0;
  uint64_t loaded_bytes = 0;
};

Measured Figures(const Flags& flags, uint64_t empty, uint64_t loaded) {
  const auto payload = static_cast<double>(KeyOf(0, flags.key_bytes).size() + flags.value_bytes);
  return {.beyond_payload = (static_cast<double>(loaded) - static_cast<double>(empty)) /
                                static_cast<double>(flags.items) -
                            payload,
          .empty_bytes = empty,
          .loaded_bytes = loaded};
}

// Twice what any of them takes: nothing may be evicted.
uint64_t Limit(const Flags& flags) {
  const uint64_t each = flags.key_bytes + flags.value_bytes + 256;
  return std::max<uint64_t>(flags.items * each * 2, uint64_t{256} << 20);
}

absl::StatusOr<Measured> MeasurePeer(const Flags& flags, PeerKind kind) {
  absl::StatusOr<PeerServer> server = StartPeer(kind, Limit(flags), 1);
  if (!server.ok()) return server.status();
  absl::StatusOr<std::unique_ptr<PeerConnection>> connection = ConnectPeer(kind, server->port);
  if (!connection.ok()) return connection.status();
  absl::StatusOr<uint64_t> empty = server->process->AnonymousBytes();
  if (!empty.ok()) return empty.status();
  const absl::Status loaded_all =
      Load(flags, PeerName(kind),
           [&](const std::vector<std::string>& keys, const std::vector<std::string>& values) {
             std::vector<PeerItem> items;
             for (size_t i = 0; i < keys.size(); ++i) items.push_back({keys[i], values[i]});
             return (*connection)->SetMany(items, flags.ttl_seconds);
           });
  if (!loaded_all.ok()) return loaded_all;
  absl::StatusOr<uint64_t> loaded = server->process->AnonymousBytes();
  if (!loaded.ok()) return loaded.status();
  return Figures(flags, *empty, *loaded);
}

absl::StatusOr<Measured> MeasureAtoll(const Flags& flags) {
  absl::StatusOr<PeerServer> server = StartAtolld(Limit(flags), 1);
  if (!server.ok()) return server.status();
  absl::StatusOr<std::unique_ptr<Client>> client =
      Client::Create({.endpoints = {absl::StrCat("127.0.0.1:", server->port)}});
  if (!client.ok()) return client.status();
  if (absl::Status up = (*client)->WaitUntilReady(absl::Now() + absl::Seconds(20)); !up.ok()) {
    return up;
  }
  absl::StatusOr<uint64_t> empty = server->process->AnonymousBytes();
  if (!empty.ok()) return empty.status();
  const absl::Status loaded_all = Load(
      flags, "atoll",
      [&](const std::vector<std::string>& keys, const std::vector<std::string>& values) {
        std::vector<SetEntry> entries;
        for (size_t i = 0; i < keys.size(); ++i) {
          entries.push_back(
              {.key = keys[i], .value = values[i], .ttl = absl::Seconds(flags.ttl_seconds)});
        }
        for (const auto& stored : (*client)->MultiSet(entries, {.timeout = absl::Seconds(30)})) {
          if (!stored.ok()) return stored.status();
        }
        return absl::OkStatus();
      });
  if (!loaded_all.ok()) return loaded_all;
  absl::StatusOr<uint64_t> loaded = server->process->AnonymousBytes();
  if (!loaded.ok()) return loaded.status();
  return Figures(flags, *empty, *loaded);
}

void RunMemory(const Flags& flags) {
  nlohmann::json json = {{"items", flags.items},
                         {"key_bytes", flags.key_bytes},
                         {"value_bytes", flags.value_bytes},
                         {"ttl_seconds", flags.ttl_seconds}};
  absl::PrintF("%-10s %14s %12s %12s\n", "", "beyond payload", "empty", "loaded");
  const std::vector<std::pair<std::string, std::function<absl::StatusOr<Measured>()>>> caches = {
      {"atoll", [&] { return MeasureAtoll(flags); }},
      {"memcached", [&] { return MeasurePeer(flags, PeerKind::kMemcached); }},
      {"redis", [&] { return MeasurePeer(flags, PeerKind::kRedis); }}};
  for (const auto& [name, measure] : caches) {
    const absl::StatusOr<Measured> measured = measure();
    if (!measured.ok()) Fail(kCommand, measured.status());
    absl::PrintF("%-10s %12.1f B %8d MiB %8d MiB\n", name, measured->beyond_payload,
                 measured->empty_bytes >> 20, measured->loaded_bytes >> 20);
    json[name] = {{"bytes_beyond_payload", measured->beyond_payload},
                  {"empty_bytes", measured->empty_bytes},
                  {"loaded_bytes", measured->loaded_bytes}};
  }
  if (flags.json.empty()) return;
  if (absl::Status written = WriteJson(flags.json, json); !written.ok()) Fail(kCommand, written);
}

}  // namespace

void AddMemoryCommand(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "memory", "Bytes that Atoll, memcached and Redis take for an item beyond its key and value");
  command->add_option("--items", flags->items, "Items to store in each")
      ->check(CLI::Range(uint64_t{1000}, uint64_t{1'000'000'000}))
      ->capture_default_str();
  command->add_option("--key-bytes", flags->key_bytes, "Size of a key")
      ->check(CLI::Range(16u, 250u))
      ->capture_default_str();
  command->add_option("--value-bytes", flags->value_bytes, "Size of a value")
      ->check(CLI::Range(0u, 1u << 20))
      ->capture_default_str();
  command->add_option("--ttl", flags->ttl_seconds, "Seconds to live (0: for ever)")
      ->check(CLI::Range(0u, 2'592'000u))
      ->capture_default_str();
  command->add_option("--json", flags->json, "Write the figures to this file");
  command->add_flag("--quiet", flags->quiet, "No progress bar");
  command->callback([flags] { RunMemory(*flags); });
}

}  // namespace atoll::bench
