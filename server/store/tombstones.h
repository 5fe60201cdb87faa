// The versions of deleted keys of one partition, by the key's hash, oldest first. Two keys of one
// hash share the greater version, which at worst refuses an outdated write of the other.
//
// A block of nodes is both the hash table and the list by age, so that each step but a change of
// its size takes a few links. To double it to kMost nodes takes 8 us where the memory is new, of
// the 20 that a lock may be held. The blocks of all partitions have one budget, which counts what
// they take, not what is in them. Who finds no room remembers less (see Tables::Remember).
//
// Thread safety: none; guarded by the partition's mutex. The budget may be used by any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/ids.h"

namespace atoll::store {

// What the tombstones of a node take. Relaxed: it is a sum, and orders nothing.
class TombstoneBudget {
 public:
  explicit TombstoneBudget(int64_t limit) : limit_(limit) {}

  int64_t limit() const { return limit_; }
  int64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  // Adds to it unless it would exceed `most` then.
  bool Take(int64_t bytes, int64_t most) {
    if (bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= most) return true;
    Give(bytes);
    return false;
  }
  void Give(int64_t bytes) { bytes_.fetch_sub(bytes, std::memory_order_relaxed); }

 private:
  const int64_t limit_;
  std::atomic<int64_t> bytes_{0};
};

class Tombstones {
 public:
  static constexpr size_t kMost = 512;

  explicit Tombstones(TombstoneBudget* budget) : budget_(budget) {}
  ~Tombstones() { budget_->Give(bytes()); }
  Tombstones(const Tombstones&) = delete;
  Tombstones& operator=(const Tombstones&) = delete;

  // As the newest. False, and nothing is remembered, if it takes more room and there is none: all
  // partitions together have taken `most` bytes, or this one has kMost.
  bool Remember(uint64_t hash, base::Version version, int64_t most) {
    if (const Link known = LinkOf(hash); known != kNone) {
      if (version <= nodes_[known].version) return true;
      Unlist(known);
      nodes_[known].version = version;
      List(known);
      return true;
    }
    if (size_ == nodes_.size() && !Grow(most)) return false;
    Insert(hash, version);
    return true;
  }
  // False if there was none.
  bool Forget(uint64_t hash) {
    const Link link = LinkOf(hash);
    if (link == kNone) return false;
    Remove(link);
    Shrink();
    return true;
  }
  // The greatest version that is known of this hash; none if there is none.
  base::Version Find(uint64_t hash) const {
    const Link link = LinkOf(hash);
    return link == kNone ? base::Version() : nodes_[link].version;
  }
  // The oldest one, if there is any.
  base::Version ForgetOldest() {
    if (size_ == 0) return base::Version();
    const base::Version version = nodes_[oldest_].version;
    Remove(oldest_);
    Shrink();
    return version;
  }
  // Those at or below `committed`, oldest first, at most so many. True if there may be more. What a
  // copy brings may be out of order: what stands behind a later one goes with it.
  bool ForgetUpTo(base::Version committed, size_t most) {
    size_t forgotten = 0;
    for (; forgotten < most && size_ > 0 && nodes_[oldest_].version <= committed; ++forgotten) {
      Remove(oldest_);
    }
    Shrink();
    return forgotten == most;
  }
  size_t size() const { return size_; }
  int64_t bytes() const { return BytesOf(nodes_.size()); }

 private:
  using Link = uint16_t;
  static constexpr Link kNone = 0xffff;
  static constexpr size_t kLeast = 4;
  struct Node {
    uint64_t hash = 0;
    base::Version version;
    Link chained = kNone;  // the next one of its chain, or of those that are free
    Link older = kNone;
    Link newer = kNone;
    Link chain = kNone;  // not the node's: where the chain with this number begins
  };
  static_assert(sizeof(Node) == 24);

  static int64_t BytesOf(size_t nodes) { return static_cast<int64_t>(nodes * sizeof(Node)); }
  Link& ChainOf(uint64_t hash) { return nodes_[hash & (nodes_.size() - 1)].chain; }
  Link LinkOf(uint64_t hash) const {
    if (size_ == 0) return kNone;
    Link link = nodes_[hash & (nodes_.size() - 1)].chain;
    while (link != kNone && nodes_[link].hash != hash) link = nodes_[link].chained;
    return link;
  }
  void List(Link link) {
    Node& node = nodes_[link];
    node.older = newest_;
    node.newer = kNone;
    (newest_ == kNone ? oldest_ : nodes_[newest_].newer) = link;
    newest_ = link;
  }
  void Unlist(Link link) {
    const Node& node = nodes_[link];
    (node.older == kNone ? oldest_ : nodes_[node.older].newer) = node.newer;
    (node.newer == kNone ? newest_ : nodes_[node.newer].older) = node.older;
  }
  // There is a free node.
  void Insert(uint64_t hash, base::Version version) {
    const Link link = free_;
    Node& node = nodes_[link];
    free_ = node.chained;
    node.hash = hash;
    node.version = version;
    node.chained = std::exchange(ChainOf(hash), link);
    List(link);
    ++size_;
  }
  void Remove(Link link) {
    Node& node = nodes_[link];
    Link* from = &ChainOf(node.hash);
    while (*from != link) from = &nodes_[*from].chained;
    *from = node.chained;
    Unlist(link);
    node.chained = std::exchange(free_, link);
    --size_;
  }
  bool Grow(int64_t most) {
    const size_t wanted = nodes_.empty() ? kLeast : 2 * nodes_.size();
    if (wanted > kMost || !budget_->Take(BytesOf(wanted - nodes_.size()), most)) return false;
    Resize(wanted);
    return true;
  }
  // Half of it, again and again, where three quarters are free: it is half full then, as it is
  // after growing. All of it if nothing is left.
  void Shrink() {
    size_t wanted = size_ == 0 ? 0 : nodes_.size();
    while (wanted > kLeast && size_ * 4 <= wanted) wanted /= 2;
    if (wanted == nodes_.size()) return;
    budget_->Give(BytesOf(nodes_.size() - wanted));
    Resize(wanted);
  }
  void Resize(size_t nodes) {
    const std::vector<Node> before = std::exchange(nodes_, std::vector<Node>(nodes));
    free_ = kNone;
    for (size_t i = nodes; i-- > 0;) nodes_[i].chained = std::exchange(free_, static_cast<Link>(i));
    size_ = 0;
    newest_ = kNone;
    for (Link link = std::exchange(oldest_, kNone); link != kNone; link = before[link].newer) {
      Insert(before[link].hash, before[link].version);
    }
  }

  TombstoneBudget* const budget_;
  std::vector<Node> nodes_;  // a power of two, or none
  size_t size_ = 0;
  Link oldest_ = kNone;
  Link newest_ = kNone;
  Link free_ = kNone;
};

}  // namespace atoll::store
