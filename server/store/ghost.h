// Fingerprints of entries that left the small queue without having been read: 4 B each, 16 to a
// line, first in, first out within the line.
//
// Thread safety: none; guarded by its owner.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace atoll::store {

class Ghost {
 public:
  // Room for about `entries`; keeps what it can.
  void Resize(uint64_t entries);
  void Add(uint64_t hash);
  // Whether the hash was there; it is so no longer.
  bool Take(uint64_t hash);

  uint64_t capacity() const { return lines_.size() * kLine; }
  int64_t bytes() const { return static_cast<int64_t>(lines_.size() * sizeof(Line)); }

 private:
  static constexpr size_t kLine = 16;
  struct alignas(64) Line {
    std::array<uint32_t, kLine> prints{};  // newest first; 0: none
  };
  static uint32_t PrintOf(uint64_t hash) {
    const auto print = static_cast<uint32_t>(hash);
    return print == 0 ? 1 : print;
  }
  // By bits above the print and below the partition's, of which a shard has only some.
  Line& LineOf(uint64_t hash) {
    const uint64_t bits = hash >> 32 & 0xfffff;
    const uint64_t mixed = (bits * 0x9e3779b97f4a7c15 + (hash >> 52) * 0xd6e8feb86659fd93) >> 32;
    return lines_[mixed * lines_.size() >> 32];
  }

  std::vector<Line> lines_;
};

}  // namespace atoll::store
