// rpc/chunks against protobuf's own parser: whatever DecodeChunk takes, the generated classes take
// too and read the same from it; and it takes whatever they write in one piece.
//
// Input: a byte that says how the rest is cut into slices, then the message.
#include <string>
#include <vector>

#include "atoll/v1/cache.pb.h"
#include "rpc/chunks.h"
#include "tests/fuzz/fuzz.h"

namespace atoll::rpc {
namespace {

grpc::ByteBuffer Sliced(std::string_view bytes, size_t step) {
  std::vector<grpc::Slice> slices;
  for (size_t at = 0; at < bytes.size(); at += step) {
    const std::string_view part = bytes.substr(at, step);
    slices.emplace_back(part.data(), part.size());
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

std::string Joined(const std::vector<grpc::Slice>& pieces) {
  std::string all;
  for (const grpc::Slice& piece : pieces) {
    all.append(reinterpret_cast<const char*>(piece.begin()), piece.size());
  }
  return all;
}

// Both messages are a oneof of a header, whose own contents chunks.h leaves alone, and a chunk.
template <typename Message>
void Check(std::string_view bytes, const ChunkMessage& decoded) {
  Message message;
  const bool parsed = message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  if (decoded.is_header) {
    // The header's bytes may be no message; then nobody can read it.
    if (parsed) FUZZ_EXPECT(message.has_header());
    return;
  }
  FUZZ_EXPECT(parsed);
  FUZZ_EXPECT(message.has_chunk());
  FUZZ_EXPECT(message.chunk() == Joined(decoded.pieces));
  FUZZ_EXPECT(decoded.size == message.chunk().size());
}

// What the generated class writes is what DecodeChunk was made for.
template <typename Message>
void CheckCanonical(std::string_view bytes, size_t step) {
  Message message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  message.DiscardUnknownFields();
  if (!message.has_chunk()) return;
  ChunkMessage decoded;
  FUZZ_EXPECT(DecodeChunk(Sliced(message.SerializeAsString(), step), &decoded).ok());
  FUZZ_EXPECT(!decoded.is_header);
  FUZZ_EXPECT(Joined(decoded.pieces) == message.chunk());
}

}  // namespace
}  // namespace atoll::rpc

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using atoll::rpc::ChunkMessage;
  if (size == 0) return 0;
  const size_t step = 1 + data[0] % 32;
  const std::string_view bytes = atoll::fuzz::AsBytes(data + 1, size - 1);
  ChunkMessage decoded;
  if (atoll::rpc::DecodeChunk(atoll::rpc::Sliced(bytes, step), &decoded).ok()) {
    atoll::rpc::Check<atoll::v1::GetStreamResponse>(bytes, decoded);
    atoll::rpc::Check<atoll::v1::SetStreamRequest>(bytes, decoded);
  }
  atoll::rpc::CheckCanonical<atoll::v1::GetStreamResponse>(bytes, step);
  return 0;
}
