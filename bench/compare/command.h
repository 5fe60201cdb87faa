// `atoll-bench compare`.
#pragma once

#include "CLI/CLI.hpp"

namespace atoll::bench {

void AddCompareCommand(CLI::App& app);

}  // namespace atoll::bench
