// Requests and answers of memcached and Redis, for speed: requests are appended to a buffer that is
// built ahead, answers are counted where they lie in the read buffer and never copied.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "bench/peers/connection.h"
#include "bench/peers/socket.h"

namespace atoll::bench {

// How many keys are written at once. Each way is a strong one somewhere.
enum class WriteStyle : uint8_t {
  // A command and an answer for each key.
  kEach,
  // memcached: `ms` commands that answer failures only, and a `mn` behind them.
  kQuiet,
  // Redis: MSET, one command. It cannot give a time to live.
  kTogether,
};

// One get, or one multi-get.
void AppendRead(PeerKind kind, absl::Span<const std::string> keys, std::string& request);
// `ttl_seconds` is left out by kTogether.
void AppendWrite(PeerKind kind, WriteStyle style, absl::Span<const std::string> keys,
                 std::string_view value, uint32_t ttl_seconds, std::string& request);

// Thread safety: none.
class AnswerReader {
 public:
  AnswerReader(PeerKind kind, Socket& socket) : kind_(kind), socket_(socket) {}

  // The answer of one AppendRead of so many keys: hits. INTERNAL for what is no such answer.
  absl::StatusOr<uint64_t> Reads(size_t keys);
  // The answers of one AppendWrite. INTERNAL if a key was not stored.
  absl::Status Writes(size_t keys, WriteStyle style);

 private:
  absl::StatusOr<uint64_t> MemcachedReads();
  absl::StatusOr<uint64_t> RedisReads(size_t keys);
  absl::Status Unexpected(std::string_view line) const;

  const PeerKind kind_;
  Socket& socket_;
};

}  // namespace atoll::bench
