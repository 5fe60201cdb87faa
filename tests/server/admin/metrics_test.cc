#include "server/admin/metrics.h"

#include <gtest/gtest.h>

#include <sstream>

namespace atoll::admin {
namespace {

NodeFigures Some() {
  NodeFigures figures;
  figures.uptime = absl::Milliseconds(1500);
  figures.store.items = 7;
  figures.store.hits = 3;
  figures.store.live_bytes = 4096;
  figures.store.dead_bytes = 4097;
  figures.store.pinned_bytes = 4098;
  figures.store.index_bytes = 4099;
  figures.store.ghost_bytes = 4100;
  figures.rpc_budget_bytes = 101;
  figures.rocksdb_budget_bytes = 102;
  figures.rest_budget_bytes = 103;
  figures.reads = 5;
  figures.p99 = absl::Microseconds(250);
  figures.primaries = 1366;
  figures.coordinator_up = true;
  return figures;
}

bool HasLine(const std::string& text, const std::string& wanted) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line == wanted) return true;
  }
  return false;
}

TEST(MetricsText, TellsEachFigureUnderItsName) {
  const std::string text = MetricsText(Some(), "n1", "0.1.0");
  for (const char* line :
       {"atoll_build_info{node=\"n1\",version=\"0.1.0\"} 1", "atoll_uptime_seconds 1.5",
        "atoll_items 7", "atoll_hits_total 3", "atoll_memory_bytes{part=\"live\"} 4096",
        "atoll_memory_bytes{part=\"dead\"} 4097", "atoll_memory_bytes{part=\"pinned\"} 4098",
        "atoll_memory_bytes{part=\"index\"} 4099", "atoll_memory_bytes{part=\"ghost\"} 4100",
        "atoll_budget_bytes{of=\"rpc\"} 101", "atoll_budget_bytes{of=\"rocksdb\"} 102",
        "atoll_budget_bytes{of=\"rest\"} 103", "atoll_operations_total{kind=\"read\"} 5",
        "atoll_operation_latency_seconds{quantile=\"0.99\"} 0.00025",
        "atoll_partitions{role=\"primary\"} 1366", "atoll_coordinator_up 1"}) {
    EXPECT_TRUE(HasLine(text, line)) << "no line: " << line << "\n" << text;
  }
}

TEST(MetricsText, EveryNameIsAtollsAndEndsInItsUnit) {
  std::istringstream lines(MetricsText(Some(), "n1", "0.1.0"));
  int types = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("# TYPE ")) continue;
    ++types;
    std::istringstream words(line);
    std::string hash, type, name, kind;
    words >> hash >> type >> name >> kind;
    EXPECT_TRUE(name.starts_with("atoll_")) << name;
    EXPECT_EQ(kind == "counter", name.ends_with("_total")) << name;
  }
  EXPECT_GT(types, 30);
}

}  // namespace
}  // namespace atoll::admin
