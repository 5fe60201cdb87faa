#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/strings.h"
#include "cli/commands.h"
#include "cli/line_editor.h"
#include "cli/syntax.h"
#include "cli/words.h"

namespace atoll::cli {
namespace {

constexpr char kGreeting[] = "Type help for the commands, exit to leave.\n";
constexpr char kShellHelp[] = R"(In the shell:
  help [COMMAND]              what there is, or how a command is used
  use NAMESPACE               the namespace of the lines that follow
  exit                        leave (Ctrl-D does, too)
  'a b' "a b" a\ b \n \x00    blanks and other bytes within a word
)";

std::string HistoryFile() {
  // NOLINTBEGIN(concurrency-mt-unsafe): nothing in this program sets variables.
  if (const char* file = std::getenv("ATOLL_HISTORY")) return file;
  const char* home = std::getenv("HOME");
  // NOLINTEND(concurrency-mt-unsafe)
  return home == nullptr ? "" : std::string(home) + "/.atoll_history";
}

CommandWords ShellWords(Context& context) {
  CLI::App app;
  context.AddFlags(app);
  AddCommands(app, context);
  CommandWords words = WordsOf(app);
  for (const char* name : {"help", "use", "exit"}) words.commands.push_back({name, "", {}, {}});
  return words;
}

// A line that is the shell's own. False: it is a command of the cluster.
bool RunOwn(Context& context, const std::vector<std::string>& words, bool* leave) {
  if (words[0] == "exit" || words[0] == "quit") {
    *leave = true;
    return true;
  }
  if (words[0] == "use") {
    context.Begin("use");
    if (words.size() != 2) {
      context.Fail(kExitRefused, "NAMESPACE is required");
      return true;
    }
    Context::Flags flags = context.flags();
    flags.ns = words[1];
    context.set_flags(std::move(flags));
    return true;
  }
  if (words[0] == "help" && words.size() == 1) {
    RunLine({"--help"}, context);
    context.out() << kShellHelp;
    return true;
  }
  if (words[0] == "help") {
    std::vector<std::string> line(words.begin() + 1, words.end());
    line.push_back("--help");
    RunLine(line, context);
    return true;
  }
  return false;
}

void Run(Context& context) {
  if (context.in_shell()) return context.Fail(kExitRefused, "this is the shell already");
  const bool interactive = context.io().in_terminal && context.io().out_terminal;
  const CommandWords syntax = ShellWords(context);
  LineEditor editor(context.in(), interactive, HistoryFile(), [&syntax](const std::string& line) {
    absl::StatusOr<std::vector<std::string>> words = SplitWords(line);
    if (!words.ok()) return std::vector<std::string>();
    if (words->empty() || line.back() == ' ') words->push_back("");
    return CompleteWords(syntax, *words);
  });
  if (interactive) context.out() << kGreeting;
  context.set_in_shell(true);
  ExitCode worst = kExitOk;
  for (bool leave = false; !leave;) {
    context.out().flush();
    const std::optional<std::string> line = editor.Read("atoll " + context.NamespaceName() + "> ");
    if (!line.has_value()) {
      if (interactive) context.out() << "\n";
      break;
    }
    context.ResetExitCode();
    const absl::StatusOr<std::vector<std::string>> words = SplitWords(*line);
    if (!words.ok()) {
      context.Begin("shell");
      context.Fail(words.status());
    } else if (!words->empty() && words->front()[0] != '#' && !RunOwn(context, *words, &leave)) {
      // Flags of one line are not those of the next.
      const Context::Flags flags = context.flags();
      RunLine(*words, context);
      context.set_flags(flags);
    }
    worst = std::max(worst, context.exit_code());
  }
  context.set_in_shell(false);
  context.ResetExitCode();
  // A person has seen what failed; a script has only this.
  if (!interactive) context.Exit(worst);
}

}  // namespace

void AddShell(CLI::App& app, Context& context) {
  AddCommand(app, context, "shell", "Read commands line by line, with history and completion",
             kToolsGroup, [&context] { Run(context); });
}

}  // namespace atoll::cli
