// `atoll-bench memory`.
#pragma once

#include "CLI/CLI.hpp"

namespace atoll::bench {

void AddMemoryCommand(CLI::App& app);

}  // namespace atoll::bench
