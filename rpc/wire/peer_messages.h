// The messages of atoll/internal/v1/peer.proto that carry the load, as views: names and meanings
// are those of the .proto. Zero is absent, as there.
//
// Lifetime: a decoded message points into the Input that it was read from, one that is to be
// encoded into memory of its maker's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/types/span.h"
#include "rpc/wire/messages.h"

namespace atoll::wire {

enum class Effect : uint8_t { kNone, kPut, kErase, kTouch, kFlush, kNothing };

// RememberedResult.
struct Remembered {
  uint64_t client_id = 0;
  uint64_t number = 0;
  uint32_t outcome = 0;
  int64_t counter = 0;
  uint64_t at_ms = 0;
  uint64_t version = 0;
};

// Of the members behind `effect` only those that its message has mean anything.
struct Record {
  uint64_t version = 0;
  uint64_t key_hash = 0;
  Effect effect = Effect::kNone;
  uint32_t ns = 0;
  std::string_view key;
  Payload value;
  uint32_t expiry = 0;
  uint32_t max_idle = 0;
  uint32_t flags = 0;
  bool has_remembered = false;
  Remembered remembered;
};

// A record as it came, and as it is written elsewhere.
struct ReceivedRecord {
  Record record;
  Payload encoded;
};

struct Append {
  uint32_t partition = 0;
  uint32_t epoch = 0;
  uint64_t committed = 0;
  absl::Span<const ReceivedRecord> records;
};

struct AppendAck {
  uint32_t partition = 0;
  uint32_t epoch = 0;
  uint64_t applied = 0;
  int32_t answer = 0;
};

// PeerMessage. Only the member that `kind` names means anything.
struct PeerItem {
  enum class Kind : uint8_t {
    kOther,  // none, or one for the generated parser
    kAppend,
    kAppendAck,
  };
  Kind kind = Kind::kOther;
  Append append;
  AppendAck append_ack;
  std::string_view other;  // a serialized PeerMessage; perhaps malformed
};

// LinkRequest without a hello.
struct LinkMessage {
  absl::Span<const PeerItem> items;
  uint64_t number = 0;
  uint64_t received = 0;
};

// A record that was encoded before, and whoever keeps its bytes.
struct EncodedRecord {
  std::string_view bytes;
  std::shared_ptr<const char[]> owner;
};

// An Append on its way out.
struct AppendToSend {
  uint32_t partition = 0;
  uint32_t epoch = 0;
  uint64_t committed = 0;
  absl::Span<const EncodedRecord> records;
};

}  // namespace atoll::wire
