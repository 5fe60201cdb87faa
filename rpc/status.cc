#include "rpc/status.h"

#include <string>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/strings.h"

namespace atoll::rpc {
namespace {

void AddPayloads(const google::rpc::Status& message, absl::Status& status) {
  for (const auto& detail : message.details()) {
    status.SetPayload(base::AsAbsl(detail.type_url()), absl::Cord(base::AsAbsl(detail.value())));
  }
}

// Codes outside the enumeration are kept as UNKNOWN, as gRPC asks.
absl::StatusCode ToCode(int code) {
  return code >= 0 && code <= static_cast<int>(absl::StatusCode::kUnauthenticated)
             ? static_cast<absl::StatusCode>(code)
             : absl::StatusCode::kUnknown;
}

}  // namespace

google::rpc::Status ToProto(const absl::Status& status) {
  google::rpc::Status message;
  if (status.ok()) return message;
  message.set_code(static_cast<int>(status.code()));
  message.set_message(std::string(status.message()));
  status.ForEachPayload([&message](absl::string_view type, const absl::Cord& bytes) {
    auto* detail = message.add_details();
    detail->set_type_url(std::string(type));
    detail->set_value(std::string(bytes));
  });
  return message;
}

absl::Status FromProto(const google::rpc::Status& message) {
  if (message.code() == 0) return absl::OkStatus();
  absl::Status status(ToCode(message.code()), base::AsAbsl(message.message()));
  AddPayloads(message, status);
  return status;
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const auto code = static_cast<grpc::StatusCode>(status.code());
  google::rpc::Status message = ToProto(status);
  if (message.details().empty()) return {code, message.message()};
  return {code, message.message(), message.SerializeAsString()};
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(ToCode(status.error_code()), base::AsAbsl(status.error_message()));
  google::rpc::Status message;
  if (!status.error_details().empty() && message.ParseFromString(status.error_details())) {
    AddPayloads(message, result);
  }
  return result;
}

absl::Status WrongOwnerError(const v1::WrongOwner& detail) {
  absl::Status status = base::WithReason(
      absl::FailedPreconditionError(absl::StrCat("partition ", detail.placement().partition(),
                                                 ": this node is not its primary")),
      base::reason::kWrongOwner);
  status.SetPayload(kWrongOwnerType, absl::Cord(detail.SerializeAsString()));
  return status;
}

std::optional<v1::WrongOwner> WrongOwnerOf(const absl::Status& status) {
  if (status.ok()) return std::nullopt;
  const auto payload = status.GetPayload(kWrongOwnerType);
  v1::WrongOwner detail;
  if (!payload.has_value() || !detail.ParseFromString(std::string(*payload))) return std::nullopt;
  return detail;
}

}  // namespace atoll::rpc
