// Fields of protobuf's wire format: what decoding and encoding of all messages share. Private to
// this folder.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/copy.h"
#include "rpc/wire/format.h"
#include "rpc/wire/messages.h"
#include "rpc/wire/reader.h"

namespace atoll::wire {

// --- Reading, by Reader or by FlatReader ---

// A repeated field twice is as it should be; any other is for the generated parser, which keeps the
// last, or merges.
inline bool Once(uint8_t tag, uint32_t* seen) {
  const uint32_t bit = 1u << (tag >> 3);
  if ((*seen & bit) != 0) return false;
  *seen |= bit;
  return true;
}

// Numbers are cut to the width of their field, as the generated parser does.
template <typename In>
bool ReadInt32(In& in, int32_t* out) {
  uint64_t value = 0;
  if (!in.Varint(&value)) return false;
  *out = static_cast<int32_t>(value);
  return true;
}

template <typename In>
bool ReadUint32(In& in, uint32_t* out) {
  uint64_t value = 0;
  if (!in.Varint(&value)) return false;
  *out = static_cast<uint32_t>(value);
  return true;
}

template <typename In>
bool ReadInt64(In& in, int64_t* out) {
  uint64_t value = 0;
  if (!in.Varint(&value)) return false;
  *out = static_cast<int64_t>(value);
  return true;
}

template <typename In>
bool ReadInt64(In& in, std::optional<int64_t>* out) {
  int64_t value = 0;
  if (!ReadInt64(in, &value)) return false;
  *out = value;
  return true;
}

template <typename In>
bool ReadBool(In& in, bool* out) {
  uint64_t value = 0;
  if (!in.Varint(&value)) return false;
  *out = value != 0;
  return true;
}

// A proto3 string must be UTF-8. A namespace that exists is ASCII: the parser judges the rest.
template <typename In>
bool ReadName(In& in, size_t limit, std::string_view* out) {
  return in.Bytes(limit, out) &&
         std::all_of(out->begin(), out->end(), [](char c) { return (c & 0x80) == 0; });
}

// Reads tag after tag up to the limit. `field(tag)` reads the field, false if it is none of its; a
// field above 31 is nobody's.
template <typename In, typename Field>
bool ReadFields(In& in, size_t limit, Field field) {
  while (in.position() < limit) {
    uint8_t tag = 0;
    if (!in.Tag(&tag)) return false;
    uint8_t second = kSecond;
    if (tag >= 0x80 && (!in.Tag(&second) || second != kSecond)) return false;
    if (!field(tag)) return false;
  }
  return in.position() == limit;
}

// --- Sizes: of a field with its tag, 0 if it is absent ---

constexpr size_t VarintSize(uint64_t value) {
  if (value < 0x80) return 1;
  return (static_cast<size_t>(std::bit_width(value | 1)) + 6) / 7;
}

constexpr size_t NumberSize(uint64_t value) { return value == 0 ? 0 : 1 + VarintSize(value); }

constexpr size_t FixedSize(uint64_t value) { return value == 0 ? 0 : 9; }

constexpr size_t BytesSize(size_t length) {
  return length == 0 ? 0 : 1 + VarintSize(length) + length;
}

// Also of an empty message.
constexpr size_t MessageSize(size_t length) { return 1 + VarintSize(length) + length; }

inline size_t OptionalSize(const std::optional<int64_t>& value) {
  return value.has_value() ? 1 + VarintSize(static_cast<uint64_t>(*value)) : 0;
}

inline uint64_t Signed(int64_t value) { return static_cast<uint64_t>(value); }

// --- Fields ---

inline uint8_t* PutVarint(uint64_t value, uint8_t* out) {
  while (value >= 0x80) {
    *out++ = static_cast<uint8_t>(value | 0x80);
    value >>= 7;
  }
  *out++ = static_cast<uint8_t>(value);
  return out;
}

inline uint8_t* PutTagged(uint8_t tag, uint64_t value, uint8_t* out) {
  *out++ = tag;
  return PutVarint(value, out);
}

// As PutTagged, for a field of a kind.
inline uint8_t* PutKind(Kind kind, uint64_t value, uint8_t* out) {
  const uint8_t tag = TagOf(kind);
  *out++ = tag;
  if (tag >= 0x80) *out++ = kSecond;
  return PutVarint(value, out);
}

inline uint8_t* PutNumber(uint32_t field, uint64_t value, uint8_t* out) {
  return value == 0 ? out : PutTagged(TagOf(field, kVarint), value, out);
}

inline uint8_t* PutOptional(uint32_t field, const std::optional<int64_t>& value, uint8_t* out) {
  return value.has_value() ? PutTagged(TagOf(field, kVarint), Signed(*value), out) : out;
}

inline uint8_t* PutFixed(uint32_t field, uint64_t value, uint8_t* out) {
  if (value == 0) return out;
  *out++ = TagOf(field, kFixed64);
  std::memcpy(out, &value, 8);
  return out + 8;
}

inline uint8_t* PutRaw(std::string_view bytes, uint8_t* out) { return base::CopyBytes(bytes, out); }

inline uint8_t* PutBytes(uint32_t field, std::string_view bytes, uint8_t* out) {
  if (bytes.empty()) return out;
  return PutRaw(bytes, PutTagged(TagOf(field, kBytes), bytes.size(), out));
}

inline uint8_t* PutPayload(const Payload& payload, uint8_t* out) {
  for (const std::string_view piece : payload.span()) out = PutRaw(piece, out);
  return out;
}

inline uint8_t* PutPayloadHead(uint32_t field, const Payload& payload, uint8_t* out) {
  const size_t size = payload.size();
  return size == 0 ? out : PutTagged(TagOf(field, kBytes), size, out);
}

}  // namespace atoll::wire
