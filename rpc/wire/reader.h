// Reads protobuf's wire format from bytes in pieces. Private to this folder.
//
// A position is counted from the start of the message; a limit is the position at which the message
// that is being read ends. Methods return false for what is malformed, what ends too early, and
// what is legal but not worth reading by hand (an overlong varint): the generated parser judges all
// of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "absl/types/span.h"
#include "rpc/wire/arena.h"
#include "rpc/wire/messages.h"

namespace atoll::wire {

class Reader {
 public:
  Reader(absl::Span<const std::string_view> pieces, size_t size, Arena* arena)
      : pieces_(pieces), size_(size), arena_(arena) {}

  size_t size() const { return size_; }
  size_t position() const { return piece_end_ - static_cast<size_t>(end_ - at_); }
  Arena* arena() const { return arena_; }

  // One byte of it: enough for fields up to 15; the first byte of a longer tag is above 127.
  bool Tag(uint8_t* tag) { return Byte(tag); }

  bool Varint(uint64_t* value) {
    if (at_ < end_ && *at_ < 0x80) {
      *value = *at_++;
      return true;
    }
    return LongVarint(kMaxVarintBytes, value);
  }

  bool Fixed64(uint64_t* value) {
    if (end_ - at_ >= 8) {
      std::memcpy(value, at_, 8);
      at_ += 8;
      return true;
    }
    uint8_t bytes[8];
    for (uint8_t& byte : bytes) {
      if (!Byte(&byte)) return false;
    }
    std::memcpy(value, bytes, 8);
    return true;
  }

  // The length of what follows, which ends at `limit` or before.
  // The generated parser takes no length of more than five bytes, though it be padded with zeros.
  bool Length(size_t limit, size_t* length) {
    uint64_t value = 0;
    if (at_ < end_ && *at_ < 0x80) {
      value = *at_++;
    } else if (!LongVarint(kMaxLengthBytes, &value)) {
      return false;
    }
    if (position() > limit || value > limit - position()) return false;
    *length = static_cast<size_t>(value);
    return true;
  }

  // In one piece: copied if it came in several.
  bool Bytes(size_t limit, std::string_view* bytes) {
    size_t length = 0;
    return Length(limit, &length) && Take(length, bytes);
  }

  bool Take(size_t length, std::string_view* bytes) {
    if (static_cast<size_t>(end_ - at_) >= length) {
      *bytes = {reinterpret_cast<const char*>(at_), length};
      at_ += length;
      return true;
    }
    return TakeSplit(length, bytes);
  }

  // The same, but only of what lies in one piece. (An empty message lies nowhere.)
  bool TakeFlat(size_t length, std::string_view* bytes) {
    if (static_cast<size_t>(end_ - at_) < length || length == 0) return false;
    *bytes = {reinterpret_cast<const char*>(at_), length};
    at_ += length;
    return true;
  }

  // The next field, where it is that one, is not empty and all of it lies in this piece; its length
  // has two bytes at the most. False if it is anything else: nothing was read.
  bool TakeElement(uint8_t tag, std::string_view* bytes) {
    const uint8_t* at = at_;
    if (end_ - at < 3 || *at != tag) return false;
    size_t length = at[1];
    at += 2;
    if (length >= 0x80) {
      if (*at >= 0x80) return false;
      length = (length & 0x7f) | static_cast<size_t>(*at++) << 7;
    }
    if (length == 0 || static_cast<size_t>(end_ - at) < length) return false;
    *bytes = {reinterpret_cast<const char*>(at), length};
    at_ = at + length;
    return true;
  }

  // As Bytes, but that a large value which came in several pieces stays so.
  bool Value(size_t limit, Payload* payload) {
    size_t length = 0;
    if (!Length(limit, &length)) return false;
    if (static_cast<size_t>(end_ - at_) >= length || length <= kLargestCopy) {
      return Take(length, &payload->bytes);
    }
    return TakePieces(length, payload);
  }

 private:
  bool NextPiece() {
    while (at_ == end_) {
      if (next_ == pieces_.size()) return false;
      const std::string_view piece = pieces_[next_++];
      at_ = reinterpret_cast<const uint8_t*>(piece.data());
      end_ = at_ + piece.size();
      piece_end_ += piece.size();
    }
    return true;
  }

  bool Byte(uint8_t* byte) {
    if (at_ == end_ && !NextPiece()) return false;
    *byte = *at_++;
    return true;
  }

  static constexpr int kMaxVarintBytes = 10;
  static constexpr int kMaxLengthBytes = 5;
  bool LongVarint(int max_bytes, uint64_t* value);
  bool TakeSplit(size_t length, std::string_view* bytes);
  bool TakePieces(size_t length, Payload* payload);

  absl::Span<const std::string_view> pieces_;
  size_t size_;
  Arena* arena_;
  const uint8_t* at_ = nullptr;
  const uint8_t* end_ = nullptr;  // of the piece
  size_t next_ = 0;               // piece
  size_t piece_end_ = 0;          // position of end_
};

}  // namespace atoll::wire
