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
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"

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
  void Refer(std::string_view bytes) {
    pieces_.clear();
    pieces_.push_back(bytes);
    owner_.reset();
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
  ReadBuffer(ReadBuffer&&) = default;
  ReadBuffer& operator=(ReadBuffer&&) = default;

  // Room for `size` bytes, uninitialized, until Reset.
  char* Allocate(size_t size);
  std::string_view Copy(std::string_view bytes);
  // Frees all but the first block.
  void Reset();

 private:
  static constexpr size_t kBlockBytes = 16 << 10;
  struct Block {
    std::unique_ptr<char[]> data;
    size_t size = 0;
  };
  std::vector<Block> blocks_;
  size_t used_ = 0;  // of the last block
};

}  // namespace atoll::store
