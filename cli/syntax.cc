#include "cli/syntax.h"

namespace atoll::cli {
namespace {

const CommandWords* Find(const CommandWords& in, const std::string& name) {
  for (const CommandWords& command : in.commands) {
    if (command.name == name) return &command;
  }
  return nullptr;
}

}  // namespace

CommandWords WordsOf(const CLI::App& app) {
  CommandWords words;
  words.name = app.get_parent() == nullptr ? "" : app.get_name();
  words.help = app.get_description();
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) words.options.push_back("--" + name);
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    words.commands.push_back(WordsOf(*command));
  }
  return words;
}

std::vector<std::string> CompleteWords(const CommandWords& root,
                                       const std::vector<std::string>& words) {
  const CommandWords* at = &root;
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    if (const CommandWords* next = Find(*at, words[i])) at = next;
  }
  const std::string begun = words.empty() ? "" : words.back();
  std::vector<std::string> candidates;
  const auto offer = [&](const std::string& word) {
    if (word.compare(0, begun.size(), begun) == 0) candidates.push_back(word);
  };
  for (const CommandWords& command : at->commands) offer(command.name);
  if (begun.compare(0, 1, "-") == 0) {
    for (const std::string& option : at->options) offer(option);
    if (at != &root) {
      for (const std::string& option : root.options) offer(option);
    }
  }
  return candidates;
}

}  // namespace atoll::cli
