#include "client/write_call.h"

#include <cstring>

#include "base/hash.h"
#include "client/translate.h"
#include "rpc/result_message.h"
#include "rpc/wire/encode.h"

namespace atoll::client {

void WriteCall::PrepareSet(std::string_view ns, std::string_view key, std::string_view value,
                           const EntryOptions& options, bool own) {
  partition = base::PartitionOfHash(base::HashKey(ns, key));
  attempts.rule = RetryRule::kOnlyUnapplied;
  attempts.write = true;
  wire::SetRequest set;
  set.ns = WireNamespace(ns);
  set.entry.key = key;
  set.entry.value.bytes = value;
  if (options.ttl.has_value()) set.entry.ttl_ms = TtlMs(*options.ttl);
  set.entry.max_idle_ms = TtlMs(options.max_idle);
  set.entry.flags = options.flags;
  const size_t message = wire::Size(set);
  const size_t head_size = wire::BodySize(message) - value.size();
  uint8_t* const start = bytes.Take(own ? head_size + value.size() : head_size);
  uint8_t* const end = wire::WriteHead(set, wire::WriteBodyHead(wire::Kind::kSet, message, start));
  head = {reinterpret_cast<const char*>(start), static_cast<size_t>(end - start)};
  tail = value;
  if (!own || value.empty()) return;
  std::memcpy(end, value.data(), value.size());
  head = {head.data(), head.size() + value.size()};
  tail = {};
}

void WriteCall::PrepareDelete(std::string_view ns, std::string_view key) {
  partition = base::PartitionOfHash(base::HashKey(ns, key));
  attempts.rule = RetryRule::kOnlyUnapplied;
  attempts.write = true;
  const wire::DeleteRequest del{.ns = WireNamespace(ns), .key = key};
  const size_t message = wire::Size(del);
  uint8_t* const start = bytes.Take(wire::BodySize(message));
  uint8_t* const end = wire::Write(del, wire::WriteBodyHead(wire::Kind::kDelete, message, start));
  head = {reinterpret_cast<const char*>(start), static_cast<size_t>(end - start)};
}

void WriteCall::Finish(rpc::BatchEnd& end) {
  if (!end.status.ok()) return Answer(std::move(end.status));
  if (end.result != nullptr) return Answer(ToWriteResult(end.result->write));
  return Answer(end.message->has_set() ? ToWriteResult(end.message->set())
                                       : ToWriteResult(end.message->delete_()));
}

v1::OperationResult& MessageOf(rpc::BatchEnd& end, v1::OperationResult& own) {
  if (end.message != nullptr) return *end.message;
  rpc::ToMessage(*end.result, &own);
  return own;
}

}  // namespace atoll::client
