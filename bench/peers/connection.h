// A connection to a cache that Atoll is measured against, speaking that cache's own protocol.
//
// Thread safety: none; one for each thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace atoll::bench {

enum class PeerKind : uint8_t { kMemcached, kRedis };

// "memcached", "redis".
std::string_view PeerName(PeerKind kind);

struct PeerItem {
  std::string_view key;
  std::string_view value;
};

class PeerConnection {
 public:
  virtual ~PeerConnection() = default;

  // Sends all the sets at once and reads all the answers. `ttl_seconds` 0: never expires.
  virtual absl::Status SetMany(absl::Span<const PeerItem> items, uint32_t ttl_seconds) = 0;
  // One multi-get. As many places as keys; nullopt is a miss.
  virtual absl::StatusOr<std::vector<std::optional<std::string>>> GetMany(
      absl::Span<const std::string> keys) = 0;
};

// Connects to 127.0.0.1. UNAVAILABLE if nobody listens.
absl::StatusOr<std::unique_ptr<PeerConnection>> ConnectPeer(PeerKind kind, uint16_t port);

}  // namespace atoll::bench
