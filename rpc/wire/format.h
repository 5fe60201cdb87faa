// Field numbers and tags of atoll/v1/cache.proto as the codec writes and reads them. Private to
// this folder.
#pragma once

#include <cstdint>

#include "rpc/wire/messages.h"

namespace atoll::wire {

// Wire types: what follows a tag.
inline constexpr uint32_t kVarint = 0;
inline constexpr uint32_t kFixed64 = 1;
inline constexpr uint32_t kBytes = 2;

// Of a field below 16: one byte. Of one below 32 the first of two, of which the second is kSecond.
constexpr uint8_t TagOf(uint32_t field, uint32_t type) {
  return static_cast<uint8_t>(field << 3 | type);
}

inline constexpr uint8_t kSecond = 1;

// Of the operation's or the result's oneof: both use the same numbers. 0 for kOther.
constexpr uint8_t TagOf(Kind kind) {
  switch (kind) {
    case Kind::kGet:
      return TagOf(3, kBytes);
    case Kind::kSet:
      return TagOf(4, kBytes);
    case Kind::kDelete:
      return TagOf(5, kBytes);
    case Kind::kMultiGet:
      return TagOf(14, kBytes);
    case Kind::kMultiSet:
      return TagOf(15, kBytes);
    case Kind::kMultiDelete:
      return TagOf(16, kBytes);
    case Kind::kOther:
      break;
  }
  return 0;
}

}  // namespace atoll::wire
