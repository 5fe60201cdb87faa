// `atoll-bench replay FILE`.
#pragma once

#include "CLI/CLI.hpp"

namespace atoll::bench {

void AddReplayCommand(CLI::App& app);

}  // namespace atoll::bench
