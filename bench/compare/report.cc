#include "bench/compare/report.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/strings.h"

namespace atoll::bench {
namespace {

constexpr char kBegin[] = "<!-- compare: begin -->\n";
constexpr char kEnd[] = "<!-- compare: end -->\n";

std::string Cell(const Spread& ratio) {
  return absl::StrFormat("%.2f (%.2f-%.2f)", ratio.median, ratio.least, ratio.most);
}

nlohmann::json RowJson(const Row& row, const Spread& ratio) {
  const Spread rate = row.Of(&Measurement::keys_per_second);
  return {{"load", row.load},
          {"cache", row.contender},
          {"setup", row.setup},
          {"rounds", row.measured.size()},
          {"keys_per_second", rate.median},
          {"keys_per_second_least", rate.least},
          {"keys_per_second_most", rate.most},
          {"p50_us", row.Of(&Measurement::p50_us).median},
          {"p99_us", row.Of(&Measurement::p99_us).median},
          {"server_cpu_us_per_key", row.Of(&Measurement::server_cpu_us).median},
          {"client_cpu_us_per_key", row.Of(&Measurement::client_cpu_us).median},
          {"atoll_ratio", ratio.median},
          {"atoll_ratio_least", ratio.least},
          {"atoll_ratio_most", ratio.most}};
}

std::string RowMarkdown(const Row& row, const std::string& ratio) {
  return absl::StrFormat("| %s | %s | %s | %.0f | %.1f | %.1f | %.2f | %.2f | %s |\n", row.load,
                         row.contender, row.setup, row.Of(&Measurement::keys_per_second).median,
                         row.Of(&Measurement::p50_us).median, row.Of(&Measurement::p99_us).median,
                         row.Of(&Measurement::server_cpu_us).median,
                         row.Of(&Measurement::client_cpu_us).median, ratio);
}

}  // namespace

std::string CompareReport::HeadLine() {
  return absl::StrFormat("%-14s %-18s %-18s %12s %10s  %s", "load", "vs memcached", "vs redis",
                         "atoll keys/s", "p50 us", "vs others");
}

void CompareReport::Add(const std::vector<Row>& rows) {
  Spread memcached;
  Spread redis;
  std::string others;
  for (const Row& row : rows) {
    const Spread ratio = RatioOf(rows[0], row);
    rows_.push_back(RowJson(row, ratio));
    absl::StrAppend(&row_table_, RowMarkdown(row, &row == &rows[0] ? "" : Cell(ratio)));
    if (row.contender == "memcached") {
      memcached = ratio;
    } else if (row.contender == "redis") {
      redis = ratio;
    } else if (&row != &rows[0]) {
      absl::StrAppendFormat(&others, "%s%s %.2f", others.empty() ? "" : "; ", row.contender,
                            ratio.median);
    }
  }
  ratios_.push_back(
      {{"load", rows[0].load}, {"vs_memcached", memcached.median}, {"vs_redis", redis.median}});
  absl::StrAppend(&ratio_table_, "| ", rows[0].load, " | ", Cell(memcached), " | ", Cell(redis),
                  " | ", others, " |\n");
  last_line_ = absl::StrFormat("%-14s %-18s %-18s %12.0f %10.1f  %s", rows[0].load, Cell(memcached),
                               Cell(redis), rows[0].Of(&Measurement::keys_per_second).median,
                               rows[0].Of(&Measurement::p50_us).median, others);
}

void CompareReport::AddCluster(const std::vector<Row>& rows) {
  const auto cpu_of = [](const Row& row) { return row.Of(&Measurement::server_cpu_us).median; };
  const double one_copy = cpu_of(rows.front());
  last_line_ = rows.front().load;
  for (const Row& row : rows) {
    rows_.push_back(RowJson(row, RatioOf(rows.front(), row)));
    const double nodes = cpu_of(row);
    const double client = row.Of(&Measurement::client_cpu_us).median;
    const double io = row.Of(&Measurement::io_threads_us).median;
    const double patient = row.Of(&Measurement::patient_threads_us).median;
    rows_.back()["io_threads_us_per_key"] = io;
    rows_.back()["patient_threads_us_per_key"] = patient;
    const double rate = row.Of(&Measurement::keys_per_second).median;
    absl::StrAppendFormat(&cluster_table_,
                          "| %s | %s | %.0f | %.1f | %.2f | %.2f | %.2f | %.2f | %.2f |\n",
                          row.load, row.contender, rate, row.Of(&Measurement::p50_us).median,
                          client, io, patient, nodes, nodes / one_copy);
    absl::StrAppendFormat(&last_line_, "  %s: %.0f keys/s, nodes %.2f us/key", row.contender, rate,
                          nodes);
  }
}

std::string CompareReport::Markdown(const std::string& about) const {
  const auto table = [](std::string_view head, int columns, const std::string& lines) {
    if (lines.empty()) return std::string();
    std::string rule = "|";
    for (int i = 0; i < columns; ++i) rule += "---|";
    return absl::StrCat("\n", base::AsAbsl(head), "\n", rule, "\n", lines);
  };
  return absl::StrCat(
      about, "\n",
      table("| load | against memcached | against Redis | against others |", 4, ratio_table_),
      table(
          "| load | cache | best setup | keys/s | p50 us | p99 us | server CPU us/key | client CPU "
          "us/key | Atoll against it |",
          9, row_table_),
      table("| three nodes | copies | keys/s | p50 us | client CPU us/key | nodes, I/O threads | "
            "nodes, patient threads | nodes in all | against RF 1 |",
            9, cluster_table_));
}

absl::Status WriteMarkdown(const std::string& path, const std::string& text) {
  std::string before;
  std::string after;
  {
    std::ifstream old(path);
    std::ostringstream content;
    content << old.rdbuf();
    const std::string all = content.str();
    const size_t begin = all.find(kBegin);
    const size_t end = all.find(kEnd);
    if (begin != std::string::npos && end != std::string::npos && begin < end) {
      before = all.substr(0, begin + sizeof(kBegin) - 1);
      after = all.substr(end);
    }
  }
  std::ofstream file(path);
  file << before << text << after;
  file.flush();
  if (!file.good()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be written"));
  }
  return absl::OkStatus();
}

}  // namespace atoll::bench
