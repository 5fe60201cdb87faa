// A value on its way out of the store: bytes that stay what they are however the entry changes.
//
// A small value (up to kInlineValueBytes) is copied, under the partition's lock, into a ReadBuffer
// of the caller; a larger one is referenced, piece by piece, and its memory stays charged as pinned
// until the last reference goes. Any thread may drop one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "server/store/bytes.h"

namespace atoll::store {

inline constexpr size_t kInlineValueBytes = 8 << 10;

class Value {
 public:
  Value() = default;
  // Views whose bytes live in a ReadBuffer or in static memory: `owner` empty. Else `owner` keeps
  // them.
  explicit Value(std::string_view bytes) : size_(bytes.size()) { pieces_.push_back(bytes); }
  Value(absl::Span<const std::string_view> pieces, std::shared_ptr<const void> owner);
  // Becomes what Value(bytes) is.
  [[gnu::always_inline]] void Refer(std::string_view bytes) {
    if (pieces_.size() != 1 || owner_ != nullptr) [[unlikely]] {
      *this = Value(bytes);
      return;
    }
    pieces_[0] = bytes;
    size_ = bytes.size();
  }
  // Owns the bytes.
  static Value Own(std::string bytes);

  uint64_t size() const { return size_; }
  absl::Span<const std::string_view> pieces() const { return pieces_; }
  // Set for a referenced value: whoever holds a copy of it may use the pieces.
  const std::shared_ptr<const void>& owner() const { return owner_; }
  // A copy in one piece.
  std::string Flatten() const;

 private:
  absl::InlinedVector<std::string_view, 1> pieces_;
  std::shared_ptr<const void> owner_;
  uint64_t size_ = 0;
};

// Bytes of small values, in blocks that do not move. For one thread at a time.
class ReadBuffer {
 public:
  ReadBuffer() = default;
  ReadBuffer(ReadBuffer&& other) noexcept { *this = std::move(other); }
  ReadBuffer& operator=(ReadBuffer&& other) noexcept {
    blocks_ = std::move(other.blocks_);
    next_ = std::exchange(other.next_, nullptr);
    left_ = std::exchange(other.left_, 0);
    return *this;
  }

  // Room for `size` bytes, uninitialized, until Reset.
  char* Allocate(size_t size) {
    if (size > left_) AddBlock(size);
    left_ -= size;
    return std::exchange(next_, next_ + size);
  }
  std::string_view Copy(std::string_view bytes) {
    if (bytes.empty()) return {};
    char* const place = Allocate(bytes.size());
    CopyBytes(place, bytes.data(), bytes.size());
    return {place, bytes.size()};
  }
  // Frees all but the first block.
  void Reset();

 private:
  static constexpr size_t kBlockBytes = 16 << 10;
  struct Block {
    std::unique_ptr<char[]> data;
    size_t size = 0;
  };
  void AddBlock(size_t at_least);

  std::vector<Block> blocks_;
  // In the last block.
  char* next_ = nullptr;
  size_t left_ = 0;
};

}  // namespace atoll::store
