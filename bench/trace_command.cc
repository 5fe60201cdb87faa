#include "bench/trace_command.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "bench/exit.h"
#include "bench/report.h"
#include "bench/trace.h"
#include "bench/trace_compare.h"

namespace atoll::bench {
namespace {

constexpr std::string_view kCommand = "trace";
constexpr size_t kPolicyCount = std::size(kPolicies);

struct Flags {
  std::vector<std::string> files;
  std::vector<double> sizes = {1, 5, 10, 20};
  std::vector<uint64_t> memory_mib;
  std::string json;
};

// One trace at one size.
struct Cell {
  std::string trace;
  std::string size;
  std::array<double, kPolicyCount> miss_ratio{};
};

// Fewer misses than `peer` has, as a share of its misses; negative if more.
double Reduction(const Cell& cell, size_t peer) {
  return 1 - cell.miss_ratio[0] / std::max(cell.miss_ratio[peer], 1e-12);
}

void PrintHeader(const char* last) {
  absl::PrintF("%-22s %10s", "trace", "size");
  for (const PolicyKind kind : kPolicies) absl::PrintF(" %10s", PolicyName(kind));
  absl::PrintF(" %10s\n", last);
}

Cell Compare(const std::string& name, absl::Span<const TraceRequest> trace, std::string size,
             uint64_t capacity) {
  Cell cell{name, std::move(size), {}};
  absl::PrintF("%-22s %10s", cell.trace, cell.size);
  for (size_t p = 0; p < kPolicyCount; ++p) {
    cell.miss_ratio[p] = MissRatio(*NewPolicy(kPolicies[p], capacity), trace);
    absl::PrintF(" %10.4f", cell.miss_ratio[p]);
  }
  return cell;
}

nlohmann::json CellJson(const Cell& cell) {
  nlohmann::json json = {{"trace", cell.trace}, {"size", cell.size}};
  for (size_t p = 0; p < kPolicyCount; ++p) {
    json["miss_ratio"][std::string(PolicyName(kPolicies[p]))] = cell.miss_ratio[p];
  }
  return json;
}

// Every trace counts alike, whatever it has of requests; so does every size.
nlohmann::json Summarize(const std::vector<Cell>& cells) {
  nlohmann::json json;
  for (size_t peer = 1; peer < kPolicyCount; ++peer) {
    double sum = 0;
    nlohmann::json by_trace;
    std::string worst;
    double worst_reduction = 1;
    for (size_t from = 0; from < cells.size();) {
      size_t to = from;
      double of_trace = 0;
      for (; to < cells.size() && cells[to].trace == cells[from].trace; ++to) {
        of_trace += Reduction(cells[to], peer);
      }
      sum += of_trace;
      of_trace /= static_cast<double>(to - from);
      by_trace[cells[from].trace] = of_trace;
      if (of_trace < worst_reduction) {
        worst_reduction = of_trace;
        worst = cells[from].trace;
      }
      from = to;
    }
    const double mean = sum / static_cast<double>(cells.size());
    const std::string name(PolicyName(kPolicies[peer]));
    absl::PrintF("fewer misses than %-10s %6.2f%% on average; worst trace %s, %6.2f%%\n", name,
                 100 * mean, worst, 100 * worst_reduction);
    json[name] = {{"mean_reduction", mean},
                  {"worst_trace", worst},
                  {"worst_reduction", worst_reduction},
                  {"by_trace", by_trace}};
  }
  return json;
}

void RunTrace(const Flags& flags) {
  std::vector<Cell> cells;
  nlohmann::json json = {{"engine", nlohmann::json::array()}};
  PrintHeader(flags.memory_mib.empty() ? "" : "engine");
  for (const std::string& file : flags.files) {
    absl::StatusOr<std::vector<TraceRequest>> trace = ReadTrace(file);
    if (!trace.ok()) Fail(kCommand, trace.status());
    const std::string base = std::filesystem::path(file).filename().string();
    const std::string name = base.substr(0, base.find('.'));
    const TraceExtent extent = ExtentOf(*trace);
    json["traces"][name] = {{"requests", trace->size()}, {"keys", extent.keys}};
    for (const double percent : flags.sizes) {
      const double capacity = static_cast<double>(extent.weight) * percent / 100;
      cells.push_back(Compare(name, *trace, absl::StrFormat("%g%%", percent),
                              std::max<uint64_t>(static_cast<uint64_t>(capacity), 1)));
      absl::PrintF("\n");
    }
    // Memory means nothing to a trace that knows no sizes.
    if (trace->front().size == 0) continue;
    for (const uint64_t mib : flags.memory_mib) {
      const Cell cell = Compare(name, *trace, absl::StrFormat("%d MiB", mib), mib << 20);
      const absl::StatusOr<double> engine = EngineMissRatio(mib << 20, *trace);
      if (!engine.ok()) Fail(kCommand, engine.status());
      absl::PrintF(" %10.4f\n", *engine);
      nlohmann::json& row = json["engine"].emplace_back(CellJson(cell));
      row["miss_ratio"]["engine"] = *engine;
    }
  }
  for (const Cell& cell : cells) json["cells"].push_back(CellJson(cell));
  if (!cells.empty()) json["fewer_misses_than"] = Summarize(cells);
  if (flags.json.empty()) return;
  if (absl::Status written = WriteJson(flags.json, json); !written.ok()) Fail(kCommand, written);
}

}  // namespace

void AddTraceCommand(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "trace", "Miss ratios of Atoll's eviction policy, memcached's, Redis' and LRU over traces");
  command->add_option("files", flags->files, "Traces (bench/traces, or records of 16 bytes)")
      ->required();
  command->add_option("--sizes", flags->sizes, "Cache sizes, in percent of all different keys")
      ->delimiter(',')
      ->check(CLI::Range(0.01, 100.0))
      ->capture_default_str();
  command
      ->add_option("--memory", flags->memory_mib,
                   "Sizes in MiB too, with the memory engine itself beside the policies")
      ->delimiter(',')
      ->check(CLI::Range(uint64_t{64}, uint64_t{1} << 20));
  command->add_option("--json", flags->json, "Write the figures to this file");
  command->callback([flags] { RunTrace(*flags); });
}

}  // namespace atoll::bench
