// Where options come from: flag `--io-threads`, variable `ATOLLD_IO_THREADS`, key `io_threads` in
// --config FILE (or /etc/atoll/atolld.yaml, if it is there). The first that says something wins.
//
// One table (settings.cc) holds every setting's name, help, reader and writer, so that the three
// sources and --print-config cannot disagree.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "server/options.h"

namespace atoll::server {

struct Invocation {
  NodeOptions options;
  // Not empty: print that and exit 0 (--help, --version, --print-config).
  std::string print;
};

// INVALID_ARGUMENT names the setting, the source and what was wrong: an unknown key, a value that
// cannot be read, a limit. `environment` is `environ`, or a test's.
absl::StatusOr<Invocation> ReadSettings(int argc, const char* const* argv,
                                        const char* const* environment);

// The options as a YAML file that would give them again.
std::string PrintConfig(const NodeOptions& options);

}  // namespace atoll::server
