#include "rpc/chunks.h"

#include <algorithm>
#include <utility>

#include "rpc/completion_queue.h"

namespace atoll::rpc {
namespace {

constexpr uint8_t kHeaderTag = (1 << 3) | 2;
constexpr uint8_t kChunkTag = (2 << 3) | 2;
constexpr size_t kMaxHeaderBytes = 64 << 10;

std::string Prefix(uint8_t tag, uint64_t size) {
  std::string out(1, static_cast<char>(tag));
  while (size >= 0x80) {
    out.push_back(static_cast<char>(size | 0x80));
    size >>= 7;
  }
  out.push_back(static_cast<char>(size));
  return out;
}

void DropOwner(void* owner) {
  AcquireFromGrpc(owner);
  delete static_cast<std::shared_ptr<const void>*>(owner);
}

// Reads bytes across slices.
class Cursor {
 public:
  explicit Cursor(const std::vector<grpc::Slice>& slices) : slices_(slices) { Settle(); }
  bool at_end() const { return slice_ == slices_.size(); }
  uint8_t Take() {
    const uint8_t byte = slices_[slice_].begin()[offset_++];
    Settle();
    return byte;
  }
  // What is left, by reference.
  std::vector<grpc::Slice> Rest(size_t* size) const {
    std::vector<grpc::Slice> rest;
    *size = 0;
    for (size_t i = slice_; i < slices_.size(); ++i) {
      grpc::Slice slice = slices_[i];
      if (i == slice_ && offset_ > 0) slice = slice.sub(offset_, slice.size());
      *size += slice.size();
      rest.push_back(std::move(slice));
    }
    return rest;
  }

 private:
  void Settle() {
    while (slice_ < slices_.size() && offset_ == slices_[slice_].size()) {
      ++slice_;
      offset_ = 0;
    }
  }
  const std::vector<grpc::Slice>& slices_;
  size_t slice_ = 0;
  size_t offset_ = 0;
};

}  // namespace

grpc::ByteBuffer EncodeChunk(absl::Span<const std::string_view> pieces,
                             const std::shared_ptr<const void>& owner) {
  uint64_t size = 0;
  for (const std::string_view piece : pieces) size += piece.size();
  std::vector<grpc::Slice> slices;
  slices.reserve(pieces.size() + 1);
  slices.emplace_back(Prefix(kChunkTag, size));
  for (const std::string_view piece : pieces) {
    if (owner == nullptr) {
      slices.emplace_back(piece.data(), piece.size());  // copies
      continue;
    }
    auto* const kept = new std::shared_ptr<const void>(owner);
    ReleaseToGrpc(kept);
    // gRPC only reads; its interface has no const.
    slices.emplace_back(const_cast<char*>(piece.data()), piece.size(), &DropOwner, kept);
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

grpc::ByteBuffer EncodeHeader(std::string_view header) {
  std::string bytes = Prefix(kHeaderTag, header.size());
  bytes.append(header);
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

absl::Status DecodeChunk(const grpc::ByteBuffer& buffer, ChunkMessage* out) {
  *out = ChunkMessage{};
  std::vector<grpc::Slice> slices;
  if (!buffer.Dump(&slices).ok()) return absl::InvalidArgumentError("message: cannot be read");
  Cursor cursor(slices);
  if (cursor.at_end()) return absl::InvalidArgumentError("message: neither header nor chunk");
  const uint8_t tag = cursor.Take();
  uint64_t size = 0;
  for (int shift = 0;; shift += 7) {
    if (cursor.at_end() || shift > 35) return absl::InvalidArgumentError("message: malformed");
    const uint8_t byte = cursor.Take();
    size |= uint64_t{byte & 0x7fu} << shift;
    if ((byte & 0x80) == 0) break;
  }
  out->pieces = cursor.Rest(&out->size);
  if ((tag != kHeaderTag && tag != kChunkTag) || out->size != size) {
    return absl::InvalidArgumentError("message: neither header nor chunk");
  }
  if (tag == kChunkTag) return absl::OkStatus();
  if (out->size > kMaxHeaderBytes) return absl::InvalidArgumentError("header: too large");
  out->is_header = true;
  for (const grpc::Slice& slice : out->pieces) {
    out->header.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  out->pieces.clear();
  out->size = 0;
  return absl::OkStatus();
}

std::vector<std::string_view> ChunkCutter::Next() {
  std::vector<std::string_view> out;
  size_t room = kChunkBytes;
  while (room > 0 && piece_ < pieces_.size()) {
    const std::string_view rest = pieces_[piece_].substr(offset_);
    const size_t take = std::min(room, rest.size());
    if (take > 0) out.push_back(rest.substr(0, take));
    room -= take;
    offset_ += take;
    if (offset_ == pieces_[piece_].size()) {
      ++piece_;
      offset_ = 0;
    }
  }
  return out;
}

}  // namespace atoll::rpc
