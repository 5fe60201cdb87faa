#include "cli/line_editor.h"

#include <editline/readline.h>

#include <cstdlib>
#include <cstring>
#include <utility>

namespace atoll::cli {
namespace {

constexpr int kMaxHistory = 1000;

// What libedit's callbacks reach: it passes them no argument.
LineEditor::Completer& CurrentCompleter() {
  static LineEditor::Completer completer;
  return completer;
}

std::vector<std::string>& CurrentWords() {
  static std::vector<std::string> words;
  return words;
}

char* NextWord(const char* begun, int state) {
  static size_t next = 0;
  if (state == 0) next = 0;
  const std::vector<std::string>& words = CurrentWords();
  while (next < words.size()) {
    const std::string& word = words[next++];
    if (word.compare(0, std::strlen(begun), begun) == 0) return strdup(word.c_str());
  }
  return nullptr;
}

char** Complete(const char* begun, int /*start*/, int end) {
  rl_attempted_completion_over = 1;  // never names of files
  CurrentWords() = CurrentCompleter()(std::string(rl_line_buffer, static_cast<size_t>(end)));
  return rl_completion_matches(begun, NextWord);
}

}  // namespace

LineEditor::LineEditor(std::istream& in, bool interactive, std::string history_file,
                       Completer completer)
    : in_(in), interactive_(interactive), history_file_(std::move(history_file)) {
  if (!interactive_) return;
  CurrentCompleter() = std::move(completer);
  static char name[] = "atoll";
  rl_readline_name = name;
  rl_initialize();
  rl_attempted_completion_function = Complete;
  using_history();
  stifle_history(kMaxHistory);
  if (!history_file_.empty()) read_history(history_file_.c_str());
}

LineEditor::~LineEditor() {
  if (!interactive_) return;
  if (!history_file_.empty()) write_history(history_file_.c_str());
  CurrentCompleter() = nullptr;
}

std::optional<std::string> LineEditor::Read(const std::string& prompt) {
  if (!interactive_) {
    std::string line;
    if (!std::getline(in_, line)) return std::nullopt;
    return line;
  }
  char* const read = readline(prompt.c_str());
  if (read == nullptr) return std::nullopt;
  std::string line(read);
  std::free(read);  // NOLINT: it is libedit's malloc
  if (!line.empty()) add_history(line.c_str());
  return line;
}

}  // namespace atoll::cli
