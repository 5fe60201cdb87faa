// Messages of atoll.v1 to operations, and results back: checked, and no more.
//
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "atoll/v1/cache.pb.h"
#include "server/replication/operation.h"

namespace atoll::service {

// An operation with the piece that its value points to: stays where it was made.
struct Prepared {
  replication::Operation operation;
  std::string_view value;

  Prepared() = default;
  Prepared(const Prepared&) = delete;
  Prepared& operator=(const Prepared&) = delete;
};

// Fills all but namespace, hash and deadline. INVALID_ARGUMENT names the field. The message
// outlives the operation. `value_limit` is the largest value that the way in allows.
absl::Status Prepare(const v1::GetRequest& message, uint64_t value_limit, Prepared* out);
absl::Status Prepare(const v1::SetRequest& message, uint64_t value_limit, Prepared* out);
absl::Status Prepare(const v1::DeleteRequest& message, uint64_t value_limit, Prepared* out);
absl::Status Prepare(const v1::TouchRequest& message, uint64_t value_limit, Prepared* out);
absl::Status Prepare(const v1::GetAndTouchRequest& message, uint64_t value_limit, Prepared* out);
absl::Status Prepare(const v1::AddRequest& message, uint64_t value_limit, Prepared* out);
absl::Status Prepare(const v1::ReplaceRequest& message, uint64_t value_limit, Prepared* out);
absl::Status Prepare(const v1::CompareAndSwapRequest& message, uint64_t value_limit, Prepared* out);
absl::Status Prepare(const v1::IncrementRequest& message, uint64_t value_limit, Prepared* out);
absl::Status Prepare(const v1::DecrementRequest& message, uint64_t value_limit, Prepared* out);
absl::Status Prepare(const v1::AppendRequest& message, uint64_t value_limit, Prepared* out);
absl::Status Prepare(const v1::PrependRequest& message, uint64_t value_limit, Prepared* out);
absl::Status Prepare(const v1::MultiSetEntry& message, uint64_t value_limit, Prepared* out);

// Of a result whose status is OK. `now` is the cluster clock's.
void Fill(const replication::OperationResult& result, absl::Time now, v1::GetResponse* out);
void Fill(const replication::OperationResult& result, absl::Time now, v1::GetAndTouchResponse* out);
void Fill(const replication::OperationResult& result, absl::Time now, v1::IncrementResponse* out);
void Fill(const replication::OperationResult& result, absl::Time now, v1::DecrementResponse* out);
void Fill(const replication::OperationResult& result, absl::Time now, v1::SetResponse* out);
void Fill(const replication::OperationResult& result, absl::Time now, v1::DeleteResponse* out);
void Fill(const replication::OperationResult& result, absl::Time now, v1::TouchResponse* out);
void Fill(const replication::OperationResult& result, absl::Time now, v1::AddResponse* out);
void Fill(const replication::OperationResult& result, absl::Time now, v1::ReplaceResponse* out);
void Fill(const replication::OperationResult& result, absl::Time now,
          v1::CompareAndSwapResponse* out);
void Fill(const replication::OperationResult& result, absl::Time now, v1::AppendResponse* out);
void Fill(const replication::OperationResult& result, absl::Time now, v1::PrependResponse* out);

}  // namespace atoll::service
