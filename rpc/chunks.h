// GetStreamResponse and SetStreamRequest with their value by reference: both are a oneof of a
// header (field 1) and a chunk of bytes (field 2), so one codec in protobuf's wire format serves
// both, and a large value is not copied on its way.
//
// Thread safety: pure functions.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace atoll::rpc {

inline constexpr size_t kChunkBytes = size_t{256} << 10;

// A message with the chunk that `pieces` make together; `owner` is kept until gRPC has let go of
// them.
grpc::ByteBuffer EncodeChunk(absl::Span<const std::string_view> pieces,
                             const std::shared_ptr<const void>& owner);
// A message with a serialized header.
grpc::ByteBuffer EncodeHeader(std::string_view header);

struct ChunkMessage {
  bool is_header = false;
  std::string header;               // serialized
  std::vector<grpc::Slice> pieces;  // the chunk, by reference to what was received
  size_t size = 0;                  // of the chunk
};
// INVALID_ARGUMENT for what is neither one header nor one chunk.
absl::Status DecodeChunk(const grpc::ByteBuffer& buffer, ChunkMessage* out);

// Walks a value in chunks, without copying it.
class ChunkCutter {
 public:
  explicit ChunkCutter(absl::Span<const std::string_view> pieces) : pieces_(pieces) {}
  // The next pieces, at most kChunkBytes together; empty at the end.
  std::vector<std::string_view> Next();

 private:
  absl::Span<const std::string_view> pieces_;
  size_t piece_ = 0;
  size_t offset_ = 0;
};

}  // namespace atoll::rpc
