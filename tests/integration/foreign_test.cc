// Plain clients of other languages: set and get through any node.
//
// Skipped, aloud, where the language is missing; with ATOLL_REQUIRE_NPM=1 (CI) that is a failure.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "tests/support/test_cluster.h"

namespace atoll {
namespace {

using test::ChildProcess;
using test::TestCluster;

constexpr char kSource[] = ATOLL_SOURCE_FOLDER;

// Runs it and waits: the exit code, -1 if there is no such program.
int RunProgram(const std::vector<std::string>& command, const std::string& log) {
  const auto process = ChildProcess::Start(command, log);
  if (!process.ok()) {
    return -1;
  }
  const auto code = (*process)->Wait(absl::Minutes(3));
  EXPECT_TRUE(code.ok()) << code.status();
  return code.ok() ? *code : -2;
}

// The distribution's, which has its grpc package; another one may come first in PATH.
std::string Python() {
  return std::filesystem::exists("/usr/bin/python3") ? "/usr/bin/python3" : "python3";
}

class ForeignClient : public testing::Test {
 protected:
  void SetUp() override { folder_ = test::FreshFolder("foreign"); }
  std::string log() const { return folder_ + "/log"; }
  std::string Log() const { return test::TailOf(log(), 2000); }
  bool Missing(const std::string& what) const {
    if (std::getenv("ATOLL_REQUIRE_NPM") != nullptr) {
      ADD_FAILURE() << what << " is missing, and ATOLL_REQUIRE_NPM is set\n" << Log();
    }
    std::cerr << "SKIPPED: " << what << " is missing\n";
    return true;
  }
  // With the addresses of every node behind the command.
  void RunAgainstCluster(std::vector<std::string> command) {
    auto cluster = TestCluster::Start({.data_folders = false});
    ASSERT_TRUE(cluster.ok());
    for (int i = 0; i < (*cluster)->size(); ++i) {
      command.push_back((*cluster)->address(i));
    }
    EXPECT_EQ(RunProgram(command, log()), 0) << Log();
  }

  std::string folder_;
};

TEST_F(ForeignClient, Python) {
  if (RunProgram({Python(), "-c", "import grpc"}, log()) != 0 && Missing("python3-grpcio")) {
    GTEST_SKIP() << "python3-grpcio is missing";
  }
  const std::string protos = std::string(kSource) + "/proto";
  const std::string stubs = folder_ + "/stubs";
  std::filesystem::create_directories(stubs);
  const std::string plugin = std::string("--plugin=protoc-gen-grpc=") + ATOLL_GRPC_PYTHON_PLUGIN;
  ASSERT_EQ(RunProgram({ATOLL_PROTOC, "-I", protos, "--python_out=" + stubs, "--grpc_out=" + stubs,
                        plugin, "google/rpc/status.proto", "atoll/v1/cache.proto"},
                       log()),
            0)
      << Log();
  RunAgainstCluster({Python(), std::string(kSource) + "/tests/foreign/client.py", stubs});
}

TEST_F(ForeignClient, Node) {
  if (RunProgram({"npm", "--version"}, log()) != 0 && Missing("npm")) {
    GTEST_SKIP() << "npm is missing";
  }
  // Kept from run to run: fetched once for each lock file.
  const std::string modules = ATOLL_BUILD_FOLDER "/foreign";
  std::filesystem::create_directories(modules);
  for (const char* file : {"package.json", "package-lock.json", "client.js"}) {
    std::filesystem::copy_file(std::string(kSource) + "/tests/foreign/" + file,
                               modules + "/" + file,
                               std::filesystem::copy_options::overwrite_existing);
  }
  if (RunProgram({"npm", "ci", "--prefix", modules, "--ignore-scripts", "--no-audit", "--no-fund"},
                 log()) != 0 &&
      Missing("a registry of npm's")) {
    GTEST_SKIP() << "npm cannot fetch @grpc/grpc-js";
  }
  RunAgainstCluster({"node", modules + "/client.js", std::string(kSource) + "/proto"});
}

}  // namespace
}  // namespace atoll
