// The client library as the target of a load.
#pragma once

#include <string>
#include <string_view>

#include "bench/load.h"
#include "client/include/atoll/client.h"

namespace atoll::bench {

class ClientLoadTarget final : public LoadTarget {
 public:
  // `client` must outlive it.
  explicit ClientLoadTarget(Client& client, absl::Duration timeout = absl::Seconds(5));

  Answer Read(absl::Span<const std::string> keys) override;
  Answer Write(absl::Span<const std::string> keys, std::string_view value) override;
  void ReadAsync(absl::Span<const std::string> keys, Done done) override;
  void WriteAsync(absl::Span<const std::string> keys, std::string_view value, Done done) override;

 private:
  Client& client_;
  const GetOptions get_;
  const SetOptions set_;
  const MultiGetOptions multi_get_;
  const CallOptions call_;
};

}  // namespace atoll::bench
