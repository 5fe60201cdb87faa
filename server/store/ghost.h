// Fingerprints of entries that left the small queue without having been read: 4 B each, 16 to a
// line, first in, first out within the line.
//
// A print alone does not tell the line that it would have in a table of another size. So a ghost
// that is resized keeps the table that it had, to look into, until the new one has taken in as much
// as the smaller of them holds.
//
// Thread safety: none; guarded by its owner. To make a table and to destroy one asks the kernel,
// and touches nothing of the ghost: its owner does that outside of the lock.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace atoll::store {

class GhostTable {
 public:
  GhostTable() = default;
  // Room for about `entries`, none if that cannot be had. Memory becomes resident as it is used, or
  // populated.
  explicit GhostTable(uint64_t entries);
  ~GhostTable();
  GhostTable(GhostTable&& other) noexcept { *this = std::move(other); }
  GhostTable& operator=(GhostTable&& other) noexcept;

  // Makes so much more of it resident. False when all of it is.
  bool PopulateMore(uint64_t bytes);
  void Add(uint64_t hash);
  bool Take(uint64_t hash);

  uint64_t capacity() const { return count_ * kLine; }
  int64_t bytes() const { return static_cast<int64_t>(count_ * sizeof(Line)); }

 private:
  static constexpr size_t kLine = 16;
  struct alignas(64) Line {
    std::array<uint32_t, kLine> prints;  // newest first; 0: none
  };
  static uint32_t PrintOf(uint64_t hash) {
    const auto print = static_cast<uint32_t>(hash);
    return print == 0 ? 1 : print;
  }
  // By bits above the print and below the partition's, of which a shard has only some.
  Line& LineOf(uint64_t hash) {
    const uint64_t bits = hash >> 32 & 0xfffff;
    const uint64_t mixed = (bits * 0x9e3779b97f4a7c15 + (hash >> 52) * 0xd6e8feb86659fd93) >> 32;
    return lines_[mixed * count_ >> 32];
  }

  Line* lines_ = nullptr;  // mapped
  uint64_t count_ = 0;
  uint64_t populated_ = 0;  // bytes
};

class Ghost {
 public:
  // From now on it has this table, and looks into the one that it had. What comes back goes.
  [[nodiscard]] GhostTable Resize(GhostTable table);
  // The table before, once it is of no more use; else an empty one.
  [[nodiscard]] GhostTable TakeSpent();
  bool HasSpent() const {
    return before_.bytes() > 0 && added_ >= std::min(now_.capacity(), before_.capacity());
  }
  void Add(uint64_t hash);
  // Whether the hash was there; it is so no longer.
  bool Take(uint64_t hash);

  uint64_t capacity() const { return now_.capacity(); }
  int64_t bytes() const { return now_.bytes() + before_.bytes(); }

 private:
  GhostTable now_;
  GhostTable before_;
  uint64_t added_ = 0;  // since `now_` came
};

}  // namespace atoll::store
