// `atoll-bench run` against a real node: what its options do and what it writes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "tests/support/child_process.h"
#include "tests/support/test_cluster.h"

namespace atoll {
namespace {

std::vector<std::string> Split(const std::string& text, char at) {
  std::istringstream in(text);
  std::vector<std::string> parts;
  for (std::string part; std::getline(in, part, at);) parts.push_back(part);
  return parts;
}

class BenchRunTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto cluster = test::TestCluster::Start({.standalone = true, .data_folders = false});
    if (cluster.ok()) cluster_ = cluster->release();
  }
  static void TearDownTestSuite() {
    delete cluster_;
    cluster_ = nullptr;
  }
  void SetUp() override {
    ASSERT_NE(cluster_, nullptr);
    folder_ = test::FreshFolder("bench run");
  }

  // Its exit code.
  int Run(std::vector<std::string> options) {
    std::vector<std::string> command = {std::string(ATOLL_BIN_FOLDER) + "/atoll-bench",
                                        "run",
                                        "--endpoints",
                                        cluster_->address(0),
                                        "--quiet",
                                        "--keys",
                                        "500",
                                        "--seconds",
                                        "0.3",
                                        "--warmup",
                                        "0.1",
                                        "--json",
                                        Json(),
                                        "--csv",
                                        Csv()};
    command.insert(command.end(), options.begin(), options.end());
    auto process = test::ChildProcess::Start(command, folder_ + "/log");
    if (!process.ok()) return -1;
    const auto code = (*process)->Wait(absl::Seconds(60));
    return code.ok() ? *code : -1;
  }
  std::string Json() const { return folder_ + "/result.json"; }
  std::string Csv() const { return folder_ + "/result.csv"; }
  nlohmann::json Result() const { return nlohmann::json::parse(test::ContentOf(Json())); }

  static test::TestCluster* cluster_;
  std::string folder_;
};

test::TestCluster* BenchRunTest::cluster_ = nullptr;

TEST_F(BenchRunTest, TheClosedLoopWritesFiguresAndPercentilesTwice) {
  ASSERT_EQ(Run({"--async", "--outstanding", "16", "--batch", "4", "--read-share", "0.8",
                 "--distribution", "zipf", "--value-bytes", "10", "--max-value-bytes", "300"}),
            0)
      << test::TailOf(folder_ + "/log");
  const nlohmann::json result = Result();
  EXPECT_EQ(result["distribution"], "zipf");
  EXPECT_EQ(result["max_value_bytes"], 300);
  EXPECT_EQ(result["batch"], 4);
  EXPECT_EQ(result["errors"], 0);
  EXPECT_EQ(result["hits"], result["reads"]);
  EXPECT_GT(result["keys_per_second"], 0.0);
  for (const char* kind : {"read", "write"}) {
    SCOPED_TRACE(kind);
    const nlohmann::json& latency = result[kind];
    EXPECT_GT(latency["count"], 0);
    EXPECT_LE(latency["p50_us"], latency["p99_us"]);
    EXPECT_LE(latency["p99_us"], latency["p999_us"]);
    EXPECT_LE(latency["p999_us"], latency["p9999_us"]);
  }
  // A header and a row, of the same figures.
  const std::vector<std::string> lines = Split(test::ContentOf(Csv()), '\n');
  ASSERT_EQ(lines.size(), 2u);
  const std::vector<std::string> names = Split(lines[0], ',');
  const std::vector<std::string> values = Split(lines[1], ',');
  EXPECT_EQ(names.size(), values.size());
  EXPECT_EQ(names.size(), result.flatten().size());
  EXPECT_THAT(names, testing::IsSupersetOf({"keys_per_second", "read_p9999_us", "write_p50_us"}));
}

TEST_F(BenchRunTest, TheOpenLoopKeepsToItsRate) {
  ASSERT_EQ(Run({"--rate", "1000", "--outstanding", "50", "--seed", "7"}), 0)
      << test::TailOf(folder_ + "/log");
  const nlohmann::json result = Result();
  EXPECT_EQ(result["rate"], 1000);
  EXPECT_GT(result["operations"], 0);
  // 300 are due within the measured time, however long they take.
  EXPECT_LE(result["operations"], 310);
}

TEST_F(BenchRunTest, WhatCannotBeUsedIsNamed) {
  EXPECT_NE(Run({"--batch", "0"}), 0);
  EXPECT_THAT(test::ContentOf(folder_ + "/log"), testing::HasSubstr("batch"));
  EXPECT_NE(Run({"--distribution", "normal"}), 0);
  EXPECT_THAT(test::ContentOf(folder_ + "/log"), testing::HasSubstr("distribution"));
}

}  // namespace
}  // namespace atoll
