// atoll-bench bare-server: what `compare` starts as its ceiling.
#pragma once

#include "CLI/CLI.hpp"

namespace atoll::bench {

void AddBareServerCommand(CLI::App& app);

}  // namespace atoll::bench
