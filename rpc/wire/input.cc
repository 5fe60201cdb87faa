#include "rpc/wire/input.h"

#include <grpcpp/support/proto_buffer_reader.h>

namespace atoll::wire {

void Input::Forget() {
  pieces_.clear();
  size_ = 0;
  arena_.Reset();
}

bool Input::Load() {
  Forget();
  // It peeks: no slice is referenced a second time, and none is copied.
  grpc::ProtoBufferReader reader(&buffer_);
  if (!reader.status().ok()) return false;
  const void* data = nullptr;
  int size = 0;
  while (reader.Next(&data, &size)) {
    pieces_.emplace_back(static_cast<const char*>(data), static_cast<size_t>(size));
    size_ += static_cast<size_t>(size);
  }
  return true;
}

void Input::Load(absl::Span<const std::string_view> pieces) {
  Forget();
  for (const std::string_view piece : pieces) {
    pieces_.push_back(piece);
    size_ += piece.size();
  }
}

void Input::Clear() {
  Forget();
  buffer_.Clear();
}

}  // namespace atoll::wire
