// `atoll-bench run`.
#pragma once

#include "CLI/CLI.hpp"

namespace atoll::bench {

void AddRunCommand(CLI::App& app);

}  // namespace atoll::bench
