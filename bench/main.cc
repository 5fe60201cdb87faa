// atoll-bench: load, replay and measure.

#include <cstdio>
#include <string>

#include "CLI/CLI.hpp"
#include "base/version.h"
#include "bench/bare_server_command.h"
#include "bench/compare/command.h"
#include "bench/memory_command.h"
#include "bench/overload_command.h"
#include "bench/replay_command.h"
#include "bench/replay_peers_command.h"
#include "bench/run_command.h"
#include "bench/trace_command.h"

// NOLINTNEXTLINE(bugprone-exception-escape): only a command defined wrongly makes CLI11 throw.
int main(int argc, char** argv) {
  CLI::App app("Load generator and measurements for an Atoll cluster");
  app.name("atoll-bench");
  app.set_version_flag("--version", atoll::base::VersionLine("atoll-bench"));
  app.require_subcommand(1);
  atoll::bench::AddBareServerCommand(app);
  atoll::bench::AddCompareCommand(app);
  atoll::bench::AddMemoryCommand(app);
  atoll::bench::AddOverloadCommand(app);
  atoll::bench::AddReplayCommand(app);
  atoll::bench::AddReplayPeersCommand(app);
  atoll::bench::AddRunCommand(app);
  atoll::bench::AddTraceCommand(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::RuntimeError& failed) {
    return failed.get_exit_code();  // a command said why
  } catch (const CLI::ParseError& wrong) {
    app.exit(wrong);
    return 2;
  }
  return 0;
}
