#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <sstream>
#include <thread>

#include "bench/compare/cpu_meter.h"
#include "bench/compare/report.h"
#include "bench/compare/temporary_folder.h"
#include "rpc/completion_queue.h"

namespace atoll::bench {
namespace {

Row Make(std::string contender, double score, Measurement measured) {
  return {.load = "async_256",
          .contender = std::move(contender),
          .setup = "defaults",
          .scores = {score, score},
          .measured = {measured, measured}};
}

TEST(CompareReport, RatiosAreAtollsScoreOverTheOthers) {
  CompareReport report;
  report.Add({Make("atoll", 300, {.keys_per_second = 300, .server_cpu_us = 2}),
              Make("ceiling", 600, {.keys_per_second = 600}),
              Make("memcached", 200, {.keys_per_second = 200}),
              Make("redis", 100, {.keys_per_second = 100, .client_cpu_us = 7})});
  const nlohmann::json json = report.Json();
  ASSERT_EQ(json["ratios"].size(), 1u);
  EXPECT_EQ(json["ratios"][0]["load"], "async_256");
  EXPECT_DOUBLE_EQ(json["ratios"][0]["vs_memcached"], 1.5);
  EXPECT_DOUBLE_EQ(json["ratios"][0]["vs_redis"], 3);
  ASSERT_EQ(json["rows"].size(), 4u);
  EXPECT_DOUBLE_EQ(json["rows"][0]["server_cpu_us_per_key"], 2);
  EXPECT_DOUBLE_EQ(json["rows"][1]["atoll_ratio"], 0.5);
  EXPECT_DOUBLE_EQ(json["rows"][3]["client_cpu_us_per_key"], 7);
  EXPECT_NE(report.Markdown("about").find("| async_256 | 1.50 (1.50-1.50) | 3.00 (3.00-3.00) | "
                                          "ceiling 0.50 |"),
            std::string::npos)
      << report.Markdown("about");
}

TEST(CompareReport, AClusterIsToldByWhatItsThreadsAreFor) {
  CompareReport report;
  report.AddCluster(
      {Make("rf1", 100, {.server_cpu_us = 4, .io_threads_us = 3}),
       Make("rf2", 50, {.server_cpu_us = 10, .io_threads_us = 5, .patient_threads_us = 4})});
  EXPECT_NE(report.Markdown("about").find("| 5.00 | 4.00 | 10.00 | 2.50 |"), std::string::npos)
      << report.Markdown("about");
  EXPECT_DOUBLE_EQ(report.Json()["rows"][1]["patient_threads_us_per_key"], 4);
}

std::string ReadAll(const std::string& path) {
  std::ostringstream all;
  all << std::ifstream(path).rdbuf();
  return all.str();
}

TEST(WriteMarkdown, ReplacesWhatStandsBetweenItsMarks) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/page.md";
  std::ofstream(path) << "before\n<!-- compare: begin -->\nold\n<!-- compare: end -->\nafter\n";
  ASSERT_TRUE(WriteMarkdown(path, "new\n").ok());
  EXPECT_EQ(ReadAll(path), "before\n<!-- compare: begin -->\nnew\n<!-- compare: end -->\nafter\n");
  EXPECT_EQ(WriteMarkdown(folder.path(), "new\n").code(), absl::StatusCode::kInvalidArgument);
}

TEST(CpuTimeOfThreads, CountsThoseOfTheName) {
  std::atomic<bool> measured{false};
  std::thread busy([&] {
    rpc::NameThread("busy-one");
    while (!measured) {
    }
  });
  // The scheduler counts a thread's time at its ticks.
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (CpuTimeOfThreads(0, "busy-") < absl::Milliseconds(20) && absl::Now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_GE(CpuTimeOfThreads(0, "busy-"), absl::Milliseconds(20));
  EXPECT_EQ(CpuTimeOfThreads(0, "no-such"), absl::ZeroDuration());
  measured = true;
  busy.join();
}

}  // namespace
}  // namespace atoll::bench
