#include "bench/client_target.h"

#include <utility>

namespace atoll::bench {

ClientTarget::ClientTarget(Client& client, std::string ns, std::optional<absl::Duration> ttl)
    : client_(client), get_{.ns = ns}, set_{.ns = std::move(ns), .ttl = ttl} {}

absl::StatusOr<std::optional<std::string>> ClientTarget::Get(std::string_view key) {
  const absl::StatusOr<GetResult> got = client_.Get(key, get_);
  if (!got.ok()) return got.status();
  if (!got->found()) return std::nullopt;
  return got->value.ToString();
}

absl::Status ClientTarget::Set(std::string_view key, std::string_view value) {
  return client_.Set(key, value, set_).status();
}

}  // namespace atoll::bench
