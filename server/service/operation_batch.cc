// What a message becomes: steps, in the order of its operations.
#include "server/service/operation_batch.h"

#include <grpcpp/support/proto_buffer_reader.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status.h"
#include "server/service/validate.h"

namespace atoll::service {

using replication::Operation;
using replication::OpKind;

namespace {

// A unary call's own deadline is within it.
constexpr uint32_t kLongestTimeoutMs = 30'000;

absl::Status TooMany(size_t count) {
  if (count <= OperationBatch::kMostOperations) return absl::OkStatus();
  return base::InvalidArgument("operations", absl::StrCat(count, " or more in a message"),
                               OperationBatch::kMostOperations);
}

}  // namespace

absl::Status OperationBatch::Decode() {
  if (!input_.Load()) return base::InvalidArgument("message", "malformed");
  wire::RequestReader reader(input_);
  wire::Operation operation;
  for (;;) {
    switch (reader.Next(&operation)) {
      case wire::Step::kItem:
        if (absl::Status s = TooMany(++decoded_); !s.ok()) return s;
        if (!Add(operation)) return base::InvalidArgument("message", "malformed");
        continue;
      case wire::Step::kEnd:
        refuse_wrong_owner_ = reader.refuse_wrong_owner();
        sent_us_ = reader.sent_us();
        max_value_bytes_ = reader.max_value_bytes();
        answer_at_once_ = reader.answer_at_once();
        return absl::OkStatus();
      case wire::Step::kOther:
        return DecodeOther();
    }
  }
}

absl::Status OperationBatch::DecodeOther() {
  v1::ExchangeRequest request;
  grpc::ProtoBufferReader reader(input_.buffer());
  if (!request.ParseFromZeroCopyStream(&reader)) {
    return base::InvalidArgument("message", "malformed");
  }
  Clear();
  decoded_ = static_cast<size_t>(request.operations_size());
  if (absl::Status s = TooMany(decoded_); !s.ok()) return s;
  refuse_wrong_owner_ = request.refuse_wrong_owner();
  sent_us_ = request.sent_us();
  max_value_bytes_ = request.max_value_bytes();
  answer_at_once_ = request.answer_at_once();
  for (v1::Operation& operation : *request.mutable_operations()) {
    AddOther(std::make_unique<v1::Operation>(std::move(operation)));
  }
  return absl::OkStatus();
}

absl::Status OperationBatch::DecodeOne(wire::Kind kind) {
  if (!input_.Load()) return base::InvalidArgument("message", "malformed");
  const Frame frame{.form = Frame::Form::kBare, .kind = kind};
  const auto decode = [&](auto message, auto add) {
    if (!wire::Decode(input_, &message)) return DecodeOneOther(kind);
    (this->*add)(message, frame, kLongestTimeoutMs);
    return absl::OkStatus();
  };
  switch (kind) {
    case wire::Kind::kGet:
      return decode(wire::GetRequest(), &OperationBatch::AddGet);
    case wire::Kind::kSet:
      return decode(wire::SetRequest(), &OperationBatch::AddSet);
    case wire::Kind::kMultiGet:
      return decode(wire::MultiGetRequest(), &OperationBatch::AddMultiGet);
    case wire::Kind::kMultiSet:
      return decode(wire::MultiSetRequest(), &OperationBatch::AddMultiSet);
    case wire::Kind::kMultiDelete:
      return decode(wire::MultiDeleteRequest(), &OperationBatch::AddMultiDelete);
    case wire::Kind::kDelete:
    case wire::Kind::kOther:
      break;
  }
  return absl::InternalError("not a unary method");
}

absl::Status OperationBatch::DecodeOneOther(wire::Kind kind) {
  auto operation = std::make_unique<v1::Operation>();
  google::protobuf::Message* message = nullptr;
  switch (kind) {
    case wire::Kind::kSet:
      message = operation->mutable_set();
      break;
    case wire::Kind::kMultiGet:
      message = operation->mutable_multi_get();
      break;
    case wire::Kind::kMultiSet:
      message = operation->mutable_multi_set();
      break;
    case wire::Kind::kMultiDelete:
      message = operation->mutable_multi_delete();
      break;
    default:
      message = operation->mutable_get();
  }
  grpc::ProtoBufferReader reader(input_.buffer());
  if (!message->ParseFromZeroCopyStream(&reader)) {
    return base::InvalidArgument("message", "malformed");
  }
  AddOther(std::move(operation), Frame::Form::kBare);
  return absl::OkStatus();
}

bool OperationBatch::Add(const wire::Operation& operation) {
  const Frame frame{.kind = operation.kind, .number = operation.id};
  const uint32_t timeout_ms = operation.timeout_ms;
  switch (operation.kind) {
    case wire::Kind::kGet:
      AddGet(operation.get, frame, timeout_ms);
      return true;
    case wire::Kind::kSet:
      AddSet(operation.set, frame, timeout_ms);
      return true;
    case wire::Kind::kDelete:
      AddDelete(operation.del, frame, timeout_ms);
      return true;
    case wire::Kind::kMultiGet:
      AddMultiGet(operation.multi_get, frame, timeout_ms);
      return true;
    case wire::Kind::kMultiSet:
      AddMultiSet(operation.multi_set, frame, timeout_ms);
      return true;
    case wire::Kind::kMultiDelete:
      AddMultiDelete(operation.multi_delete, frame, timeout_ms);
      return true;
    case wire::Kind::kOther:
      break;
  }
  auto other = std::make_unique<v1::Operation>();
  const std::string_view bytes = operation.other;
  if (!other->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
  AddOther(std::move(other));
  return true;
}

void OperationBatch::AddToStep(Step::Kind kind, size_t place) {
  if (!steps_.empty() && steps_.back().kind == kind) {
    ++steps_.back().count;
  } else {
    steps_.push_back({.kind = kind, .frame = {}, .first = place, .count = 1});
  }
}

void OperationBatch::AddError(const Frame& frame, const absl::Status& status) {
  steps_.push_back(
      {.kind = Step::Kind::kError, .frame = frame, .first = errors_.size(), .count = 1});
  errors_.push_back(status);
}

void OperationBatch::AddOther(std::unique_ptr<v1::Operation> operation, Frame::Form form) {
  AddToStep(Step::Kind::kOther, others_.size());
  steps_.back().frame.form = form;
  others_.push_back(std::move(operation));
}

absl::Status OperationBatch::Resolve(std::string_view name) {
  if (!namespaces_.empty() && name == last_name_) return absl::OkStatus();
  auto found = handler_->router_->ResolveNamespace(name);
  if (!found.ok()) return found.status();
  namespaces_.push_back(*std::move(found));
  last_name_ = name;
  return absl::OkStatus();
}

store::Key OperationBatch::KeyOf(std::string_view key) const {
  return {.ns = ns()->id, .key = key, .hash = base::HashKey(ns()->name, key)};
}

void OperationBatch::AddGet(const wire::GetRequest& get, const Frame& frame, uint32_t timeout_ms) {
  absl::Status status = CheckKey(get.key);
  if (status.ok()) status = Resolve(get.ns);
  if (!status.ok()) return AddError(frame, status);
  if (get.metadata_only) {
    auto other = NewOther(frame, timeout_ms);
    v1::GetRequest& message = *other->mutable_get();
    message.set_namespace_(ns()->name);
    message.set_key(get.key.data(), get.key.size());
    message.set_consistency(static_cast<v1::Consistency>(get.consistency));
    message.set_if_version_not(get.if_version_not);
    message.set_metadata_only(true);
    return AddOther(std::move(other), frame.form);
  }
  AddToStep(Step::Kind::kGets, keys_.size());
  keys_.push_back(KeyOf(get.key));
  gets_.push_back({.frame = frame,
                   .if_version_not = get.if_version_not,
                   .timeout_ms = timeout_ms,
                   .ns = static_cast<uint32_t>(namespaces_.size() - 1),
                   .bounded = get.consistency == v1::CONSISTENCY_BOUNDED});
  ++reads_;
  ++count_;
}

absl::Status OperationBatch::PrepareSet(const wire::Entry& entry, Operation* out) {
  out->kind = OpKind::kSet;
  if (absl::Status s = CheckKey(entry.key); !s.ok()) return s;
  const uint64_t limit = std::min(handler_->limits_.max_value_bytes, routing::kUnaryValueBytes);
  if (absl::Status s = CheckValue(entry.value.size(), limit); !s.ok()) return s;
  if (entry.ttl_ms.has_value()) {
    if (absl::Status s = CheckDuration("ttl_ms", *entry.ttl_ms); !s.ok()) return s;
  }
  if (absl::Status s = CheckDuration("max_idle_ms", entry.max_idle_ms); !s.ok()) return s;
  out->ttl_ms = entry.ttl_ms;
  if (entry.max_idle_ms != 0) out->max_idle_ms = entry.max_idle_ms;
  out->flags = entry.flags;
  if (entry.value.pieces.empty()) {
    auto* const piece = input_.arena().Array<std::string_view>(1);
    *piece = entry.value.bytes;
    out->value = absl::MakeConstSpan(piece, 1);
  } else {
    out->value = entry.value.pieces;
  }
  return absl::OkStatus();
}

void OperationBatch::PushWrite(std::string_view key, const Frame& frame, uint32_t timeout_ms,
                               Operation write) {
  write.ns = ns();
  write.key = KeyOf(key);
  // How long it has; from when on is known when it runs.
  write.deadline = TimeoutOf(timeout_ms);
  writes_.push_back(std::move(write));
  write_frames_.push_back(frame);
  ++count_;
}

void OperationBatch::AddSet(const wire::SetRequest& set, const Frame& frame, uint32_t timeout_ms) {
  Operation write;
  absl::Status status = PrepareSet(set.entry, &write);
  if (status.ok()) status = Resolve(set.ns);
  if (!status.ok()) return AddError(frame, status);
  AddToStep(Step::Kind::kWrites, writes_.size());
  PushWrite(set.entry.key, frame, timeout_ms, std::move(write));
}

void OperationBatch::AddDelete(const wire::DeleteRequest& del, const Frame& frame,
                               uint32_t timeout_ms) {
  Operation write;
  write.kind = OpKind::kDelete;
  absl::Status status = CheckKey(del.key);
  if (status.ok()) status = Resolve(del.ns);
  if (!status.ok()) return AddError(frame, status);
  AddToStep(Step::Kind::kWrites, writes_.size());
  PushWrite(del.key, frame, timeout_ms, std::move(write));
}

std::unique_ptr<v1::Operation> OperationBatch::NewOther(const Frame& frame, uint32_t timeout_ms) {
  auto other = std::make_unique<v1::Operation>();
  other->set_id(frame.number);
  other->set_timeout_ms(timeout_ms);
  return other;
}

std::unique_ptr<v1::Operation> OperationBatch::MultiGetOf(const wire::MultiGetRequest& get,
                                                          const Frame& frame, uint32_t timeout_ms) {
  auto other = NewOther(frame, timeout_ms);
  v1::MultiGetRequest& message = *other->mutable_multi_get();
  message.set_namespace_(ns()->name);
  for (const std::string_view key : get.keys) message.add_keys(key.data(), key.size());
  message.set_consistency(static_cast<v1::Consistency>(get.consistency));
  return other;
}

void OperationBatch::AddMultiGet(const wire::MultiGetRequest& get, const Frame& frame,
                                 uint32_t timeout_ms) {
  absl::Status status = CheckCount("keys", static_cast<int>(get.count));
  if (status.ok()) status = Resolve(get.ns);
  if (!status.ok()) return AddError(frame, status);
  for (const std::string_view key : get.keys) {
    // Some keys of it are to be refused, and the others not.
    if (!CheckKey(key).ok()) return AddOther(MultiGetOf(get, frame, timeout_ms), frame.form);
  }
  steps_.push_back({.kind = Step::Kind::kMultiGet,
                    .frame = frame,
                    .first = keys_.size(),
                    .count = get.keys.size()});
  for (uint64_t i = 0; i < get.keys.size(); ++i) {
    keys_.push_back(KeyOf(get.keys[i]));
    gets_.push_back({.frame = {.form = Frame::Form::kItem, .kind = wire::Kind::kGet, .number = i},
                     .if_version_not = 0,
                     .timeout_ms = timeout_ms,
                     .ns = static_cast<uint32_t>(namespaces_.size() - 1),
                     .bounded = get.consistency == v1::CONSISTENCY_BOUNDED});
  }
  reads_ += get.keys.size();
  count_ += get.keys.size();
}

std::unique_ptr<v1::Operation> OperationBatch::MultiSetOf(const wire::MultiSetRequest& set,
                                                          const Frame& frame, uint32_t timeout_ms) {
  auto other = NewOther(frame, timeout_ms);
  v1::MultiSetRequest& message = *other->mutable_multi_set();
  message.set_namespace_(ns()->name);
  for (const wire::Entry& entry : set.entries) {
    v1::MultiSetEntry& to = *message.add_entries();
    to.set_key(entry.key.data(), entry.key.size());
    for (const std::string_view piece : entry.value.span()) {
      to.mutable_value()->append(piece.data(), piece.size());
    }
    if (entry.ttl_ms.has_value()) to.set_ttl_ms(*entry.ttl_ms);
    to.set_max_idle_ms(entry.max_idle_ms);
    to.set_flags(entry.flags);
  }
  return other;
}

void OperationBatch::AddMultiSet(const wire::MultiSetRequest& set, const Frame& frame,
                                 uint32_t timeout_ms) {
  absl::Status status = CheckCount("entries", static_cast<int>(set.count));
  if (status.ok()) status = Resolve(set.ns);
  if (!status.ok()) return AddError(frame, status);
  const size_t first = writes_.size();
  for (uint64_t i = 0; i < set.entries.size(); ++i) {
    Operation write;
    if (!PrepareSet(set.entries[i], &write).ok()) {
      DropWrites(first);
      return AddOther(MultiSetOf(set, frame, timeout_ms), frame.form);
    }
    PushWrite(set.entries[i].key,
              {.form = Frame::Form::kItem, .kind = wire::Kind::kSet, .number = i}, timeout_ms,
              std::move(write));
  }
  steps_.push_back({.kind = Step::Kind::kMultiWrite,
                    .frame = frame,
                    .first = first,
                    .count = set.entries.size()});
}

void OperationBatch::DropWrites(size_t first) {
  count_ -= writes_.size() - first;
  writes_.erase(writes_.begin() + static_cast<ptrdiff_t>(first), writes_.end());
  write_frames_.resize(first);
}

std::unique_ptr<v1::Operation> OperationBatch::MultiDeleteOf(const wire::MultiDeleteRequest& del,
                                                             const Frame& frame,
                                                             uint32_t timeout_ms) {
  auto other = NewOther(frame, timeout_ms);
  v1::MultiDeleteRequest& message = *other->mutable_multi_delete();
  message.set_namespace_(ns()->name);
  for (const std::string_view key : del.keys) message.add_keys(key.data(), key.size());
  return other;
}

void OperationBatch::AddMultiDelete(const wire::MultiDeleteRequest& del, const Frame& frame,
                                    uint32_t timeout_ms) {
  absl::Status status = CheckCount("keys", static_cast<int>(del.count));
  if (status.ok()) status = Resolve(del.ns);
  if (!status.ok()) return AddError(frame, status);
  const size_t first = writes_.size();
  for (uint64_t i = 0; i < del.keys.size(); ++i) {
    if (!CheckKey(del.keys[i]).ok()) {
      // Some keys of it are to be refused, and the others not.
      DropWrites(first);
      return AddOther(MultiDeleteOf(del, frame, timeout_ms), frame.form);
    }
    Operation write;
    write.kind = OpKind::kDelete;
    PushWrite(del.keys[i], {.form = Frame::Form::kItem, .kind = wire::Kind::kDelete, .number = i},
              timeout_ms, std::move(write));
  }
  steps_.push_back(
      {.kind = Step::Kind::kMultiWrite, .frame = frame, .first = first, .count = del.keys.size()});
}

}  // namespace atoll::service
