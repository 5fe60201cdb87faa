// Memory for what lives as long as one message: taken piece by piece, given back all at once.
//
// Thread safety: none. Nothing in it is destroyed: trivially destructible types only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace atoll::wire {

class Arena {
 public:
  // Uninitialized.
  char* Bytes(size_t size) {
    if (left_ < size) AddBlock(size);
    char* const place = next_;
    next_ += size;
    left_ -= size;
    return place;
  }

  template <typename T>
  T* Array(size_t count) {
    static_assert(std::is_trivially_destructible_v<T> && alignof(T) <= 8);
    const size_t size = count * sizeof(T);
    size_t pad = (8 - reinterpret_cast<uintptr_t>(next_) % 8) % 8;
    // Not left to Bytes(): what has room for the array but not for its padding would be taken
    // unaligned.
    if (left_ < pad + size) {
      AddBlock(size);  // begins aligned
      pad = 0;
    }
    return reinterpret_cast<T*>(Bytes(pad + size) + pad);
  }

  // Ends all that was taken. Keeps one block, so that a message like the last needs no memory.
  void Reset() {
    if (blocks_.size() > 1) {
      const size_t used = std::min(used_ + blocks_.back().size, kKeptBytes);
      blocks_.clear();
      used_ = 0;
      left_ = 0;
      AddBlock(used);
    }
    if (blocks_.empty()) return;
    if (blocks_.back().size > kKeptBytes) {
      blocks_.clear();
      left_ = 0;
      return;
    }
    next_ = blocks_.back().bytes.get();
    left_ = blocks_.back().size;
  }

 private:
  static constexpr size_t kFirstBytes = size_t{1} << 10;
  static constexpr size_t kKeptBytes = size_t{256} << 10;
  struct Block {
    std::unique_ptr<char[]> bytes;
    size_t size;
  };

  void AddBlock(size_t at_least) {
    size_t size = kFirstBytes;
    if (!blocks_.empty()) {
      used_ += blocks_.back().size;
      size = 2 * blocks_.back().size;
    }
    size = std::max(std::min(size, kKeptBytes), at_least);
    blocks_.push_back({std::unique_ptr<char[]>(new char[size]), size});
    next_ = blocks_.back().bytes.get();
    left_ = size;
  }

  std::vector<Block> blocks_;
  size_t used_ = 0;  // of all blocks but the last
  char* next_ = nullptr;
  size_t left_ = 0;
};

// A vector in an arena: what it grows out of stays there until the arena's reset.
template <typename T>
class ArenaVector {
 public:
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

  // `first`: room for so many to begin with.
  explicit ArenaVector(Arena* arena, size_t first = 16) : arena_(arena), first_(first) {}
  void push_back(const T& item) {
    std::memcpy(static_cast<void*>(Place()), &item, sizeof(T));
    Keep();
  }
  // Where the next one goes, uninitialized, and that it is there now.
  T* Place() {
    if (size_ == capacity_) Grow();
    return items_ + size_;
  }
  void Keep() { ++size_; }
  size_t size() const { return size_; }
  absl::Span<const T> span() const { return {items_, size_}; }

 private:
  void Grow() {
    const size_t larger = capacity_ == 0 ? first_ : 2 * capacity_;
    T* const items = arena_->Array<T>(larger);
    if (size_ > 0) std::memcpy(static_cast<void*>(items), items_, size_ * sizeof(T));
    items_ = items;
    capacity_ = larger;
  }

  Arena* const arena_;
  const size_t first_;
  T* items_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace atoll::wire
