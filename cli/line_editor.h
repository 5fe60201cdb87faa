// Lines from a person, with history and completion (libedit); or from a pipe, as they are.
//
// Thread safety: none, and one at a time: libedit keeps global state.
#pragma once

#include <functional>
#include <istream>
#include <optional>
#include <string>
#include <vector>

namespace atoll::cli {

class LineEditor {
 public:
  // The words that may stand where `line` ends, of which the last one may have been begun.
  using Completer = std::function<std::vector<std::string>(const std::string& line)>;

  // `interactive`: libedit on the terminal, with history kept in `history_file` (not if empty).
  LineEditor(std::istream& in, bool interactive, std::string history_file, Completer completer);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  // nullopt: the end.
  std::optional<std::string> Read(const std::string& prompt);

 private:
  std::istream& in_;
  const bool interactive_;
  const std::string history_file_;
};

}  // namespace atoll::cli
