// The client library as the target of a load.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "bench/load.h"
#include "client/include/atoll/client.h"

namespace atoll::bench {

class ClientLoadTarget final : public LoadTarget {
 public:
  // `client` must outlive it. `ttl` of what is written; absent: the namespace's default.
  explicit ClientLoadTarget(Client& client, absl::Duration timeout = absl::Seconds(5),
                            std::optional<absl::Duration> ttl = std::nullopt);

  Answer Read(absl::Span<const std::string_view> keys) override;
  Answer Write(absl::Span<const std::string_view> keys, std::string_view value) override;
  void ReadAsync(absl::Span<const std::string_view> keys, Completion done) override;
  void WriteAsync(absl::Span<const std::string_view> keys, std::string_view value,
                  Completion done) override;

 private:
  Client& client_;
  const GetOptions get_;
  const SetOptions set_;
  const MultiGetOptions multi_get_;
  const CallOptions call_;
};

}  // namespace atoll::bench
