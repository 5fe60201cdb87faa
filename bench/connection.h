// What every command that talks to a cluster takes: where it is, and how it is reached.
#pragma once

#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "client/include/atoll/client.h"

namespace atoll::bench {

struct ConnectionFlags {
  std::string endpoints;
  std::string ns;

  // --endpoints (ATOLL_ENDPOINTS), --namespace (ATOLL_NAMESPACE).
  void Add(CLI::App& command);
  // Waits until the cluster serves every partition, at most ten seconds.
  absl::StatusOr<std::unique_ptr<Client>> Connect() const;
};

}  // namespace atoll::bench
