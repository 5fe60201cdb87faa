#include "rpc/wire/reader.h"

namespace atoll::wire {

bool Reader::LongVarint(int max_bytes, uint64_t* value) {
  uint64_t result = 0;
  for (int shift = 0; shift < 7 * max_bytes; shift += 7) {
    uint8_t byte = 0;
    if (!Byte(&byte)) return false;
    // The tenth byte holds one bit.
    if (shift == 63 && byte > 1) return false;
    result |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) {
      *value = result;
      return true;
    }
  }
  return false;
}

bool Reader::TakeSplit(size_t length, std::string_view* bytes) {
  if (length > size_ - position()) return false;
  char* const copy = arena_->Bytes(length);
  size_t done = 0;
  while (done < length) {
    if (!NextPiece()) return false;
    const size_t some = std::min(length - done, static_cast<size_t>(end_ - at_));
    std::memcpy(copy + done, at_, some);
    at_ += some;
    done += some;
  }
  *bytes = {copy, length};
  return true;
}

bool Reader::TakePieces(size_t length, Payload* payload) {
  if (length > size_ - position()) return false;
  ArenaVector<std::string_view> pieces(arena_);
  while (length > 0) {
    if (!NextPiece()) return false;
    const size_t some = std::min(length, static_cast<size_t>(end_ - at_));
    pieces.push_back({reinterpret_cast<const char*>(at_), some});
    at_ += some;
    length -= some;
  }
  payload->pieces = pieces.span();
  return true;
}

}  // namespace atoll::wire
