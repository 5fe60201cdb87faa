#include "bench/bare_server_command.h"

#include <memory>

#include "bench/bare/server.h"
#include "bench/exit.h"

namespace atoll::bench {

void AddBareServerCommand(CLI::App& app) {
  auto options = std::make_shared<BareServerOptions>();
  CLI::App* command = app.add_subcommand(
      "bare-server", "The memory engine behind memcached's protocol and nothing else: get and set");
  command->add_option("--port", options->port, "On 127.0.0.1")->required();
  command->add_option("--threads", options->threads, "Threads that serve")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_option("--memory-bytes", options->memory_bytes, "Of the engine")
      ->capture_default_str();
  command->callback([options] { Fail("bare-server", RunBareServer(*options)); });
}

}  // namespace atoll::bench
