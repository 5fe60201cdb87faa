// `atoll-bench replay-peers FILE`.
#pragma once

#include "CLI/CLI.hpp"

namespace atoll::bench {

void AddReplayPeersCommand(CLI::App& app);

}  // namespace atoll::bench
