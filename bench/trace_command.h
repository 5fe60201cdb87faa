// `atoll-bench trace`: miss ratios of eviction policies over request traces.
#pragma once

#include "CLI/CLI.hpp"

namespace atoll::bench {

void AddTraceCommand(CLI::App& app);

}  // namespace atoll::bench
