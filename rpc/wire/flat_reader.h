// As Reader, for a message that lies in one piece: nearly all do, and what is asked for each byte
// there (is it the piece's last one?) is asked once here. Private to this folder.
//
// It reads what Reader reads, and refuses what Reader refuses. Positions are addresses.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "rpc/wire/arena.h"
#include "rpc/wire/messages.h"

namespace atoll::wire {

class FlatReader {
 public:
  FlatReader(const uint8_t* start, size_t size, Arena* arena)
      : at_(start), end_(start + size), arena_(arena) {}

  uintptr_t position() const { return reinterpret_cast<uintptr_t>(at_); }
  // The position at which it all ends.
  uintptr_t size() const { return reinterpret_cast<uintptr_t>(end_); }
  Arena* arena() const { return arena_; }

  bool Tag(uint8_t* tag) {
    if (at_ == end_) return false;
    *tag = *at_++;
    return true;
  }

  // Whether the next field is that one; its tag is read then.
  bool NextIs(uint8_t tag) {
    if (at_ == end_ || *at_ != tag) return false;
    ++at_;
    return true;
  }

  bool Varint(uint64_t* value) {
    if (at_ == end_) return false;
    if (*at_ < 0x80) {
      *value = *at_++;
      return true;
    }
    return LongVarint(kMaxVarintBytes, value);
  }

  bool Fixed64(uint64_t* value) {
    if (end_ - at_ < 8) return false;
    std::memcpy(value, at_, 8);
    at_ += 8;
    return true;
  }

  bool Length(uintptr_t limit, size_t* length) {
    if (at_ == end_) return false;
    uint64_t value = *at_;
    if (value < 0x80) {
      ++at_;
    } else if (!LongVarint(kMaxLengthBytes, &value)) {
      return false;
    }
    if (position() > limit || value > limit - position()) return false;
    *length = static_cast<size_t>(value);
    return true;
  }

  bool Bytes(uintptr_t limit, std::string_view* bytes) {
    size_t length = 0;
    if (!Length(limit, &length)) return false;
    *bytes = {reinterpret_cast<const char*>(at_), length};
    at_ += length;
    return true;
  }

  bool Value(uintptr_t limit, Payload* payload) { return Bytes(limit, &payload->bytes); }

 private:
  static constexpr int kMaxVarintBytes = 10;
  static constexpr int kMaxLengthBytes = 5;

  // Bytes of seven bits each, drawn together: those of up to eight at once.
  static uint64_t Condense(uint64_t bytes) {
    bytes &= 0x7f7f7f7f7f7f7f7f;
    bytes = (bytes & 0x007f007f007f007f) | (bytes & 0x7f007f007f007f00) >> 1;
    bytes = (bytes & 0x00003fff00003fff) | (bytes & 0x3fff00003fff0000) >> 2;
    return (bytes & 0x0fffffff) | (bytes & 0x0fffffff00000000) >> 4;
  }

  bool LongVarint(int max_bytes, uint64_t* value) {
    if (end_ - at_ >= 8) {
      uint64_t bytes = 0;
      std::memcpy(&bytes, at_, 8);
      // The lowest of them is the highest bit of the last byte.
      const uint64_t ends = ~bytes & 0x8080808080808080;
      const int size = (std::countr_zero(ends) + 1) / 8;
      if (ends != 0 && size <= max_bytes) {
        at_ += size;
        *value = Condense(bytes & (ends ^ (ends - 1)));
        return true;
      }
    }
    uint64_t result = 0;
    const uint8_t* at = at_;
    for (int shift = 0; shift < 7 * max_bytes && at != end_; shift += 7) {
      const uint64_t byte = *at++;
      // The tenth byte holds one bit.
      if (shift == 63 && byte > 1) return false;
      result |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        at_ = at;
        *value = result;
        return true;
      }
    }
    return false;
  }

  const uint8_t* at_;
  const uint8_t* end_;
  Arena* arena_;
};

}  // namespace atoll::wire
