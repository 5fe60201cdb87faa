// The client library as the target of a replay.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "bench/replay.h"
#include "client/include/atoll/client.h"

namespace atoll::bench {

class ClientTarget final : public ReplayTarget {
 public:
  // `client` must outlive it.
  ClientTarget(Client& client, std::string ns, std::optional<absl::Duration> ttl);

  absl::StatusOr<std::optional<std::string>> Get(std::string_view key) override;
  absl::Status Set(std::string_view key, std::string_view value) override;

 private:
  Client& client_;
  const GetOptions get_;
  const SetOptions set_;
};

}  // namespace atoll::bench
