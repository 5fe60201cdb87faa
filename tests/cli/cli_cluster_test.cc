// The commands against a real node: what the fake of the golden tests takes on trust.
#include <cstdlib>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/test_cluster.h"

namespace atoll::cli {
namespace {

using ::testing::HasSubstr;

class OnANode : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto cluster = test::TestCluster::Start({.nodes = 1, .standalone = true});
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = cluster->release();
  }
  static void TearDownTestSuite() {
    delete cluster_;
    cluster_ = nullptr;
  }

  std::string Run(std::vector<std::string> arguments, int expected, const std::string& input = "") {
    std::istringstream in(input);
    std::ostringstream out;
    std::ostringstream err;
    Io io{in, out, err};
    Context context(io, MakeClientBackend);
    arguments.insert(arguments.end(), {"-e", cluster_->address(0)});
    EXPECT_EQ(RunLine(arguments, context), expected) << err.str();
    said_ = err.str();
    return out.str();
  }

  static test::TestCluster* cluster_;
  std::string said_;
};
test::TestCluster* OnANode::cluster_ = nullptr;

TEST_F(OnANode, ValuesPassByteByByte) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  Run({"set", "bytes", "-"}, 0, bytes);
  EXPECT_EQ(Run({"get", "bytes"}, 0), bytes);
  // By a stream of its own.
  std::string large;
  while (large.size() < (3u << 20)) large += bytes;
  Run({"set", "large", "-"}, 0, large);
  EXPECT_EQ(Run({"get", "large"}, 0), large);
}

TEST_F(OnANode, ExitCodesTellWhatHappened) {
  Run({"get", "nothing"}, 1);
  EXPECT_EQ(said_, "atoll: get: nothing: miss\n");
  Run({"set", std::string(1300, 'k'), "v"}, 2);
  EXPECT_EQ(said_, "atoll: set: key: 1300 bytes, limit 1024\n");
  Run({"get", "k", "-n", "elsewhere"}, 2);
  Run({"set", "there", "v"}, 0);
  Run({"add", "there", "v"}, 5);
  Run({"cas", "there", "1", "v"}, 5);
  Run({"incr", "there"}, 5);
  Run({"ns", "create", "sessions"}, 0);
  Run({"ns", "create", "sessions"}, 5);
  Run({"ns", "drop", "sessions"}, 2);
  Run({"ns", "drop", "sessions", "--yes"}, 0);
}

// `scripts/run` has people set these.
TEST_F(OnANode, TheShellKeepsWhatItWasGivenWhateverTheEnvironmentSays) {
  setenv("ATOLL_ENDPOINTS", "127.0.0.1:1", 1);
  setenv("ATOLL_NAMESPACE", "elsewhere", 1);
  const std::string said = Run({"shell", "-n", "default"}, 0, "set env v\nget env\n");
  unsetenv("ATOLL_ENDPOINTS");
  unsetenv("ATOLL_NAMESPACE");
  EXPECT_THAT(said, HasSubstr("v\n"));
}

TEST_F(OnANode, NobodyAtTheEndpointIsUnavailable) {
  std::istringstream in;
  std::ostringstream out;
  Io io{in, out, out};
  Context context(io, MakeClientBackend);
  EXPECT_EQ(RunLine({"get", "k", "-e", "127.0.0.1:1", "--timeout", "300ms"}, context), 3);
  EXPECT_EQ(RunLine({"health", "-e", "127.0.0.1:1", "--timeout", "300ms"}, context), 3);
}

TEST_F(OnANode, EveryVerbWorks) {
  Run({"flush", "--yes"}, 0);
  Run({"mset", "a", "1", "b", "2", "--ttl", "1h"}, 0);
  EXPECT_EQ(Run({"mget", "a", "b"}, 0), "a\t1\nb\t2\n");
  EXPECT_EQ(Run({"incr", "a", "41"}, 0), "42\n");
  EXPECT_EQ(Run({"decr", "a"}, 0), "41\n");
  Run({"append", "a", "x"}, 0);
  Run({"prepend", "a", "y"}, 0);
  EXPECT_EQ(Run({"get", "a"}, 0), "y41x");
  Run({"touch", "a", "--ttl", "never"}, 0);
  EXPECT_EQ(Run({"ttl", "a"}, 0), "never\n");
  EXPECT_EQ(Run({"gat", "a", "--ttl", "1m"}, 0), "y41x");
  EXPECT_EQ(Run({"exists", "a", "c"}, 1), "a\tyes\nc\tno\n");
  Run({"replace", "b", "3"}, 0);
  const std::string scanned = Run({"scan"}, 0);
  EXPECT_THAT(scanned, HasSubstr("a\n"));
  EXPECT_THAT(scanned, HasSubstr("b\n"));
  EXPECT_THAT(Run({"explain", "a"}, 0), HasSubstr("tier\tmemory\n"));
  EXPECT_THAT(Run({"ring", "-o", "json"}, 0), HasSubstr("\"partitions\": 4096"));
  // What other tests left may be hidden by the flush, and not yet gone.
  EXPECT_THAT(Run({"stats"}, 0), ::testing::ContainsRegex("\titems\t[2-9]\n"));
  EXPECT_THAT(Run({"health"}, 0), HasSubstr("serving\tyes\n"));
  EXPECT_THAT(Run({"ping"}, 0), HasSubstr(cluster_->address(0)));
  EXPECT_THAT(Run({"ping", "--all"}, 0), HasSubstr(cluster_->address(0)));
  EXPECT_THAT(Run({"node", "list"}, 0), HasSubstr("\tup\t"));
  EXPECT_THAT(Run({"ns", "list"}, 0), HasSubstr("default\t"));
  EXPECT_EQ(Run({"del", "a", "b"}, 0), "2\n");
  EXPECT_EQ(Run({"shell"}, 1, "set k v\nget k\nget nothing\n").substr(14), "v\n");
}

}  // namespace
}  // namespace atoll::cli
