// A received message: its bytes as gRPC holds them, in one piece or several, and an arena for what
// decoding makes of them. Meant to be used again for the next message, which then needs no memory.
//
// Everything that decoding hands out points into the input, and lives until it is loaded anew,
// cleared or destroyed. Thread safety: none.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <cstddef>
#include <string_view>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "rpc/wire/arena.h"

namespace atoll::wire {

class Input {
 public:
  Input() = default;
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  // For gRPC to read into; then Load.
  grpc::ByteBuffer* buffer() { return &buffer_; }
  // Looks at what the buffer holds. False if there is nothing that can be read.
  bool Load();
  // Bytes that lie elsewhere, in pieces of any size, and outlive their use here.
  void Load(absl::Span<const std::string_view> pieces);
  // Lets go of the bytes.
  void Clear();

  absl::Span<const std::string_view> pieces() const { return pieces_; }
  size_t size() const { return size_; }
  Arena& arena() { return arena_; }

 private:
  void Forget();

  grpc::ByteBuffer buffer_;
  absl::InlinedVector<std::string_view, 8> pieces_;
  size_t size_ = 0;
  Arena arena_;
};

}  // namespace atoll::wire
