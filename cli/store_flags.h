// The flags of the commands that store a value.
#pragma once

#include <cstdint>
#include <optional>

#include "cli/context.h"

namespace atoll::cli {

struct StoreFlags {
  std::optional<absl::Duration> ttl;
  std::optional<absl::Duration> max_idle;
  uint32_t flags = 0;

  // --ttl (ATOLL_TTL), --max-idle, --flags.
  void Add(CLI::App& command) {
    AddDuration(command, "--ttl", &ttl, "Time to live; never (default: the namespace's)", true)
        ->envname("ATOLL_TTL");
    AddDuration(command, "--max-idle", &max_idle, "Expire when not read for so long", true);
    command.add_option("--flags", flags, "32 bits to be handed back by reads")->type_name("NUMBER");
  }
  SetOptions Options(const Context& context) const {
    return {.ns = context.ns(),
            .timeout = context.timeout(),
            .ttl = ttl,
            .max_idle = max_idle.value_or(absl::ZeroDuration()),
            .flags = flags};
  }
};

}  // namespace atoll::cli
