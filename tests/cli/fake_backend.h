// A cluster in a map, with figures that never change: what the golden tests of the CLI run against.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "cli/backend.h"

namespace atoll::cli {

// The cluster: it outlives the backends, of which each command makes one.
struct FakeState {
  absl::Status failure;  // what every call fails with
  std::map<std::string, GetResult> entries;
  uint64_t version = uint64_t{1} << 40;
  std::vector<Namespace> namespaces = {{"default", 1, {}}};
  uint32_t last_namespace = 1;
  uint32_t drained = 99;
  ClusterHealth health{.serving = true,
                       .fully_replicated = true,
                       .partitions_without_primary = 0,
                       .partitions_under_replicated = 0,
                       .nodes_up = 3,
                       .nodes_known = 3,
                       .coordinator_up = true};
};

class FakeBackend final : public Backend {
 public:
  explicit FakeBackend(FakeState& state)
      : failure_(state.failure),
        entries_(state.entries),
        version_(state.version),
        namespaces_(state.namespaces),
        last_namespace_(state.last_namespace),
        drained_(state.drained),
        health_(state.health) {}

  absl::StatusOr<GetResult> Get(std::string_view key, const GetOptions& options) override {
    if (absl::Status status = Check(key, options.ns); !status.ok()) return status;
    GetResult result = Find(key);
    if (options.metadata_only) result.value = Value();
    return result;
  }
  absl::StatusOr<GetResult> GetAndTouch(std::string_view key,
                                        const TouchOptions& options) override {
    const absl::StatusOr<WriteResult> touched = Touch(key, options);
    if (!touched.ok()) return touched.status();
    return Find(key);
  }
  absl::StatusOr<WriteResult> Set(std::string_view key, std::string_view value,
                                  const SetOptions& options) override {
    if (absl::Status status = Check(key, options.ns); !status.ok()) return status;
    GetResult& entry = entries_[std::string(key)];
    entry = {.outcome = Outcome::kOk,
             .value = Value(std::string(value)),
             .version = ++version_,
             .flags = options.flags,
             .max_idle = options.max_idle,
             .size = value.size()};
    if (options.ttl.value_or(absl::ZeroDuration()) != absl::ZeroDuration()) entry.ttl = options.ttl;
    return Done();
  }
  absl::StatusOr<WriteResult> Add(std::string_view key, std::string_view value,
                                  const SetOptions& options) override {
    if (absl::Status status = Check(key, options.ns); !status.ok()) return status;
    if (Find(key).found()) return Refused(Outcome::kNotStored, Find(key).version);
    return Set(key, value, options);
  }
  absl::StatusOr<WriteResult> Replace(std::string_view key, std::string_view value,
                                      const SetOptions& options) override {
    if (absl::Status status = Check(key, options.ns); !status.ok()) return status;
    if (!Find(key).found()) return Refused(Outcome::kNotStored, 0);
    return Set(key, value, options);
  }
  absl::StatusOr<WriteResult> CompareAndSwap(std::string_view key, std::string_view value,
                                             uint64_t expected_version,
                                             const SetOptions& options) override {
    if (absl::Status status = Check(key, options.ns); !status.ok()) return status;
    const GetResult entry = Find(key);
    if (!entry.found()) return Refused(Outcome::kMiss, 0);
    if (entry.version != expected_version) return Refused(Outcome::kMismatch, entry.version);
    return Set(key, value, options);
  }
  absl::StatusOr<WriteResult> Touch(std::string_view key, const TouchOptions& options) override {
    if (absl::Status status = Check(key, options.ns); !status.ok()) return status;
    if (!Find(key).found()) return Refused(Outcome::kMiss, 0);
    GetResult& entry = entries_[std::string(key)];
    entry.version = ++version_;
    entry.ttl = options.ttl == absl::ZeroDuration() ? std::nullopt : options.ttl;
    entry.max_idle = options.max_idle.value_or(entry.max_idle);
    return Done();
  }
  absl::StatusOr<WriteResult> Append(std::string_view key, std::string_view suffix,
                                     const CallOptions& options) override {
    if (absl::Status status = Check(key, options.ns); !status.ok()) return status;
    if (!Find(key).found()) return Refused(Outcome::kNotStored, 0);
    return Set(key, Find(key).value.ToString() + std::string(suffix), {});
  }
  absl::StatusOr<WriteResult> Prepend(std::string_view key, std::string_view prefix,
                                      const CallOptions& options) override {
    if (absl::Status status = Check(key, options.ns); !status.ok()) return status;
    if (!Find(key).found()) return Refused(Outcome::kNotStored, 0);
    return Set(key, std::string(prefix) + Find(key).value.ToString(), {});
  }
  absl::StatusOr<CounterResult> Increment(std::string_view key, int64_t delta,
                                          const CounterOptions& options) override {
    if (absl::Status status = Check(key, options.ns); !status.ok()) return status;
    const GetResult entry = Find(key);
    int64_t number = 0;
    if (!entry.found() && !options.initial.has_value()) {
      return CounterResult{.outcome = Outcome::kMiss};
    }
    if (!entry.found()) {
      number = *options.initial;
    } else if (absl::SimpleAtoi(entry.value.ToString(), &number)) {
      number += delta;
    } else {
      return absl::FailedPreconditionError("value: no decimal number");
    }
    if (auto set = Set(key, absl::StrCat(number), {.ttl = options.ttl}); !set.ok()) {
      return set.status();
    }
    return CounterResult{.number = number, .version = version_, .copies = 2};
  }
  absl::StatusOr<CounterResult> Decrement(std::string_view key, int64_t delta,
                                          const CounterOptions& options) override {
    return Increment(key, -delta, options);
  }
  Client::Results<GetResult> MultiGet(absl::Span<const std::string_view> keys,
                                      const MultiGetOptions& options) override {
    Client::Results<GetResult> results;
    for (const std::string_view key : keys) results.push_back(Get(key, {.ns = options.ns}));
    return results;
  }
  Client::Results<WriteResult> MultiSet(absl::Span<const SetEntry> entries,
                                        const CallOptions& options) override {
    Client::Results<WriteResult> results;
    for (const SetEntry& entry : entries) {
      results.push_back(Set(entry.key, entry.value, {.ns = options.ns, .ttl = entry.ttl}));
    }
    return results;
  }
  Client::Results<WriteResult> MultiDelete(absl::Span<const std::string_view> keys,
                                           const CallOptions& options) override {
    Client::Results<WriteResult> results;
    for (const std::string_view key : keys) {
      if (absl::Status status = Check(key, options.ns); !status.ok()) {
        results.push_back(status);
      } else if (entries_.erase(std::string(key)) == 0) {
        results.push_back(Refused(Outcome::kMiss, 0));
      } else {
        ++version_;
        results.push_back(Done());
      }
    }
    return results;
  }
  // Two entries a page at the most.
  absl::StatusOr<ScanPage> Scan(const ScanOptions& options) override {
    if (absl::Status status = Check("k", options.ns); !status.ok()) return status;
    ScanPage page;
    for (auto at = entries_.upper_bound(options.cursor); at != entries_.end(); ++at) {
      if (at->first.compare(0, options.prefix.size(), options.prefix) != 0) continue;
      if (page.entries.size() == std::min<size_t>(2, options.limit)) {
        page.cursor = page.entries.back().key;
        break;
      }
      GetResult entry = at->second;
      if (!options.with_values) entry.value = Value();
      page.entries.push_back({at->first, entry});
    }
    return page;
  }
  absl::Status Flush(const CallOptions& options) override {
    if (absl::Status status = Check("k", options.ns); !status.ok()) return status;
    entries_.clear();
    return absl::OkStatus();
  }

