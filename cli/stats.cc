#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/strings.h"
#include "cli/commands.h"

namespace atoll::cli {
namespace {

struct Arguments {
  bool watch = false;
  std::optional<absl::Duration> interval;
  int count = 0;  // looks; 0: until interrupted
};

// One line of the table: for eyes, and exact for pipes.
struct Figure {
  const char* label;
  const char* name;
  std::function<std::string(const NodeStats&)> shown;
  std::function<std::string(const NodeStats&)> exact;
};

std::string Exact(uint64_t number) { return absl::StrCat(number); }
std::string Micros(absl::Duration duration) {
  return absl::StrFormat("%.1f", absl::ToDoubleMicroseconds(duration));
}

Figure Counted(const char* label, const char* name, uint64_t NodeStats::*field) {
  return {label, name, [field](const NodeStats& s) { return Number(s.*field); },
          [field](const NodeStats& s) { return Exact(s.*field); }};
}
Figure Counted(const char* label, const char* name, uint32_t NodeStats::*field) {
  return {label, name, [field](const NodeStats& s) { return Number(s.*field); },
          [field](const NodeStats& s) { return Exact(s.*field); }};
}
Figure Sized(const char* label, const char* name, uint64_t NodeStats::*field) {
  return {label, name, [field](const NodeStats& s) { return Bytes(s.*field); },
          [field](const NodeStats& s) { return Exact(s.*field); }};
}
Figure Timed(const char* label, const char* name, absl::Duration NodeStats::*field) {
  return {label, name, [field](const NodeStats& s) { return Short(s.*field); },
          [field](const NodeStats& s) { return Micros(s.*field); }};
}

std::vector<Figure> Figures() {
  return {
      Counted("items", "items", &NodeStats::items),
      Sized("memory used", "memory_used_bytes", &NodeStats::memory_used_bytes),
      Sized("memory limit", "memory_limit_bytes", &NodeStats::memory_limit_bytes),
      Sized("live entries", "live_bytes", &NodeStats::live_bytes),
      Sized("dead space", "dead_bytes", &NodeStats::dead_bytes),
      Sized("pinned", "pinned_bytes", &NodeStats::pinned_bytes),
      Sized("index", "index_bytes", &NodeStats::index_bytes),
      Sized("ghosts", "ghost_bytes", &NodeStats::ghost_bytes),
      Sized("process memory", "rss_anonymous_bytes", &NodeStats::rss_anonymous_bytes),
      {"process budget", "process_budget_bytes",
       [](const NodeStats& s) { return Bytes(s.process_budget_bytes()); },
       [](const NodeStats& s) { return Exact(s.process_budget_bytes()); }},
      {"hit ratio", "hit_ratio",
       [](const NodeStats& s) { return s.hits + s.misses == 0 ? "-" : Percent(s.hit_ratio()); },
       [](const NodeStats& s) { return absl::StrFormat("%.4f", s.hit_ratio()); }},
      {"ops/s", "ops_per_second",
       [](const NodeStats& s) {
         return Number(static_cast<uint64_t>(std::llround(s.ops_per_second)));
       },
       [](const NodeStats& s) { return absl::StrFormat("%.1f", s.ops_per_second); }},
      Timed("p50", "p50_us", &NodeStats::p50),
      Timed("p99", "p99_us", &NodeStats::p99),
      Counted("reads", "reads", &NodeStats::reads),
      Counted("writes", "writes", &NodeStats::writes),
      Counted("evictions", "evictions", &NodeStats::evictions),
      Counted("expirations", "expirations", &NodeStats::expirations),
      Counted("forwarded", "forwarded", &NodeStats::forwarded),
      Counted("collapsed", "collapsed", &NodeStats::collapsed),
      Counted("refused", "refused", &NodeStats::refused),
      Counted("partitions owned", "primaries", &NodeStats::primaries),
      Counted("partitions held", "replicas", &NodeStats::replicas),
      Counted("learning", "learners", &NodeStats::learners),
      Counted("under-replicated", "under_replicated", &NodeStats::under_replicated),
      Counted("replication lag", "replication_lag_records", &NodeStats::replication_lag_records),
      Timed("oldest lag", "replication_lag_us", &NodeStats::replication_lag),
      Counted("disk entries", "disk_entries", &NodeStats::disk_entries),
      Sized("disk used", "disk_bytes", &NodeStats::disk_bytes),
      {"coordinator", "coordinator_up",
       [](const NodeStats& s) { return s.coordinator_up ? "up" : "DOWN"; },
       [](const NodeStats& s) { return s.coordinator_up ? "1" : "0"; }},
      {"uptime", "uptime_s", [](const NodeStats& s) { return Short(s.uptime); },
       [](const NodeStats& s) { return absl::StrCat(absl::ToInt64Seconds(s.uptime)); }},
  };
}

void PrintStatsTable(Context& context, const std::vector<NodeAnswer>& nodes) {
  std::vector<std::string> header = {""};
  for (const NodeAnswer& node : nodes) {
    const bool down = node.node.state == NodeState::kDown;
    header.push_back(node.node.name + (down ? " (down)" : ""));
  }
  Table table(header);
  for (const Figure& figure : Figures()) {
    std::vector<std::string> row = {figure.label};
    for (const NodeAnswer& node : nodes) {
      row.push_back(node.stats.ok() ? figure.shown(*node.stats) : "-");
    }
    table.Add(std::move(row));
  }
  table.Print(context.out());
}

// node, figure, value: a line each.
void PrintStatsRaw(Context& context, const std::vector<NodeAnswer>& nodes) {
  for (const NodeAnswer& node : nodes) {
    if (!node.stats.ok()) continue;
    for (const Figure& figure : Figures()) {
      context.out() << node.node.name << "\t" << figure.name << "\t" << figure.exact(*node.stats)
                    << "\n";
    }
  }
}

void PrintStatsJson(Context& context, const std::vector<NodeAnswer>& nodes) {
  Json array = Json::array();
  for (const NodeAnswer& node : nodes) {
    Json object;
    object["node"] = node.node.name;
    object["state"] = std::string(NodeStateName(node.node.state));
    object["address"] = node.node.address;
    if (node.stats.ok()) {
      // The same exact figures, as numbers.
      for (const Figure& figure : Figures()) {
        object[figure.name] = Json::parse(figure.exact(*node.stats));
      }
    } else {
      object["error"] = std::string(base::AsStd(node.stats.status().message()));
    }
    array.push_back(object);
  }
  context.PrintJson(array);
}

void Look(Context& context, Backend& backend, bool clear) {
  const absl::StatusOr<std::vector<NodeAnswer>> nodes = backend.Stats();
  if (!nodes.ok()) return context.Fail(nodes.status());
  // To the upper left corner; what is below the new table is cleared after it.
  if (clear) context.out() << "\033[H\033[J";
  switch (context.format()) {
    case Format::kTable:
      PrintStatsTable(context, *nodes);
      break;
    case Format::kRaw:
      PrintStatsRaw(context, *nodes);
      break;
    case Format::kJson:
      PrintStatsJson(context, *nodes);
      break;
  }
  context.out().flush();
  for (const NodeAnswer& node : *nodes) {
    // That a node is down is an answer, not a failure to get one.
    const bool known_down = node.node.state == NodeState::kDown;
    if (!node.stats.ok() && !known_down) context.Fail(node.stats.status(), node.node.name);
  }
}

void Run(Context& context, const Arguments& arguments) {
  Backend* backend = context.backend();
  if (backend == nullptr) return;
  if (!arguments.watch) return Look(context, *backend, false);
  const bool clear = context.io().out_terminal && context.format() == Format::kTable;
  for (int i = 0; arguments.count == 0 || i < arguments.count; ++i) {
    if (i > 0) {
      backend->Sleep(arguments.interval.value_or(absl::Seconds(2)));
      if (!clear && context.format() == Format::kTable) context.out() << "\n";
    }
    Look(context, *backend, clear);
    // Nobody reads any more.
    if (!context.out()) return;
  }
}

}  // namespace

void AddStats(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      AddCommand(app, context, "stats", "Figures of every node, side by side", kClusterGroup,
                 [&context, arguments] { Run(context, *arguments); });
  command->add_flag("-w,--watch", arguments->watch, "Refresh until interrupted");
  AddDuration(*command, "--interval", &arguments->interval, "Between two looks (default 2s)");
  command->add_option("--count", arguments->count, "With --watch: how many looks")
      ->type_name("NUMBER");
}

}  // namespace atoll::cli
