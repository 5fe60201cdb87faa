// A comparison as people and programs read it.
//
// Thread safety: none.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "bench/compare/comparison.h"
#include "nlohmann/json.hpp"

namespace atoll::bench {

class CompareReport {
 public:
  // Rows of one load, Atoll's first; those named `memcached` and `redis` make its ratios.
  void Add(const std::vector<Row>& rows);
  // Rows of one load on clusters: that of RF 1, then that of RF 2.
  void AddCluster(const std::vector<Row>& rows);

  // {"ratios": [{"load", "vs_memcached", "vs_redis"}], "rows": [...]}
  nlohmann::json Json() const { return {{"ratios", ratios_}, {"rows", rows_}}; }
  // `about` stands before the tables: machine, sizes, rounds.
  std::string Markdown(const std::string& about) const;
  // The line of the last Add or AddCluster, for a terminal.
  const std::string& last_line() const { return last_line_; }
  static std::string HeadLine();

 private:
  nlohmann::json ratios_ = nlohmann::json::array();
  nlohmann::json rows_ = nlohmann::json::array();
  std::string ratio_table_;
  std::string row_table_;
  std::string cluster_table_;
  std::string last_line_;
};

// Puts `text` into the file: between its lines `<!-- compare: begin -->` and `<!-- compare: end
// -->` where it has them, else as all of it. INVALID_ARGUMENT if it cannot be written.
absl::Status WriteMarkdown(const std::string& path, const std::string& text);

}  // namespace atoll::bench
