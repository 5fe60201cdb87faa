// The messages of atoll/v1/cache.proto that carry the load, as views: names and meanings are those
// of the .proto. Zero is absent, as there.
//
// Lifetime: a decoded message points into the Input that it was read from, one that is to be
// encoded into memory of its maker's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/types/span.h"

namespace atoll::wire {

// A value that came in several pieces is put together up to this size, and left in pieces above it.
inline constexpr size_t kLargestCopy = size_t{8} << 10;
// Of a multi call: what is beyond is counted and not kept.
inline constexpr size_t kMostItems = 10'000;

// Bytes of a value: `bytes`, unless there are pieces.
struct Payload {
  std::string_view bytes;
  absl::Span<const std::string_view> pieces;

  size_t size() const {
    if (pieces.empty()) return bytes.size();
    size_t sum = 0;
    for (const std::string_view piece : pieces) sum += piece.size();
    return sum;
  }
  // Lives as long as the payload.
  absl::Span<const std::string_view> span() const {
    return pieces.empty() ? absl::MakeConstSpan(&bytes, 1) : pieces;
  }
};

// --- Requests ---

struct GetRequest {
  std::string_view ns;  // empty: the default one
  std::string_view key;
  int32_t consistency = 0;
  uint64_t if_version_not = 0;
  bool metadata_only = false;
};

// MultiSetEntry, and what SetRequest adds to its namespace.
struct Entry {
  std::string_view key;
  Payload value;
  std::optional<int64_t> ttl_ms;
  int64_t max_idle_ms = 0;
  uint32_t flags = 0;
};

struct SetRequest {
  std::string_view ns;
  Entry entry;
};

struct DeleteRequest {
  std::string_view ns;
  std::string_view key;
};

struct MultiGetRequest {
  std::string_view ns;
  absl::Span<const std::string_view> keys;  // the first kMostItems
  size_t count = 0;                         // all that came
  int32_t consistency = 0;
};

struct MultiSetRequest {
  std::string_view ns;
  absl::Span<const Entry> entries;
  size_t count = 0;
};

struct MultiDeleteRequest {
  std::string_view ns;
  absl::Span<const std::string_view> keys;  // as of MultiGetRequest
  size_t count = 0;
};

enum class Kind : uint8_t {
  kOther,  // none, or one for the generated parser
  kGet,
  kSet,
  kDelete,
  kMultiGet,
  kMultiSet,
  kMultiDelete,
};

// Of an Exchange stream. Only the member that `kind` names means anything.
struct Operation {
  uint64_t id = 0;
  uint32_t timeout_ms = 0;
  Kind kind = Kind::kOther;
  GetRequest get;
  SetRequest set;
  DeleteRequest del;
  MultiGetRequest multi_get;
  MultiSetRequest multi_set;
  MultiDeleteRequest multi_delete;
  // kOther: a serialized v1::Operation, id and timeout_ms in it; perhaps malformed.
  std::string_view other;
};

// --- Responses ---

struct GetResponse {
  int32_t outcome = 0;
  Payload value;
  uint64_t version = 0;
  uint32_t flags = 0;
  std::optional<int64_t> ttl_ms;
  uint64_t size = 0;
  int64_t max_idle_ms = 0;
};

// SetResponse and DeleteResponse.
struct WriteResponse {
  int32_t outcome = 0;
  uint64_t version = 0;
  uint32_t copies = 0;
};

// MultiGetResult, MultiSetResult and MultiDeleteResult. With an error `result` means nothing.
template <typename Response>
struct Item {
  uint32_t index = 0;
  bool has_error = false;
  std::string_view error;  // a serialized google.rpc.Status
  Response result;
};
using MultiGetItem = Item<GetResponse>;
using MultiWriteItem = Item<WriteResponse>;

// OperationResult. With an error no other member but `id` means anything.
struct Result {
  uint64_t id = 0;
  Kind kind = Kind::kOther;
  bool has_error = false;
  std::string_view error;  // a serialized google.rpc.Status
  GetResponse get;
  WriteResponse write;  // kSet, kDelete
  absl::Span<const MultiGetItem> multi_get;
  absl::Span<const MultiWriteItem> multi_write;  // kMultiSet, kMultiDelete
  // kOther without an error: a serialized v1::OperationResult; perhaps malformed.
  std::string_view other;
};

}  // namespace atoll::wire
