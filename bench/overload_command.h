// `atoll-bench overload`: what a node does with more than it can do.
#pragma once

#include "CLI/CLI.hpp"

namespace atoll::bench {

void AddOverloadCommand(CLI::App& app);

}  // namespace atoll::bench
