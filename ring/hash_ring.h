// A weighted consistent-hash ring of the ketama kind: it gives each partition its preference order
// of nodes. Who is assigned is decided over it by ring/desired_seats.h, which bounds the load.
//
// Tokens depend on a node's name and number only, never on other nodes or on their order; so do the
// orders of preference, but for nodes that come and go in them. Pinned by golden values.
//
// Thread safety: immutable after construction.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "base/ids.h"

namespace atoll::ring {

// Tokens of a node for each unit of weight...
inline constexpr uint32_t kTokensPerWeight = 256;
// ... or fewer, but one at least, where all nodes together would have more tokens than this.
inline constexpr uint64_t kMaxTokens = uint64_t{1} << 20;

struct RingNode {
  std::string_view name;
  uint32_t weight = 1;
};

class HashRing {
 public:
  // Names are distinct. A node's place in `nodes` is how the ring names it.
  explicit HashRing(const std::vector<RingNode>& nodes);

  // Calls `visit` with each node once, in the partition's order of preference, until it returns
  // true or all were visited. Returns whether `visit` did.
  bool Walk(base::PartitionId partition, const std::function<bool(uint32_t)>& visit) const;

  // The first `count` nodes of that order.
  std::vector<uint32_t> Preference(base::PartitionId partition, size_t count) const;

 private:
  struct Token {
    uint64_t point = 0;
    uint32_t node = 0;
  };
  size_t node_count_ = 0;
  std::vector<Token> tokens_;  // by point
  // Where each partition's walk begins: the first token at or behind the partition's first point.
  std::vector<uint32_t> starts_;
};

}  // namespace atoll::ring
