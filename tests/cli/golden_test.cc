// Runs the transcripts in tests/cli/golden and compares what commands print with what stands there.
//
//   $ COMMAND LINE      cut into words as the shell does
//   < TEXT              a line of stdin, escapes as in the shell (no newline is added)
//   TEXT                stdout; a missing newline at its end shows as \c, an escape character as
//   \e,
//                       and a mark of this list at the front of a line gets a \ before it
//   ! TEXT              stderr
//   [N]                 the exit code, unless 0
//   @ DIRECTIVE         terminal | pipe | fail CODE MESSAGE | degraded | fresh
//   # TEXT              a remark
//
// ATOLL_UPDATE_GOLDEN=1 writes the files anew, for the change to be read in the diff.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "cli/commands.h"
#include "cli/words.h"
#include "gtest/gtest.h"
#include "tests/cli/fake_backend.h"

namespace atoll::cli {
namespace {

namespace fs = std::filesystem;

class Transcript {
 public:
  std::string Play(const std::string& script) {
    std::vector<std::string> lines = absl::StrSplit(script, '\n');
    if (!lines.empty() && lines.back().empty()) lines.pop_back();
    std::string played;
    for (size_t i = 0; i < lines.size(); ++i) {
      const std::string& line = lines[i];
      if (line.rfind("# ", 0) == 0) {
        played += line + "\n";
      } else if (line.rfind("@ ", 0) == 0) {
        Direct(line.substr(2));
        played += line + "\n";
      } else if (line == "$" || line.rfind("$ ", 0) == 0) {
        played += line + "\n";
        std::string input;
        while (i + 1 < lines.size() && lines[i + 1].rfind("< ", 0) == 0) {
          played += lines[++i] + "\n";
          input += Unescape(lines[i].substr(2)).value_or("(bad escape)");
        }
        played += Run(line.substr(std::min<size_t>(2, line.size())), input);
      }
      // All else is what was printed the last time.
    }
    return played;
  }

 private:
  void Direct(const std::string& directive) {
    const std::vector<std::string> words = absl::StrSplit(directive, absl::MaxSplits(' ', 2));
    if (words[0] == "terminal" || words[0] == "pipe") terminal_ = words[0] == "terminal";
    if (words[0] == "fresh") state_ = FakeState();
    if (words[0] == "fail") {
      state_.failure = absl::Status(static_cast<absl::StatusCode>(std::stoi(words[1])), words[2]);
    }
    if (words[0] == "degraded") {
      state_.health = {.serving = false,
                       .fully_replicated = false,
                       .partitions_without_primary = 12,
                       .partitions_under_replicated = 1365,
                       .nodes_up = 1,
                       .nodes_known = 3,
                       .coordinator_up = true};
    }
  }

  std::string Run(const std::string& line, const std::string& input) {
    std::istringstream in(input);
    std::ostringstream out;
    std::ostringstream err;
    // The shell is played through a pipe: line editing is not for transcripts.
    const bool in_terminal = terminal_ && line.rfind("shell", 0) != 0;
    Io io{in, out, err, in_terminal, terminal_};
    Context context(io, [this](const ClientOptions&) -> absl::StatusOr<std::unique_ptr<Backend>> {
      return std::make_unique<FakeBackend>(state_);
    });
    const absl::StatusOr<std::vector<std::string>> words = SplitWords(line);
    if (!words.ok()) return "bad transcript: " + words.status().ToString() + "\n";
    const int code = RunLine(*words, context);
    std::string played = absl::StrReplaceAll(out.str(), {{"\033", "\\e"}});
    if (!played.empty() && played.back() != '\n') played += "\\c\n";
    // Output that looks like a part of a transcript.
    for (const char* mark : {"# ", "$ ", "@ ", "< ", "! "}) {
      if (played.rfind(mark, 0) == 0) played.insert(0, "\\");
      played =
          absl::StrReplaceAll(played, {{std::string("\n") + mark, std::string("\n\\") + mark}});
    }
    const std::vector<std::string> said = absl::StrSplit(err.str(), '\n', absl::SkipEmpty());
    for (const std::string& text : said) played += "! " + text + "\n";
    if (code != 0) played += "[" + std::to_string(code) + "]\n";
    return played;
  }

  FakeState state_;
  bool terminal_ = true;
};

std::vector<std::string> Files() {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(ATOLL_GOLDEN_FOLDER)) {
    names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class Golden : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Commands, Golden, ::testing::ValuesIn(Files()),
                         [](const auto& param) { return param.param; });

TEST_P(Golden, PrintsWhatItPrinted) {
  for (const char* name : {"ATOLL_ENDPOINTS", "ATOLL_NAMESPACE", "ATOLL_TIMEOUT", "ATOLL_OUTPUT",
                           "ATOLL_TTL", "ATOLL_TLS"}) {
    unsetenv(name);
  }
  const fs::path path = fs::path(ATOLL_GOLDEN_FOLDER) / (GetParam() + ".txt");
  std::stringstream golden;
  golden << std::ifstream(path).rdbuf();
  const std::string played = Transcript().Play(golden.str());
  if (std::getenv("ATOLL_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path) << played;
    return;
  }
  EXPECT_EQ(played, golden.str());
}

}  // namespace
}  // namespace atoll::cli
