// What transcripts do not reach: words, completion, and the completion scripts in their own shells.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/output.h"
#include "cli/syntax.h"
#include "cli/words.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/cli/fake_backend.h"

namespace atoll::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(SplitWords, KnowsQuotesAndEscapes) {
  EXPECT_THAT(*SplitWords("  set k\t'a \\b' "), ElementsAre("set", "k", "a \\b"));
  EXPECT_THAT(*SplitWords("\"a\\tb\"c '' \\x00d e\\ f"),
              ElementsAre("a\tbc", "", std::string("\0d", 2), "e f"));
  EXPECT_TRUE(SplitWords("")->empty());
  EXPECT_FALSE(SplitWords("'open").ok());
  EXPECT_FALSE(SplitWords("\\q").ok());
  EXPECT_FALSE(SplitWords("\\x1").ok());
}

TEST(Escape, ComesBack) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  for (const std::string& bytes : {all, std::string("h\xc3\xa9 \xe2\x82\xac"), std::string()}) {
    const std::string text = Escape(bytes);
    EXPECT_TRUE(IsUtf8(text));
    EXPECT_EQ(text.find_first_of("\n\t\r"), std::string::npos);
    EXPECT_EQ(Unescape(text), bytes);
  }
  EXPECT_EQ(Escape("h\xc3\xa9"), "h\xc3\xa9");
  // Overlong, a surrogate, beyond Unicode, cut off.
  for (const char* bytes : {"\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"}) {
    EXPECT_FALSE(IsUtf8(bytes)) << Escape(bytes);
  }
}

TEST(Figures, AreShort) {
  EXPECT_EQ(Bytes(999), "999 B");
  EXPECT_EQ(Bytes(1536), "1.50 KiB");
  EXPECT_EQ(Bytes(uint64_t{200} << 20), "200 MiB");
  EXPECT_EQ(Number(1234567), "1,234,567");
  EXPECT_EQ(Number(123), "123");
  EXPECT_EQ(Short(absl::Microseconds(87)), "87.0us");
  EXPECT_EQ(Short(absl::Microseconds(1254)), "1.25ms");
  EXPECT_EQ(Short(absl::Seconds(299.7)), "4m59s");
  EXPECT_EQ(Ttl(std::nullopt), "never");
  EXPECT_EQ(Ttl(absl::Seconds(299.87)), "4m59.8s");
}

TEST(ExitCode, FollowsTheStatus) {
  EXPECT_EQ(ExitCodeOf(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCodeOf(Outcome::kMiss), 1);
  EXPECT_EQ(ExitCodeOf(absl::InvalidArgumentError("")), 2);
  EXPECT_EQ(ExitCodeOf(absl::UnavailableError("")), 3);
  EXPECT_EQ(ExitCodeOf(absl::DeadlineExceededError("")), 3);
  EXPECT_EQ(ExitCodeOf(absl::ResourceExhaustedError("")), 3);
  EXPECT_EQ(ExitCodeOf(absl::UnauthenticatedError("")), 4);
  EXPECT_EQ(ExitCodeOf(absl::PermissionDeniedError("")), 4);
  EXPECT_EQ(ExitCodeOf(Outcome::kNotStored), 5);
  EXPECT_EQ(ExitCodeOf(Outcome::kMismatch), 5);
  EXPECT_EQ(ExitCodeOf(absl::AbortedError("")), 6);
}

class Commands : public ::testing::Test {
 protected:
  std::string Run(const std::vector<std::string>& arguments) {
    std::istringstream in;
    std::ostringstream out;
    Io io{in, out, out};
    Context context(
        io, [this](const ClientOptions& options) -> absl::StatusOr<std::unique_ptr<Backend>> {
          options_ = options;
          return std::make_unique<FakeBackend>(state_);
        });
    RunLine(arguments, context);
    return out.str();
  }
  FakeState state_;
  ClientOptions options_;
};

TEST_F(Commands, TakeTheirSettingsFromTheEnvironmentAndFlagsFirst) {
  setenv("ATOLL_ENDPOINTS", "a:1,b:2", 1);
  setenv("ATOLL_NAMESPACE", "sessions", 1);
  setenv("ATOLL_TIMEOUT", "250ms", 1);
  setenv("ATOLL_OUTPUT", "json", 1);
  setenv("ATOLL_TTL", "1h", 1);
  EXPECT_THAT(Run({"set", "k", "v"}), HasSubstr("\"outcome\": \"ok\""));
  EXPECT_THAT(options_.endpoints, ElementsAre("a:1", "b:2"));
  EXPECT_EQ(options_.default_namespace, "sessions");
  EXPECT_EQ(options_.timeout, absl::Milliseconds(250));
  EXPECT_EQ(state_.entries.at("k").ttl, absl::Hours(1));
  Run({"set", "k", "v", "-e", "c:3", "-n", "default", "--timeout", "2s", "--ttl", "1m"});
  EXPECT_THAT(options_.endpoints, ElementsAre("c:3"));
  EXPECT_EQ(options_.default_namespace, "default");
  EXPECT_EQ(options_.timeout, absl::Seconds(2));
  EXPECT_EQ(state_.entries.at("k").ttl, absl::Minutes(1));
  for (const char* name :
       {"ATOLL_ENDPOINTS", "ATOLL_NAMESPACE", "ATOLL_TIMEOUT", "ATOLL_OUTPUT", "ATOLL_TTL"}) {
    unsetenv(name);
  }
  Run({"set", "k", "v"});
  EXPECT_THAT(options_.endpoints, ElementsAre("127.0.0.1:7850"));
  EXPECT_EQ(options_.timeout, absl::Seconds(5));
}

TEST_F(Commands, PassAnyBytes) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  state_.entries["k"] = {.outcome = Outcome::kOk, .value = Value(all), .size = all.size()};
  EXPECT_EQ(Run({"get", "k"}), all);
}