  absl::StatusOr<Namespace> CreateNamespace(std::string_view name,
                                            const NamespaceSettings& settings) override {
    if (!failure_.ok()) return failure_;
    for (const Namespace& ns : namespaces_) {
      if (ns.name == name) {
        return absl::AlreadyExistsError(absl::StrCat("namespace: ", ns.name, " exists"));
      }
    }
    namespaces_.push_back({std::string(name), ++last_namespace_, settings});
    return namespaces_.back();
  }
  absl::StatusOr<Namespace> UpdateNamespace(std::string_view name,
                                            const NamespaceSettings& settings) override {
    for (Namespace& ns : namespaces_) {
      if (ns.name != name) continue;
      if (settings.default_ttl) ns.settings.default_ttl = settings.default_ttl;
      if (settings.max_memory_percent) {
        ns.settings.max_memory_percent = settings.max_memory_percent;
      }
      if (settings.persistence != Persistence::kDefault) {
        ns.settings.persistence = settings.persistence;
      }
      return ns;
    }
    return absl::NotFoundError("namespace: no such namespace: " + std::string(name));
  }
  absl::StatusOr<std::vector<Namespace>> ListNamespaces() override {
    if (!failure_.ok()) return failure_;
    return namespaces_;
  }
  absl::Status DropNamespace(std::string_view name) override {
    for (auto at = namespaces_.begin(); at != namespaces_.end(); ++at) {
      if (at->name != name) continue;
      namespaces_.erase(at);
      return absl::OkStatus();
    }
    return absl::NotFoundError("namespace: no such namespace: " + std::string(name));
  }
  absl::StatusOr<NodeList> ListNodes() override {
    if (!failure_.ok()) return failure_;
    NodeList list;
    list.map_version = 17;
    for (uint32_t i = 0; i < 3; ++i) {
      list.nodes.push_back({.node = MakeNode(i),
                            .primaries = 1365 + i % 2,
                            .replicas = i == drained_ ? 0 : 1365u,
                            .learners = i == 2 ? 4u : 0u,
                            .controller = i == 0});
      if (i == drained_) list.nodes.back().primaries = list.nodes.back().learners = 0;
    }
    return list;
  }
  absl::Status DrainNode(std::string_view name, bool undo) override {
    if (name.size() != 2 || name[0] != 'n' || name[1] < '1' || name[1] > '3') {
      return absl::NotFoundError("node: no such node: " + std::string(name));
    }
    drained_ = undo ? 99 : static_cast<uint32_t>(name[1] - '1');
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<NodeAnswer>> Stats() override {
    if (!failure_.ok()) return failure_;
    std::vector<NodeAnswer> answers;
    for (uint32_t i = 0; i < 3; ++i) {
      NodeStats stats;
      stats.node = MakeNode(i);
      stats.uptime = absl::Hours(5) + absl::Seconds(7);
      stats.items = uint64_t{123456} * (i + 1);
      stats.memory_used_bytes = (uint64_t{100} << 20) * (i + 1);
      stats.memory_limit_bytes = uint64_t{256} << 20;
      stats.live_bytes = uint64_t{80} << 20;
      stats.dead_bytes = uint64_t{7} << 20;
      stats.pinned_bytes = uint64_t{3} << 20;
      stats.index_bytes = uint64_t{9} << 20;
      stats.ghost_bytes = uint64_t{1} << 20;
      stats.rss_anonymous_bytes = uint64_t{150} << 20;
      stats.rpc_budget_bytes = uint64_t{65} << 20;
      stats.rocksdb_budget_bytes = uint64_t{66} << 20;
      stats.rest_budget_bytes = uint64_t{64} << 20;
      stats.hits = i == 1 ? 0 : 900;
      stats.misses = i == 1 ? 0 : 100;
      stats.reads = i == 1 ? 0 : 1000;
      stats.writes = 5;
      stats.evictions = 42;
      stats.ops_per_second = 10234.4 * i;
      stats.p50 = absl::Microseconds(61);
      stats.p99 = absl::Microseconds(1234);
      stats.primaries = 1365;
      stats.replicas = 1366;
      stats.disk_bytes = 5000;
      stats.coordinator_up = true;
      answers.push_back({stats.node, stats});
    }
    answers[2].stats = absl::UnavailableError("connection refused");
    answers[2].node.state = health_.nodes_up == 3 ? NodeState::kUp : NodeState::kDown;
    return answers;
  }
  absl::StatusOr<Topology> GetTopology() override {
    if (!failure_.ok()) return failure_;
    Topology topology{.version = 17, .cluster = "atoll", .cluster_id = "4f1c"};
    topology.replication_factor = 2;
    for (uint32_t i = 0; i < 3; ++i) topology.nodes.push_back(MakeNode(i));
    for (uint32_t i = 0; i < 8; ++i) {
      topology.partitions.push_back(
          {.partition = i, .epoch = 3, .primary = i % 3, .in_sync = {i % 3, (i + 1) % 3}});
    }
    topology.partitions[6].learners = {2};
    topology.partitions[7].primary.reset();
    return topology;
  }
  absl::StatusOr<Explanation> Explain(std::string_view key, std::string_view ns) override {
    if (absl::Status status = Check(key, std::string(ns)); !status.ok()) return status;
    Explanation explanation;
    explanation.hash = 0x0123456789abcdef;
    explanation.partition = {.partition = 18, .epoch = 3, .primary = 1, .in_sync = {1, 0}};
    for (uint32_t i = 0; i < 2; ++i) explanation.nodes.push_back(MakeNode(i));
    const GetResult entry = Find(key);
    explanation.tier = entry.found() ? Tier::kMemory : Tier::kAbsent;
    explanation.version = entry.version;
    explanation.ttl = entry.ttl;
    explanation.size = entry.size;
    explanation.flags = entry.flags;
    return explanation;
  }
  absl::StatusOr<ClusterHealth> Health() override {
    if (!failure_.ok()) return failure_;
    return health_;
  }
  absl::StatusOr<absl::Duration> Ping(std::string_view address) override {
    if (!failure_.ok()) return failure_;
    if (address == "n3:7850") return absl::UnavailableError("connection refused");
    return absl::Microseconds(431);
  }
  // While a command sleeps, one more node comes up.
  void Sleep(absl::Duration /*duration*/) override {
    if (health_.nodes_up < 3 && ++health_.nodes_up == 3) {
      health_.serving = health_.fully_replicated = true;
      health_.partitions_without_primary = health_.partitions_under_replicated = 0;
    }
  }

 private:
  static Node MakeNode(uint32_t i) {
    const std::string name = absl::StrCat("n", i + 1);
    return {.name = name,
            .incarnation = 0xabc0 + i,
            .zone = i == 2 ? "west" : "east",
            .weight = 1,
            .state = i == 2 ? NodeState::kDown : NodeState::kUp,
            .address = name + ":7850",
            .program_version = "0.1.0"};
  }
  absl::Status Check(std::string_view key, const std::string& ns) const {
    if (!failure_.ok()) return failure_;
    if (key == "overloaded") return absl::ResourceExhaustedError("overloaded");
    if (key.size() > 1024) {
      return absl::InvalidArgumentError(absl::StrCat("key: ", key.size(), " bytes, limit 1024"));
    }
    if (!ns.empty() && ns != "default" && ns != "sessions") {
      return absl::NotFoundError("namespace: no such namespace: " + ns);
    }
    return absl::OkStatus();
  }
  GetResult Find(std::string_view key) const {
    const auto found = entries_.find(std::string(key));
    return found == entries_.end() ? GetResult() : found->second;
  }
  WriteResult Done() const { return {.outcome = Outcome::kOk, .version = version_, .copies = 2}; }
  static WriteResult Refused(Outcome outcome, uint64_t version) {
    return {.outcome = outcome, .version = version};
  }

  absl::Status& failure_;
  std::map<std::string, GetResult>& entries_;
  uint64_t& version_;
  std::vector<Namespace>& namespaces_;
  uint32_t& last_namespace_;
  uint32_t& drained_;
  ClusterHealth& health_;
};

}  // namespace atoll::cli
