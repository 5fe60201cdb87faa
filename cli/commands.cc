#include "cli/commands.h"

#include <algorithm>
#include <utility>

#include "base/version.h"

namespace atoll::cli {
namespace {

constexpr char kFooter[] = R"(
Exit codes: 0 ok, 1 miss, 2 usage or refused argument, 3 unavailable, timed out or overloaded,
4 not authorized, 5 not stored or conflict, 6 other; of several, the greatest.
A value of - is read from stdin. Behind -- nothing is an option: atoll set k -- -5)";

// "set" or "ns create": what stands in front of a message.
std::string VerbOf(const CLI::App& app) {
  std::string verb;
  for (const CLI::App* at = &app; !at->get_subcommands().empty();) {
    at = at->get_subcommands().front();
    verb += (verb.empty() ? "" : " ") + at->get_name();
  }
  return verb;
}

}  // namespace

CLI::App* AddCommand(CLI::App& app, Context& context, const std::string& name,
                     const std::string& help, const std::string& group,
                     std::function<void()> body) {
  CLI::App* command = app.add_subcommand(name, help);
  command->group(group);
  command->fallthrough();
  const bool nested = !app.get_name().empty() && app.get_parent() != nullptr;
  const std::string verb = nested ? app.get_name() + " " + name : name;
  command->callback([&context, verb, run = std::move(body)] {
    context.Begin(verb);
    run();
  });
  return command;
}

void AddCommands(CLI::App& app, Context& context) {
  AddGet(app, context);
  AddSet(app, context);
  AddCas(app, context);
  AddDel(app, context);
  AddTouch(app, context);
  AddTtl(app, context);
  AddCounter(app, context);
  AddAppend(app, context);
  AddMget(app, context);
  AddMset(app, context);
  AddScan(app, context);
  AddFlush(app, context);
  AddPing(app, context);
  AddStats(app, context);
  AddRing(app, context);
  AddExplain(app, context);
  AddHealth(app, context);
  AddNs(app, context);
  AddNode(app, context);
  AddShell(app, context);
  AddCompletion(app, context);
}

int RunLine(const std::vector<std::string>& arguments, Context& context) {
  CLI::App app("Speaks to an Atoll cache cluster.");
  app.name("atoll");
  app.footer(kFooter);
  app.set_version_flag("--version", base::VersionLine("atoll"));
  app.require_subcommand(1);
  context.AddFlags(app);
  AddCommands(app, context);
  context.ResetExitCode();
  // CLI11 takes them last first.
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::Success& help) {
    app.exit(help, context.out(), context.err());
  } catch (const CLI::ParseError& wrong) {
    const std::string verb = VerbOf(app);
    const std::vector<std::string> unknown = app.remaining();
    context.Begin(verb);
    if (verb.empty() && !unknown.empty()) {
      context.Fail(kExitRefused, "no such command: " + unknown.front() + "; see atoll --help");
    } else if (verb.empty() && arguments.empty()) {
      context.Fail(kExitRefused, "a command is required; see atoll --help");
    } else {
      context.Fail(kExitRefused, wrong.what());
    }
  }
  context.out().flush();
  return context.exit_code();
}

}  // namespace atoll::cli
