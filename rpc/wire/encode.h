// Protobuf's wire format, written by hand: the messages of messages.h, into memory that the caller
// has. For each there is a size and a Write that fills exactly that; Write returns the end.
//
// Messages that carry a value are written with its bytes last, so that they may be left to the
// caller: WriteHead writes all that comes before them, `Size(m) - m.value.size()` bytes, and the
// value then goes along by reference.
//
// What stands around a message in an Exchange message is written before it, from the inside out
// known by size only: a *body* is the field of an operation's or a result's kind, a *frame* is the
// whole operation or result as an element of the message.
//
//   const size_t body = BodySize(Kind::kGet, Size(get));
//   out = WriteOperationFrame(id, timeout_ms, body, out);    // OperationFrameSize(...) + body
//   bytes out = WriteBodyHead(Kind::kGet, Size(get), out); out = Write(get, out);
//
// A body may also be what another encoder made: the serialized v1::Operation without id and
// timeout_ms. Thread safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "rpc/wire/messages.h"

namespace atoll::wire {

// --- Requests ---
size_t Size(const GetRequest& m);
size_t Size(const SetRequest& m);
size_t Size(const DeleteRequest& m);
size_t Size(const MultiGetRequest& m);
size_t Size(const MultiSetRequest& m);
size_t Size(const MultiDeleteRequest& m);
uint8_t* Write(const GetRequest& m, uint8_t* out);
uint8_t* Write(const SetRequest& m, uint8_t* out);
uint8_t* Write(const DeleteRequest& m, uint8_t* out);
uint8_t* Write(const MultiGetRequest& m, uint8_t* out);
uint8_t* Write(const MultiSetRequest& m, uint8_t* out);
uint8_t* Write(const MultiDeleteRequest& m, uint8_t* out);
uint8_t* WriteHead(const SetRequest& m, uint8_t* out);

// --- Responses ---
size_t Size(const GetResponse& m);
size_t Size(const WriteResponse& m);
uint8_t* Write(const GetResponse& m, uint8_t* out);
uint8_t* Write(const WriteResponse& m, uint8_t* out);
uint8_t* WriteHead(const GetResponse& m, uint8_t* out);

// --- Around them ---

// The field of a kind around a message of so many bytes; also of an `error` or a `result`, where
// none is named.
size_t BodySize(size_t message_size);
size_t BodySize(Kind kind, size_t message_size);
uint8_t* WriteBodyHead(Kind kind, size_t message_size, uint8_t* out);
// A get's body in one go: at most kMaxGetHead bytes beside those of its namespace and its key,
// which `written` finds in it.
inline constexpr size_t kMaxGetHead = 6 + 6 + 6 + 11 + 9 + 2;
uint8_t* WriteGetBody(const GetRequest& m, uint8_t* out, GetRequest* written);
// The field `error` (of a result or an item) around a serialized google.rpc.Status.
uint8_t* WriteErrorHead(size_t status_size, uint8_t* out);

// An element of ExchangeRequest.operations: what comes before a body of so many bytes.
size_t OperationFrameSize(uint64_t id, uint32_t timeout_ms, size_t body_size);
uint8_t* WriteOperationFrame(uint64_t id, uint32_t timeout_ms, size_t body_size, uint8_t* out);
// ExchangeRequest.refuse_wrong_owner.
inline constexpr size_t kRefuseWrongOwnerSize = 2;
uint8_t* WriteRefuseWrongOwner(uint8_t* out);
// ExchangeRequest.max_value_bytes, not 0.
inline constexpr size_t kMaxValueLimitSize = 11;
uint8_t* WriteValueLimit(uint64_t max_value_bytes, uint8_t* out);
// ExchangeRequest.sent_us, not 0.
inline constexpr size_t kMaxSentSize = 11;
uint8_t* WriteSent(uint64_t sent_us, uint8_t* out);
// ExchangeRequest.answer_at_once.
inline constexpr size_t kAnswerAtOnceSize = 2;
uint8_t* WriteAnswerAtOnce(uint8_t* out);

// An element of ExchangeResponse.results.
size_t ResultFrameSize(uint64_t id, size_t body_size);
uint8_t* WriteResultFrame(uint64_t id, size_t body_size, uint8_t* out);

// An element of the `results` of a MultiGetResponse, MultiSetResponse or MultiDeleteResponse; the
// body is the field `result`, written by WriteItemResultHead, or `error`.
size_t ItemFrameSize(uint32_t index, size_t body_size);
uint8_t* WriteItemFrame(uint32_t index, size_t body_size, uint8_t* out);
uint8_t* WriteItemResultHead(size_t message_size, uint8_t* out);

// No frame, body head and head of a GetResponse or WriteResponse together are longer.
inline constexpr size_t kMaxHeadSize = 96;

}  // namespace atoll::wire
