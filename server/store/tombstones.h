// The versions of deleted keys of one partition, by the key's hash. Two keys of one hash share the
// greater version, which at worst refuses an outdated write of the other.
//
// Thread safety: none; guarded by the partition's mutex.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "base/ids.h"

namespace atoll::store {

class Tombstones {
 public:
  // What one takes: a slot of the map at its usual load, and a place in the line.
  static constexpr int64_t kBytes = 48;

  void Remember(uint64_t hash, base::Version version) {
    base::Version& known = versions_[hash];
    if (version <= known) return;
    known = version;
    line_.push_back({version, hash});
  }
  void Forget(uint64_t hash) { versions_.erase(hash); }
  base::Version Find(uint64_t hash) const {
    const auto it = versions_.find(hash);
    return it == versions_.end() ? base::Version() : it->second;
  }
  // Those at or below `committed`, but for the newest `keep`. A snapshot's deletions arrive out of
  // order: one that stands behind a later one goes with it.
  void ForgetUpTo(base::Version committed, size_t keep = 0) {
    while (!line_.empty() && line_.front().first <= committed && versions_.size() > keep) {
      const auto [version, hash] = line_.front();
      line_.pop_front();
      const auto it = versions_.find(hash);
      if (it != versions_.end() && it->second == version) versions_.erase(it);
    }
    if (versions_.empty()) line_.clear();
  }
  size_t size() const { return versions_.size(); }
  int64_t bytes() const {
    return static_cast<int64_t>(std::max(versions_.size(), line_.size())) * kBytes;
  }

 private:
  absl::flat_hash_map<uint64_t, base::Version> versions_;
  std::deque<std::pair<base::Version, uint64_t>> line_;  // oldest first
};

}  // namespace atoll::store
