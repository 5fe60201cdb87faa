// What the streams of Exchange do alike: putting operations into a message, and ending them by what
// came back. Private to this folder.
//
// Thread safety: pure functions, and calls of the operation's.
#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "atoll/v1/cache.pb.h"
#include "rpc/batch_operation.h"
#include "rpc/value_block.h"
#include "rpc/wire/messages.h"

namespace atoll::rpc {

inline constexpr char kExchangeMethod[] = "/atoll.v1.CacheService/Exchange";

// What an operation adds to a message beside its body, at the most: tag and length, id, timeout.
inline constexpr size_t kOperationOverhead = 1 + 5 + 1 + 10 + 1 + 5;

class OperationEnd {
 public:
  static void Depart(BatchOperation* operation) { operation->OnDeparture(); }
  static void End(BatchOperation* operation, absl::Status status, Fate fate);
  // By an answer. False if it cannot be read: the operation has ended, and the stream had better.
  static bool Answer(BatchOperation* operation, const wire::Result& result, ValueBlock& values);
  static void Answer(BatchOperation* operation, v1::OperationResult* message, ValueBlock& values);
};

// Milliseconds for the wire, rounded up: 0 would mean the node's default.
uint32_t TimeoutMs(absl::Duration left);
// Writes the operation as an element of an ExchangeRequest, at most kOperationOverhead beside its
// body; returns the end.
uint8_t* WriteOperation(const BatchOperation& operation, uint64_t id, uint32_t timeout_ms,
                        uint8_t* out);
// How a stream that ended so fails what was on it: UNAVAILABLE, but for refusals of the caller
// himself. A server that ends the stream politely leaves its operations as unanswered as one that
// breaks.
absl::Status StreamError(const grpc::Status& status);

}  // namespace atoll::rpc
