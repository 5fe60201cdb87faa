#include "server/service/translate.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "server/routing/wire.h"
#include "server/service/validate.h"

namespace atoll::service {
namespace {

using replication::OperationResult;
using replication::OpKind;

template <typename M>
absl::Status SetKey(const M& message, OpKind kind, Prepared* out) {
  out->operation.kind = kind;
  out->operation.key.key = message.key();
  return CheckKey(message.key());
}

template <typename M>
absl::Status SetTtl(const M& message, Prepared* out) {
  if (!message.has_ttl_ms()) return absl::OkStatus();
  out->operation.ttl_ms = message.ttl_ms();
  return CheckDuration("ttl_ms", message.ttl_ms());
}

template <typename M>
absl::Status SetValue(const M& message, uint64_t limit, Prepared* out) {
  out->value = message.value();
  out->operation.value = absl::MakeConstSpan(&out->value, 1);
  return CheckValue(message.value().size(), limit);
}

template <typename M>
void SetRequestId(const M& message, Prepared* out) {
  if (!message.has_request_id()) return;
  out->operation.request_id = {message.request_id().client_id(), message.request_id().number()};
}

// Key, value, TTL, idle limit and flags.
template <typename M>
absl::Status SetEntry(const M& message, OpKind kind, uint64_t limit, Prepared* out) {
  if (absl::Status s = SetKey(message, kind, out); !s.ok()) return s;
  if (absl::Status s = SetValue(message, limit, out); !s.ok()) return s;
  if (absl::Status s = SetTtl(message, out); !s.ok()) return s;
  if (absl::Status s = CheckDuration("max_idle_ms", message.max_idle_ms()); !s.ok()) return s;
  if (message.max_idle_ms() != 0) out->operation.max_idle_ms = message.max_idle_ms();
  out->operation.flags = message.flags();
  return absl::OkStatus();
}

template <typename M>
absl::Status SetTouch(const M& message, OpKind kind, Prepared* out) {
  if (absl::Status s = SetKey(message, kind, out); !s.ok()) return s;
  if (absl::Status s = SetTtl(message, out); !s.ok()) return s;
  if (!message.has_max_idle_ms()) return absl::OkStatus();
  out->operation.max_idle_ms = message.max_idle_ms();
  return CheckDuration("max_idle_ms", message.max_idle_ms());
}

template <typename M>
absl::Status SetCounter(const M& message, Prepared* out) {
  if (absl::Status s = SetKey(message, OpKind::kIncrement, out); !s.ok()) return s;
  if (message.has_initial()) out->operation.initial = message.initial();
  SetRequestId(message, out);
  return SetTtl(message, out);
}

template <typename M>
void FillWrite(const OperationResult& result, M* out) {
  out->set_outcome(result.outcome);
  out->set_version(result.meta.version.raw());
  out->set_copies(result.copies);
}

}  // namespace

absl::Status Prepare(const v1::GetRequest& message, uint64_t /*limit*/, Prepared* out) {
  out->operation.bounded = message.consistency() == v1::CONSISTENCY_BOUNDED;
  out->operation.metadata_only = message.metadata_only();
  out->operation.if_version_not = base::Version(message.if_version_not());
  return SetKey(message, OpKind::kGet, out);
}

absl::Status Prepare(const v1::SetRequest& message, uint64_t limit, Prepared* out) {
  return SetEntry(message, OpKind::kSet, limit, out);
}

absl::Status Prepare(const v1::MultiSetEntry& message, uint64_t limit, Prepared* out) {
  return SetEntry(message, OpKind::kSet, limit, out);
}

absl::Status Prepare(const v1::DeleteRequest& message, uint64_t /*limit*/, Prepared* out) {
  return SetKey(message, OpKind::kDelete, out);
}

absl::Status Prepare(const v1::TouchRequest& message, uint64_t /*limit*/, Prepared* out) {
  return SetTouch(message, OpKind::kTouch, out);
}

absl::Status Prepare(const v1::GetAndTouchRequest& message, uint64_t /*limit*/, Prepared* out) {
  return SetTouch(message, OpKind::kGetAndTouch, out);
}

absl::Status Prepare(const v1::AddRequest& message, uint64_t limit, Prepared* out) {
  SetRequestId(message, out);
  return SetEntry(message, OpKind::kAdd, limit, out);
}

absl::Status Prepare(const v1::ReplaceRequest& message, uint64_t limit, Prepared* out) {
  SetRequestId(message, out);
  return SetEntry(message, OpKind::kReplace, limit, out);
}

absl::Status Prepare(const v1::CompareAndSwapRequest& message, uint64_t limit, Prepared* out) {
  if (message.expected_version() == 0) return base::InvalidArgument("expected_version", "0");
  out->operation.expected = base::Version(message.expected_version());
  SetRequestId(message, out);
  return SetEntry(message, OpKind::kCompareAndSwap, limit, out);
}

absl::Status Prepare(const v1::IncrementRequest& message, uint64_t /*limit*/, Prepared* out) {
  out->operation.delta = message.delta();
  return SetCounter(message, out);
}

absl::Status Prepare(const v1::DecrementRequest& message, uint64_t /*limit*/, Prepared* out) {
  if (message.delta() == std::numeric_limits<int64_t>::min()) {
    return base::InvalidArgument("delta", absl::StrCat(message.delta()), "above -2^63");
  }
  out->operation.delta = -message.delta();
  return SetCounter(message, out);
}

absl::Status Prepare(const v1::AppendRequest& message, uint64_t limit, Prepared* out) {
  if (absl::Status s = SetKey(message, OpKind::kAppend, out); !s.ok()) return s;
  SetRequestId(message, out);
  return SetValue(message, limit, out);
}

absl::Status Prepare(const v1::PrependRequest& message, uint64_t limit, Prepared* out) {
  if (absl::Status s = SetKey(message, OpKind::kPrepend, out); !s.ok()) return s;
  SetRequestId(message, out);
  return SetValue(message, limit, out);
}

void Fill(const OperationResult& result, absl::Time now, v1::GetResponse* out) {
  routing::FillGet(result, now, out);
}

void Fill(const OperationResult& result, absl::Time now, v1::GetAndTouchResponse* out) {
  routing::FillGet(result, now, out->mutable_entry());
  out->set_copies(result.copies);
}

void Fill(const OperationResult& result, absl::Time /*now*/, v1::IncrementResponse* out) {
  FillWrite(result, out);
  out->set_number(result.number);
}

void Fill(const OperationResult& result, absl::Time /*now*/, v1::DecrementResponse* out) {
  FillWrite(result, out);
  out->set_number(result.number);
}

void Fill(const OperationResult& result, absl::Time /*now*/, v1::SetResponse* out) {
  FillWrite(result, out);
}
void Fill(const OperationResult& result, absl::Time /*now*/, v1::DeleteResponse* out) {
  FillWrite(result, out);
}
void Fill(const OperationResult& result, absl::Time /*now*/, v1::TouchResponse* out) {
  FillWrite(result, out);
}
void Fill(const OperationResult& result, absl::Time /*now*/, v1::AddResponse* out) {
  FillWrite(result, out);
}
void Fill(const OperationResult& result, absl::Time /*now*/, v1::ReplaceResponse* out) {
  FillWrite(result, out);
}
void Fill(const OperationResult& result, absl::Time /*now*/, v1::CompareAndSwapResponse* out) {
  FillWrite(result, out);
}
void Fill(const OperationResult& result, absl::Time /*now*/, v1::AppendResponse* out) {
  FillWrite(result, out);
}
void Fill(const OperationResult& result, absl::Time /*now*/, v1::PrependResponse* out) {
  FillWrite(result, out);
}

}  // namespace atoll::service
