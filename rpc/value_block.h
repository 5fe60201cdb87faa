// Memory for the values of one answer: small ones lie together, so that they cost one piece of
// memory and not one each. A large one may be left in the message that it came by.
//
// Whoever keeps a value keeps its block, which is why blocks are small: a kept value of a few bytes
// holds kMostBlockBytes at the most. A value above kAloneBytes has memory of its own.
//
// Thread safety: none; what it hands out may be used by any thread, and outlives it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "rpc/wire/input.h"
#include "rpc/wire/messages.h"

namespace atoll::rpc {

class ValueBlock {
 public:
  static constexpr size_t kMostBlockBytes = size_t{16} << 10;
  static constexpr size_t kAloneBytes = size_t{2} << 10;

  struct Copy {
    std::shared_ptr<const void> owner;
    std::string_view bytes;
  };

  // `expected_bytes`: of all values together at the most, such as the size of the message.
  explicit ValueBlock(size_t expected_bytes) : expected_(expected_bytes) {}
  // `message` outlives it.
  explicit ValueBlock(const std::shared_ptr<wire::Input>& message)
      : expected_(message->size()), message_(&message) {}

  // Everything that the codec read stays as it is while this is held; nullptr: there is no such
  // thing, and values are to be taken.
  std::shared_ptr<const void> KeepMessage() {
    if (message_ == nullptr) return nullptr;
    kept_message_ = true;
    return *message_;
  }
  bool kept_message() const { return kept_message_; }

  Copy Take(const wire::Payload& value) {
    const size_t size = value.size();
    if (size == 0) return {};
    if (size > kAloneBytes) {
      auto alone = std::make_shared_for_overwrite<char[]>(size);
      char* const start = alone.get();
      Fill(value, start);
      return {std::move(alone), {start, size}};
    }
    if (size > left_) NewBlock(size);
    char* const start = next_;
    Fill(value, start);
    next_ += size;
    left_ -= size;
    expected_ -= std::min(expected_, size);
    return {block_, {start, size}};
  }

 private:
  static void Fill(const wire::Payload& value, char* out) {
    if (value.pieces.empty()) {
      std::memcpy(out, value.bytes.data(), value.bytes.size());
      return;
    }
    for (const std::string_view piece : value.span()) {
      if (!piece.empty()) std::memcpy(out, piece.data(), piece.size());
      out += piece.size();
    }
  }

  void NewBlock(size_t at_least) {
    const size_t size = std::clamp(expected_, at_least, kMostBlockBytes);
    auto block = std::make_shared_for_overwrite<char[]>(size);
    next_ = block.get();
    left_ = size;
    block_ = std::move(block);
  }

  size_t expected_;
  const std::shared_ptr<wire::Input>* message_ = nullptr;
  bool kept_message_ = false;
  std::shared_ptr<const void> block_;
  char* next_ = nullptr;
  size_t left_ = 0;
};

}  // namespace atoll::rpc
