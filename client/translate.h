// Between the public types and the messages.
//
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "atoll/v1/cache.pb.h"
#include "client/include/atoll/options.h"
#include "client/include/atoll/value.h"
#include "rpc/value_block.h"
#include "rpc/wire/messages.h"

namespace atoll::client {

inline constexpr size_t kMaxKeyBytes = 1024;
inline constexpr size_t kMaxValueBytes = size_t{64} << 20;
inline constexpr size_t kMaxKeysInACall = 10'000;
// Values above it travel by streams of their own.
inline constexpr size_t kMaxInlineBytes = size_t{64} << 10;
// But for those to this size that the stream for large values brings; above it they come in chunks.
inline constexpr uint64_t kMostWholeBytes = uint64_t{1} << 20;

// INVALID_ARGUMENT, as a node would say it, without asking one.
absl::Status CheckNamespace(std::string_view ns);
absl::Status CheckKey(std::string_view key);
absl::Status CheckValue(std::string_view value);
absl::Status CheckTtl(const std::optional<absl::Duration>& ttl);
absl::Status CheckMaxIdle(absl::Duration max_idle);

// Milliseconds, rounded up; infinite is 0, as is never.
int64_t TtlMs(absl::Duration ttl);

inline constexpr std::string_view kDefaultNamespace = "default";
// As it is sent: the default one by nothing.
inline std::string_view WireNamespace(std::string_view ns) {
  return ns == kDefaultNamespace ? std::string_view() : ns;
}

// Copies the value to `values`, or leaves a large one in its message.
absl::StatusOr<GetResult> ToGetResult(const wire::GetResponse& answer, rpc::ValueBlock& values);
absl::StatusOr<WriteResult> ToWriteResult(const wire::WriteResponse& answer);
// Takes the value out of `message`. Outcomes that no caller should see (USE_STREAM, or one of a
// later version) are INTERNAL.
absl::StatusOr<GetResult> ToGetResult(v1::GetResponse* message);
absl::StatusOr<Outcome> ToOutcome(int outcome);

// For all of Set, Delete, Touch, Add, Replace, CompareAndSwap, Append, Prepend.
template <typename Message>
absl::StatusOr<WriteResult> ToWriteResult(const Message& message) {
  absl::StatusOr<Outcome> outcome = ToOutcome(message.outcome());
  if (!outcome.ok()) return outcome.status();
  WriteResult result;
  result.outcome = *outcome;
  result.version = message.version();
  result.copies = message.copies();
  return result;
}

absl::StatusOr<CounterResult> ToCounterResult(const v1::IncrementResponse& message);
ScanPage ToScanPage(v1::ScanResponse* message);

}  // namespace atoll::client