TEST_F(Commands, AreCompleted) {
  std::istringstream in;
  std::ostringstream out;
  Io io{in, out, out};
  Context context(io, nullptr);
  CLI::App app;
  context.AddFlags(app);
  AddCommands(app, context);
  const CommandWords words = WordsOf(app);
  EXPECT_THAT(CompleteWords(words, {"m"}), ElementsAre("mget", "mset"));
  EXPECT_THAT(CompleteWords(words, {"ns", ""}), ElementsAre("create", "list", "set", "drop"));
  EXPECT_THAT(CompleteWords(words, {"get", "k", "--b"}), ElementsAre("--bounded"));
  EXPECT_THAT(CompleteWords(words, {"get", "--n"}), ElementsAre("--namespace"));
  EXPECT_THAT(CompleteWords(words, {"ns", "drop", "x", "--y"}), ElementsAre("--yes"));
  EXPECT_TRUE(CompleteWords(words, {"get", "m"}).empty());
}

TEST_F(Commands, CompleteInBash) {
  if (std::system("bash -c true 2>/dev/null") != 0) GTEST_SKIP() << "no bash";
  const std::string path = ::testing::TempDir() + "/atoll-completion.bash";
  std::ofstream(path) << Run({"completion", "bash"});
  const auto complete = [&path](const std::string& words, int at) {
    const std::string line = "bash -c 'source " + path + "; COMP_WORDS=(" + words +
                             "); COMP_CWORD=" + std::to_string(at) +
                             "; _atoll; echo \"${COMPREPLY[*]}\"'";
    std::string out;
    FILE* pipe = popen(line.c_str(), "r");
    char block[4096];
    while (std::fgets(block, sizeof block, pipe) != nullptr) out += block;
    EXPECT_EQ(pclose(pipe), 0);
    return out;
  };
  EXPECT_EQ(complete("atoll m", 1), "mget mset\n");
  EXPECT_EQ(complete("atoll ns d", 2), "drop\n");
  EXPECT_EQ(complete("atoll ns drop --y", 3), "--yes\n");
  EXPECT_EQ(complete("atoll get --bo", 2), "--bounded\n");
}

TEST_F(Commands, CompletionNamesEveryCommandInEveryShell) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const std::string script = Run({"completion", shell});
    for (const char* verb : {"get", "cas", "stats", "explain", "drain", "completion"}) {
      EXPECT_THAT(script, HasSubstr(verb));
    }
  }
}

}  // namespace
}  // namespace atoll::cli
