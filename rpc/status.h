// absl::Status <-> what travels: grpc::Status and google.rpc.Status.
//
// A payload of an absl::Status is a detail on the wire, with the same type URL: the ErrorInfo of
// base/status.h, and the WrongOwner of a refusal. Nothing is lost in either direction.
//
// Thread safety: pure functions.
#pragma once

#include <grpcpp/support/status.h>

#include <optional>

#include "absl/status/status.h"
#include "atoll/v1/topology.pb.h"
#include "base/status.h"
#include "google/rpc/status.pb.h"

namespace atoll::rpc {

grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

// An OK status is the message with code 0.
google::rpc::Status ToProto(const absl::Status& status);
absl::Status FromProto(const google::rpc::Status& status);

inline constexpr char kWrongOwnerType[] = "type.googleapis.com/atoll.v1.WrongOwner";
// FAILED_PRECONDITION, reason WRONG_OWNER, with the detail.
absl::Status WrongOwnerError(const v1::WrongOwner& detail);
std::optional<v1::WrongOwner> WrongOwnerOf(const absl::Status& status);

}  // namespace atoll::rpc
