#include <memory>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/entry_output.h"

namespace atoll::cli {
namespace {

struct Arguments {
  std::string key;
  std::optional<absl::Duration> ttl;
  std::optional<absl::Duration> max_idle;
};

}  // namespace

void AddTouch(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command = AddCommand(
      app, context, "touch", "Change the time to live of a key", kDataGroup, [&context, arguments] {
        Backend* backend = context.backend();
        if (backend == nullptr) return;
        PrintWrite(context, arguments->key, "touched",
                   backend->Touch(arguments->key, {.ns = context.ns(),
                                                   .timeout = context.timeout(),
                                                   .ttl = arguments->ttl,
                                                   .max_idle = arguments->max_idle}));
      });
  command->add_option("KEY", arguments->key, "1-1,024 bytes")->required();
  AddDuration(*command, "--ttl", &arguments->ttl, "Time to live; never (default: the namespace's)",
              true)
      ->envname("ATOLL_TTL");
  AddDuration(*command, "--max-idle", &arguments->max_idle,
              "Expire when not read for so long; never", true);
}

}  // namespace atoll::cli
