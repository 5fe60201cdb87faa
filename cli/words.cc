#include "cli/words.h"

#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "cli/output.h"

namespace atoll::cli {

absl::StatusOr<std::vector<std::string>> SplitWords(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '\\' && quote != '\'') {
      const size_t length = i + 1 < line.size() && line[i + 1] == 'x' ? 4 : 2;
      const std::optional<std::string> bytes = Unescape(line.substr(i, length));
      if (!bytes.has_value()) {
        return absl::InvalidArgumentError("unknown escape: " + std::string(line.substr(i, length)));
      }
      word += *bytes;
      in_word = true;
      i += length - 1;
    } else if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        word += c;
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
      in_word = true;
    } else if (c == ' ' || c == '\t') {
      if (in_word) words.push_back(std::exchange(word, {}));
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (quote != 0) return absl::InvalidArgumentError(std::string("open quote: ") + quote);
  if (in_word) words.push_back(word);
  return words;
}

}  // namespace atoll::cli
