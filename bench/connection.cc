#include "bench/connection.h"

#include <utility>

#include "absl/strings/str_split.h"
#include "absl/time/clock.h"

namespace atoll::bench {

void ConnectionFlags::Add(CLI::App& command) {
  command.add_option("--endpoints", endpoints,
                     "Nodes of the cluster, host:port[,host:port...] (ATOLL_ENDPOINTS; "
                     "127.0.0.1:7850)");
  command.add_option("--namespace", ns, "Namespace to use (ATOLL_NAMESPACE; default)");
}

absl::StatusOr<std::unique_ptr<Client>> ConnectionFlags::Connect() const {
  absl::StatusOr<ClientOptions> options = ClientOptions::FromEnvironment();
  if (!options.ok()) return options.status();
  if (!endpoints.empty()) options->endpoints = absl::StrSplit(endpoints, ',', absl::SkipEmpty());
  if (!ns.empty()) options->default_namespace = ns;
  absl::StatusOr<std::unique_ptr<Client>> client = Client::Create(*std::move(options));
  if (!client.ok()) return client.status();
  if (absl::Status ready = (*client)->WaitUntilReady(absl::Now() + absl::Seconds(10));
      !ready.ok()) {
    return ready;
  }
  return client;
}

}  // namespace atoll::bench
