#include "server/routing/wire.h"

#include <algorithm>
#include <string>
#include <utility>

#include "rpc/status.h"

namespace atoll::routing {
namespace {

using replication::Operation;
using replication::OperationResult;
using replication::OpKind;

// Milliseconds left; at least 1, because the entry was found alive.
int64_t TtlMs(base::CacheSeconds expiry, absl::Time now) {
  return std::max<int64_t>(1, absl::ToInt64Milliseconds(base::FromCacheSeconds(expiry) - now));
}

// The owner's expiry is a whole second; what is lost on the way is less than half of one.
base::CacheSeconds ExpiryOf(int64_t ttl_ms, absl::Time now) {
  return base::ToCacheSeconds(now + absl::Milliseconds(ttl_ms) + absl::Milliseconds(500));
}

void SetValue(const store::Value& value, std::string* out) {
  out->clear();
  out->reserve(value.size());
  for (const std::string_view piece : value.pieces()) out->append(piece);
}

template <typename M>
M* Address(const Operation& op, M* message) {
  message->set_namespace_(op.ns->name);
  message->set_key(op.key.key.data(), op.key.key.size());
  return message;
}

template <typename M>
void SetTtl(const Operation& op, M* message) {
  if (op.ttl_ms.has_value()) message->set_ttl_ms(*op.ttl_ms);
}

template <typename M>
void SetRequestId(const Operation& op, M* message) {
  if (op.request_id.client == 0) return;
  message->mutable_request_id()->set_client_id(op.request_id.client);
  message->mutable_request_id()->set_number(op.request_id.number);
}

template <typename M>
void SetPieces(const Operation& op, M* message) {
  std::string* out = message->mutable_value();
  for (const std::string_view piece : op.value) out->append(piece);
}

// The fields that Set, Add, Replace and CompareAndSwap have in common.
template <typename M>
M* SetEntry(const Operation& op, M* message) {
  Address(op, message);
  SetTtl(op, message);
  SetPieces(op, message);
  message->set_max_idle_ms(op.max_idle_ms.value_or(0));
  message->set_flags(op.flags);
  return message;
}

template <typename M>
void ReadWrite(const M& message, OperationResult& result) {
  result.outcome = message.outcome();
  result.meta.version = base::Version(message.version());
  result.copies = message.copies();
}

}  // namespace

v1::Operation EncodeOperation(const Operation& op) {
  v1::Operation out;
  switch (op.kind) {
    case OpKind::kGet: {
      auto* m = Address(op, out.mutable_get());
      if (op.bounded) m->set_consistency(v1::CONSISTENCY_BOUNDED);
      m->set_if_version_not(op.if_version_not.raw());
      m->set_metadata_only(op.metadata_only);
      break;
    }
    case OpKind::kSet:
      SetEntry(op, out.mutable_set());
      break;
    case OpKind::kAdd:
      SetRequestId(op, SetEntry(op, out.mutable_add()));
      break;
    case OpKind::kReplace:
      SetRequestId(op, SetEntry(op, out.mutable_replace()));
      break;
    case OpKind::kCompareAndSwap: {
      auto* m = SetEntry(op, out.mutable_compare_and_swap());
      m->set_expected_version(op.expected.raw());
      SetRequestId(op, m);
      break;
    }
    case OpKind::kDelete:
      Address(op, out.mutable_delete_());
      break;
    case OpKind::kTouch: {
      auto* m = Address(op, out.mutable_touch());
      SetTtl(op, m);
      if (op.max_idle_ms.has_value()) m->set_max_idle_ms(*op.max_idle_ms);
      break;
    }
    case OpKind::kGetAndTouch: {
      auto* m = Address(op, out.mutable_get_and_touch());
      SetTtl(op, m);
      if (op.max_idle_ms.has_value()) m->set_max_idle_ms(*op.max_idle_ms);
      break;
    }
    case OpKind::kIncrement: {
      auto* m = Address(op, out.mutable_increment());
      m->set_delta(op.delta);
      if (op.initial.has_value()) m->set_initial(*op.initial);
      SetTtl(op, m);
      SetRequestId(op, m);
      break;
    }
    case OpKind::kAppend: {
      auto* m = Address(op, out.mutable_append());
      SetPieces(op, m);
      SetRequestId(op, m);
      break;
    }
    case OpKind::kPrepend: {
      auto* m = Address(op, out.mutable_prepend());
      SetPieces(op, m);
      SetRequestId(op, m);
      break;
    }
  }
  return out;
}

OperationResult ReadGet(const v1::GetResponse& message, absl::Time now) {
  OperationResult result;
  result.outcome = message.outcome();
  result.meta.version = base::Version(message.version());
  result.meta.flags = message.flags();
  result.meta.max_idle = static_cast<uint32_t>(message.max_idle_ms() / 1000);
  if (message.has_ttl_ms()) result.meta.expiry = ExpiryOf(message.ttl_ms(), now);
  result.value_size = message.size();
  return result;
}

OperationResult DecodeResult(OpKind kind, absl::Time now, v1::OperationResult* message) {
  OperationResult result;
  if (message->has_error()) {
    result.status = rpc::FromProto(message->error());
    return result;
  }
  const auto take_get = [&](v1::GetResponse* get) {
    result = ReadGet(*get, now);
    if (!get->value().empty()) {
      result.value = store::Value::Own(std::move(*get->mutable_value()));
    }
  };
  switch (kind) {
    case OpKind::kGet:
      take_get(message->mutable_get());
      break;
    case OpKind::kGetAndTouch:
      take_get(message->mutable_get_and_touch()->mutable_entry());
      result.copies = message->get_and_touch().copies();
      break;
    case OpKind::kSet:
      ReadWrite(message->set(), result);
      break;
    case OpKind::kAdd:
      ReadWrite(message->add(), result);
      break;
    case OpKind::kReplace:
      ReadWrite(message->replace(), result);
      break;
    case OpKind::kCompareAndSwap:
      ReadWrite(message->compare_and_swap(), result);
      break;
    case OpKind::kDelete:
      ReadWrite(message->delete_(), result);
      break;
    case OpKind::kTouch:
      ReadWrite(message->touch(), result);
      break;
    case OpKind::kIncrement:
      ReadWrite(message->increment(), result);
      result.number = message->increment().number();
      break;
    case OpKind::kAppend:
      ReadWrite(message->append(), result);
      break;
    case OpKind::kPrepend:
      ReadWrite(message->prepend(), result);
      break;
  }
  if (result.outcome == v1::OUTCOME_UNSPECIFIED) {
    result.status = absl::InternalError("the owner's answer has no outcome");
  }
  return result;
}

void FillGet(const OperationResult& result, absl::Time now, v1::GetResponse* out) {
  out->set_outcome(result.outcome);
  if (result.outcome == v1::OUTCOME_MISS) return;
  out->set_version(result.meta.version.raw());
  out->set_flags(result.meta.flags);
  if (result.meta.expiry != 0) out->set_ttl_ms(TtlMs(result.meta.expiry, now));
  out->set_max_idle_ms(int64_t{result.meta.max_idle} * 1000);
  out->set_size(result.value_size);
  if (result.value.size() != 0) SetValue(result.value, out->mutable_value());
}

void FillScanned(const store::ScannedEntry& entry, bool with_value, absl::Time now,
                 v1::GetResponse* out) {
  out->set_outcome(v1::OUTCOME_OK);
  out->set_version(entry.meta.version.raw());
  out->set_flags(entry.meta.flags);
  if (entry.meta.expiry != 0) out->set_ttl_ms(TtlMs(entry.meta.expiry, now));
  out->set_max_idle_ms(int64_t{entry.meta.max_idle} * 1000);
  out->set_size(entry.value_size);
  if (with_value) SetValue(entry.value, out->mutable_value());
}

}  // namespace atoll::routing
