#include "ring/hash_ring.h"

#include <algorithm>
#include <string>

#include "base/hash.h"

namespace atoll::ring {
namespace {

// The tokens of one node, by the key hash over (name, NUL, number in 4 little-endian bytes).
class TokenMaker {
 public:
  explicit TokenMaker(std::string_view name) : text_(name) { text_.append(5, '\0'); }

  uint64_t Point(uint32_t number) {
    for (size_t i = 0; i < 4; ++i) {
      text_[text_.size() - 4 + i] = static_cast<char>(number >> (8 * i));
    }
    return base::HashKey({}, text_);
  }

 private:
  std::string text_;
};

}  // namespace

HashRing::HashRing(const std::vector<RingNode>& nodes) : node_count_(nodes.size()) {
  uint64_t weights = 0;
  for (const RingNode& node : nodes) weights += node.weight;
  if (weights == 0) return;
  const uint64_t per_weight =
      std::max<uint64_t>(1, std::min<uint64_t>(kTokensPerWeight, kMaxTokens / weights));
  tokens_.reserve(weights * per_weight);
  for (uint32_t i = 0; i < nodes.size(); ++i) {
    const uint64_t count = nodes[i].weight * per_weight;
    TokenMaker maker(nodes[i].name);
    for (uint32_t number = 0; number < count; ++number) {
      tokens_.push_back({maker.Point(number), i});
    }
  }
  // Two tokens at one point are ordered by name: places in `nodes` must not matter.
  std::sort(tokens_.begin(), tokens_.end(), [&nodes](const Token& a, const Token& b) {
    return a.point != b.point ? a.point < b.point : nodes[a.node].name < nodes[b.node].name;
  });
  starts_.resize(base::kPartitionCount);
  uint32_t next = 0;
  for (uint32_t partition = 0; partition < base::kPartitionCount; ++partition) {
    const uint64_t begin = uint64_t{partition} << (64 - base::kPartitionBits);
    while (next < tokens_.size() && tokens_[next].point < begin) ++next;
    starts_[partition] = next == tokens_.size() ? 0 : next;
  }
}

bool HashRing::Walk(base::PartitionId partition, const std::function<bool(uint32_t)>& visit) const {
  if (tokens_.empty()) return false;
  std::vector<bool> seen(node_count_);
  size_t left = node_count_;
  size_t at = starts_[partition.value()];
  for (size_t step = 0; step < tokens_.size() && left > 0; ++step) {
    const uint32_t node = tokens_[at].node;
    if (++at == tokens_.size()) at = 0;
    if (seen[node]) continue;
    seen[node] = true;
    --left;
    if (visit(node)) return true;
  }
  return false;
}

std::vector<uint32_t> HashRing::Preference(base::PartitionId partition, size_t count) const {
  std::vector<uint32_t> order;
  if (count == 0) return order;
  Walk(partition, [&order, count](uint32_t node) {
    order.push_back(node);
    return order.size() == count;
  });
  return order;
}

}  // namespace atoll::ring
