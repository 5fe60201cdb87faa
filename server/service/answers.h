// Answers of operations as bytes: written straight into the message that goes out.
//
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "rpc/wire/messages.h"
#include "rpc/wire/output.h"
#include "server/replication/operation.h"

namespace atoll::service {

// What stands around an answer.
struct Frame {
  enum class Form : uint8_t {
    kResult,  // an element of ExchangeResponse.results, `number` its id
    kItem,    // an element of a multi answer's results, `number` its index
    kBare,    // nothing: the answer is the message
  };
  Form form = Form::kResult;
  wire::Kind kind = wire::Kind::kGet;
  uint64_t number = 0;
};

// Milliseconds left at `now_ms` (Unix); at least 1, because the entry was found alive.
int64_t TtlMs(base::CacheSeconds expiry, int64_t now_ms);

// The answer of a get, but for its value.
struct GetHead {
  v1::Outcome outcome = v1::OUTCOME_OK;
  store::EntryMeta meta;
  uint64_t value_size = 0;  // of the entry's
  uint64_t sent_bytes = 0;  // how much of it follows: all or nothing
};

// No head is longer: what must be reserved beside the value.
inline constexpr size_t kMostHeadBytes = 96;
// Returns where the value begins.
uint8_t* WriteGetHead(const Frame& frame, const GetHead& head, int64_t now_ms, uint8_t* out);

// A result whose status is OK. A value above wire::kLargestCopy that has an owner goes by
// reference, another is copied.
void AppendGet(const Frame& frame, const replication::OperationResult& result, int64_t now_ms,
               wire::Output* out);
void AppendGet(const Frame& frame, const GetHead& head, const store::Value& value, int64_t now_ms,
               wire::Output* out);
void AppendWrite(const Frame& frame, const wire::WriteResponse& answer, wire::Output* out);
// `error` is a serialized google.rpc.Status. Not of a bare one.
void AppendError(const Frame& frame, std::string_view error, wire::Output* out);

// What goes before a multi answer of so many bytes; at most wire::Output::kHoleBytes. Returns its
// end.
uint8_t* WriteMultiHead(const Frame& frame, size_t size, uint8_t* out);

// A serialized v1::OperationResult.
void AppendOther(std::string_view result, wire::Output* out);

std::string SerializeStatus(const absl::Status& status);

}  // namespace atoll::service
