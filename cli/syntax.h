// The commands and options as words, for completion in the shell and in bash, zsh and fish.
#pragma once

#include <string>
#include <vector>

#include "CLI/CLI.hpp"

namespace atoll::cli {

struct CommandWords {
  std::string name;  // empty: atoll itself
  std::string help;
  std::vector<std::string> options;  // --long names
  std::vector<CommandWords> commands;
};

CommandWords WordsOf(const CLI::App& app);

// What may stand where `words` end; the last one may have been begun ("" if it was not).
std::vector<std::string> CompleteWords(const CommandWords& root,
                                       const std::vector<std::string>& words);

}  // namespace atoll::cli
