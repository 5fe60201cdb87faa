// Bytes of an operation, taken once: what fits lies in the object itself.
//
// Thread safety: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace atoll::client {

class Bytes {
 public:
  Bytes() = default;
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;

  // Uninitialized; what was taken before is gone.
  uint8_t* Take(size_t size) {
    if (size <= kInline) return inline_;
    heap_.reset(new uint8_t[size]);
    return heap_.get();
  }

 private:
  // A key of 24 bytes, twice, and a value of 100.
  static constexpr size_t kInline = 208;

  std::unique_ptr<uint8_t[]> heap_;
  uint8_t inline_[kInline];
};

}  // namespace atoll::client
