// Protobuf's wire format, read by hand: the messages of messages.h, without copies and without
// memory of their own.
//
// What is read is what a program that writes these messages makes of them: known fields, each at
// most once, in any order. Everything else (unknown fields, groups, a field twice, bytes above 127
// in a namespace, what is malformed) is left to the generated parser, which judges it: functions
// return false, or Step::kOther, and have then changed nothing but their result. Where a message is
// read here, the generated parser would read the same (tests/rpc/wire, differentially).
//
// Lifetime: what is handed out lives as long as the input is not loaded anew. Thread safety: none.
#pragma once

#include "rpc/wire/input.h"
#include "rpc/wire/messages.h"
#include "rpc/wire/reader.h"

namespace atoll::wire {

bool Decode(Input& input, GetRequest* out);
bool Decode(Input& input, SetRequest* out);
bool Decode(Input& input, DeleteRequest* out);
bool Decode(Input& input, MultiGetRequest* out);
bool Decode(Input& input, MultiSetRequest* out);
bool Decode(Input& input, MultiDeleteRequest* out);

bool Decode(Input& input, GetResponse* out);
bool Decode(Input& input, WriteResponse* out);
// A whole MultiGetResponse; a MultiSetResponse or MultiDeleteResponse.
bool Decode(Input& input, absl::Span<const MultiGetItem>* out);
bool Decode(Input& input, absl::Span<const MultiWriteItem>* out);

enum class Step : uint8_t {
  kItem,
  kEnd,
  // The message as a whole is one for the generated parser, the items before it too.
  kOther,
};

// An ExchangeRequest, operation by operation.
class RequestReader {
 public:
  explicit RequestReader(Input& input);
  Step Next(Operation* out);
  // Known at the end.
  bool refuse_wrong_owner() const { return refuse_wrong_owner_; }
  uint64_t sent_us() const { return sent_us_; }
  uint64_t max_value_bytes() const { return max_value_bytes_; }
  bool answer_at_once() const { return answer_at_once_; }

 private:
  Reader reader_;
  bool refuse_wrong_owner_ = false;
  bool answer_at_once_ = false;
  uint64_t sent_us_ = 0;
  uint64_t max_value_bytes_ = 0;
  uint32_t seen_ = 0;
};

// An ExchangeResponse, result by result.
class ResponseReader {
 public:
  explicit ResponseReader(Input& input);
  Step Next(Result* out);

 private:
  Reader reader_;
};

}  // namespace atoll::wire
