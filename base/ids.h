// Identifiers that must not be mixed up.
//
// Thread safety: plain values.
#pragma once

#include <compare>
#include <cstdint>
#include <ostream>
#include <utility>

namespace atoll::base {

// An integer of its own type. `Tag` only tells the types apart.
template <typename Tag, typename Integer>
class StrongId {
 public:
  constexpr StrongId() = default;
  constexpr explicit StrongId(Integer value) : value_(value) {}

  constexpr Integer value() const { return value_; }
  friend constexpr auto operator<=>(StrongId a, StrongId b) = default;

  template <typename H>
  friend H AbslHashValue(H h, StrongId id) {
    return H::combine(std::move(h), id.value_);
  }
  friend std::ostream& operator<<(std::ostream& out, StrongId id) {
    return out << static_cast<uint64_t>(id.value_);
  }

 private:
  Integer value_ = 0;
};

// One of kPartitionCount equal arcs of the hash ring.
using PartitionId = StrongId<struct PartitionIdTag, uint16_t>;
// A namespace's number; never reused within a cluster. 0 is none.
using NamespaceId = StrongId<struct NamespaceIdTag, uint16_t>;
// Identity of a node's process; 0 is none. A restarted node has another one.
using Incarnation = StrongId<struct IncarnationTag, uint64_t>;
// Ownership number of a partition, 24 bits; raised at each change of primary.
using Epoch = StrongId<struct EpochTag, uint32_t>;

inline constexpr uint32_t kPartitionBits = 12;
inline constexpr uint32_t kPartitionCount = 1u << kPartitionBits;

// The order of an entry's writes, and its CAS token: epoch 24 bits | sequence 40 bits. 0 is none.
class Version {
 public:
  static constexpr int kSequenceBits = 40;
  static constexpr uint64_t kMaxSequence = (uint64_t{1} << kSequenceBits) - 1;

  constexpr Version() = default;
  constexpr explicit Version(uint64_t raw) : raw_(raw) {}
  constexpr Version(Epoch epoch, uint64_t sequence)
      : raw_((uint64_t{epoch.value()} << kSequenceBits) | (sequence & kMaxSequence)) {}

  constexpr uint64_t raw() const { return raw_; }
  constexpr Epoch epoch() const { return Epoch(static_cast<uint32_t>(raw_ >> kSequenceBits)); }
  constexpr uint64_t sequence() const { return raw_ & kMaxSequence; }
  friend constexpr auto operator<=>(Version a, Version b) = default;
  template <typename H>
  friend H AbslHashValue(H h, Version v) {
    return H::combine(std::move(h), v.raw_);
  }
  friend std::ostream& operator<<(std::ostream& out, Version v) {
    return out << v.epoch() << "." << v.sequence();
  }

 private:
  uint64_t raw_ = 0;
};

}  // namespace atoll::base
