#include "rpc/operation_end.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/copy.h"
#include "rpc/status.h"
#include "rpc/wire/encode.h"

namespace atoll::rpc {

void OperationEnd::End(BatchOperation* operation, absl::Status status, Fate fate) {
  BatchEnd end{.status = std::move(status), .fate = fate};
  operation->OnEnd(end);
}

bool OperationEnd::Answer(BatchOperation* operation, const wire::Result& result,
                          ValueBlock& values) {
  BatchEnd end{.fate = Fate::kAnswered, .values = &values};
  if (!result.has_error && result.kind != wire::Kind::kOther) {
    end.result = &result;
    operation->OnEnd(end);
    return true;
  }
  v1::OperationResult message;
  bool read = false;
  if (result.has_error) {
    read = message.mutable_error()->ParseFromArray(result.error.data(),
                                                   static_cast<int>(result.error.size()));
  } else {
    read = message.ParseFromArray(result.other.data(), static_cast<int>(result.other.size()));
  }
  if (read) {
    Answer(operation, &message, values);
    return true;
  }
  end.status = absl::InternalError("the node's answer cannot be read");
  operation->OnEnd(end);
  return false;
}

void OperationEnd::Answer(BatchOperation* operation, v1::OperationResult* message,
                          ValueBlock& values) {
  BatchEnd end{.fate = Fate::kAnswered, .values = &values};
  if (message->has_error()) {
    end.status = FromProto(message->error());
    if (end.status.ok()) {
      end.status = absl::InternalError("the node answered an error without a code");
    }
  } else {
    end.message = message;
  }
  operation->OnEnd(end);
}

uint32_t TimeoutMs(absl::Duration left) {
  constexpr int64_t kMilli = 1'000'000;
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  // By hand: absl::Ceil divides three times, for each operation of a message.
  const int64_t nanos = absl::ToInt64Nanoseconds(left);
  return static_cast<uint32_t>(std::min((nanos - 1) / kMilli + 1, kMost));
}

uint8_t* WriteOperation(const BatchOperation& operation, uint64_t id, uint32_t timeout_ms,
                        uint8_t* out) {
  out = wire::WriteOperationFrame(id, timeout_ms, operation.body_size(), out);
  return base::CopyBytes(operation.tail, base::CopyBytes(operation.head, out));
}

absl::Status StreamError(const grpc::Status& status) {
  absl::Status error = FromGrpc(status);
  switch (error.code()) {
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnimplemented:
      return error;
    default:
      return absl::UnavailableError(error.ok() ? absl::string_view("the node ended the stream")
                                               : error.message());
  }
}

}  // namespace atoll::rpc
