#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "cli/commands.h"
#include "cli/syntax.h"

namespace atoll::cli {
namespace {

std::string NamesOf(const std::vector<CommandWords>& commands) {
  std::vector<std::string> names;
  names.reserve(commands.size());
  for (const CommandWords& command : commands) names.push_back(command.name);
  return absl::StrJoin(names, " ");
}

// A single-quoted word of a shell.
std::string Quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

void PrintBash(Context& context, const CommandWords& root) {
  std::ostream& out = context.out();
  out << "# bash completion for atoll:  source <(atoll completion bash)\n"
         "_atoll() {\n"
         "  local word=\"${COMP_WORDS[COMP_CWORD]}\" command=\"\" sub=\"\" i\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    case \"${COMP_WORDS[i]}\" in\n"
         "      -*) ;;\n"
         "      *) if [[ -z $command ]]; then command=\"${COMP_WORDS[i]}\"\n"
         "         elif [[ -z $sub ]]; then sub=\"${COMP_WORDS[i]}\"; fi ;;\n"
         "    esac\n"
         "  done\n"
         "  local words=\"\" options=\""
      << absl::StrJoin(root.options, " ")
      << "\"\n"
         "  case \"$command $sub\" in\n"
         "    ' ') words=\""
      << NamesOf(root.commands) << "\" ;;\n";
  for (const CommandWords& command : root.commands) {
    for (const CommandWords& sub : command.commands) {
      out << "    '" << command.name << " " << sub.name << "') options+=\" "
          << absl::StrJoin(sub.options, " ") << "\" ;;\n";
    }
    out << "    '" << command.name << " '*) ";
    if (!command.commands.empty()) out << "words=\"" << NamesOf(command.commands) << "\"; ";
    out << "options+=\" " << absl::StrJoin(command.options, " ") << "\" ;;\n";
  }
  out << "  esac\n"
         "  [[ $word == -* ]] && words=\"$options\"\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
         "}\n"
         "complete -F _atoll atoll\n";
}

void PrintZsh(Context& context, const CommandWords& root) {
  std::ostream& out = context.out();
  out << "#compdef atoll\n"
         "# zsh completion for atoll:  source <(atoll completion zsh)\n"
         "_atoll() {\n"
         "  local -a commands options\n"
         "  local command=\"\" sub=\"\" w\n"
         "  for w in ${words[2,CURRENT-1]}; do\n"
         "    case $w in\n"
         "      -*) ;;\n"
         "      *) if [[ -z $command ]]; then command=$w; elif [[ -z $sub ]]; then sub=$w; fi ;;\n"
         "    esac\n"
         "  done\n"
         "  options=("
      << absl::StrJoin(root.options, " ")
      << ")\n"
         "  case \"$command $sub\" in\n"
         "    ' ') commands=(\n";
  for (const CommandWords& command : root.commands) {
    out << "      " << Quoted(command.name + ":" + command.help) << "\n";
  }
  out << "      ) ;;\n";
  for (const CommandWords& command : root.commands) {
    for (const CommandWords& sub : command.commands) {
      out << "    '" << command.name << " " << sub.name << "') options+=("
          << absl::StrJoin(sub.options, " ") << ") ;;\n";
    }
    out << "    '" << command.name << " '*) ";
    if (!command.commands.empty()) {
      out << "commands=(";
      for (const CommandWords& sub : command.commands) {
        out << " " << Quoted(sub.name + ":" + sub.help);
      }
      out << " ); ";
    }
    out << "options+=(" << absl::StrJoin(command.options, " ") << ") ;;\n";
  }
  out << "  esac\n"
         "  if [[ $PREFIX == -* ]]; then compadd -- $options; else _describe command commands; fi\n"
         "}\n"
         "compdef _atoll atoll\n";
}

void PrintFish(Context& context, const CommandWords& root) {
  std::ostream& out = context.out();
  const auto options = [&out](const std::string& condition, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      out << "complete -c atoll" << condition << " -l " << name.substr(2) << "\n";
    }
  };
  out << "# fish completion for atoll:  atoll completion fish | source\n"
         "complete -c atoll -f\n";
  options("", root.options);
  for (const CommandWords& command : root.commands) {
    out << "complete -c atoll -n __fish_use_subcommand -a " << command.name << " -d "
        << Quoted(command.help) << "\n";
    const std::string seen = "__fish_seen_subcommand_from " + command.name;
    options(" -n " + Quoted(seen), command.options);
    for (const CommandWords& sub : command.commands) {
      out << "complete -c atoll -n "
          << Quoted(seen + "; and not __fish_seen_subcommand_from " + NamesOf(command.commands))
          << " -a " << sub.name << " -d " << Quoted(sub.help) << "\n";
      options(" -n " + Quoted(seen + "; and __fish_seen_subcommand_from " + sub.name), sub.options);
    }
  }
}

}  // namespace

void AddCompletion(CLI::App& app, Context& context) {
  const auto shell = std::make_shared<std::string>();
  CLI::App* command =
      AddCommand(app, context, "completion", "Print completion for bash, zsh or fish", kToolsGroup,
                 [&app, &context, shell] {
                   const CommandWords words = WordsOf(app);
                   if (*shell == "bash") PrintBash(context, words);
                   if (*shell == "zsh") PrintZsh(context, words);
                   if (*shell == "fish") PrintFish(context, words);
                 });
  command->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}))
      ->type_name("");
}

}  // namespace atoll::cli
