// What clients did and were told, and whether it could be true of one copy of the data.
//
// Every written value is unique and every answer carries a version, so that most checks are
// comparisons of versions: nothing that was told may be followed, in real time, by an older answer.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/ids.h"

namespace atoll::replication::sim {

class History {
 public:
  // What was known of a key when an operation began.
  struct Start {
    base::Version floor;
    uint64_t deletes_resolved = 0;
  };

  Start Begin(const std::string& key) const {
    const auto at = keys_.find(key);
    return at == keys_.end() ? Start{} : Start{.floor = at->second.known};
  }

  void WriteBegins(const std::string& key, bool is_delete) {
    if (is_delete) ++keys_[key].deletes_unresolved;
  }
  // Refused for certain: not applied.
  void WriteRefused(const std::string& key, bool is_delete) {
    if (is_delete) --keys_[key].deletes_unresolved;
  }
  // `value` empty: a deletion.
  void WriteAcknowledged(const std::string& key, const Start& start, base::Version version,
                         const std::string& value) {
    Key& k = keys_[key];
    if (value.empty()) {
      --k.deletes_unresolved;
      k.deletes.push_back(version);
    }
    ++acknowledged_;
    if (version <= start.floor) {
      Violation(key, "a write was given a version below one told before", version, start.floor);
    }
    Note(key, k, version, value);
    if (version > k.known) {
      k.known = version;
      k.known_is_delete = value.empty();
    }
  }
  void SawVersion(const std::string& key, const Start& start, base::Version version,
                  const std::optional<std::string>& value) {
    Key& k = keys_[key];
    ++reads_;
    if (version < start.floor) Violation(key, "an older value was read", version, start.floor);
    if (value) Note(key, k, version, *value);
    if (version > k.known) {
      k.known = version;
      k.known_is_delete = false;
    }
  }
  void SawNothing(const std::string& key, const Start& start) {
    Key& k = keys_[key];
    ++reads_;
    // Nothing was ever written, or a deletion at or above what was known may explain it.
    if (start.floor.raw() == 0 || k.deletes_unresolved > 0) return;
    for (base::Version deletion : k.deletes) {
      if (deletion >= start.floor) return;
    }
    Violation(key, "an acknowledged value is gone", {}, start.floor);
  }
  void Add(std::string violation) { violations_.push_back(std::move(violation)); }

  const std::vector<std::string>& violations() const { return violations_; }
  uint64_t acknowledged() const { return acknowledged_; }
  uint64_t reads() const { return reads_; }

 private:
  struct Key {
    base::Version known;  // highest that anybody was told
    bool known_is_delete = false;
    int deletes_unresolved = 0;
    std::vector<base::Version> deletes;
    std::map<uint64_t, std::string> values;
  };

  void Note(const std::string& key, Key& k, base::Version version, const std::string& value) {
    const auto [at, made] = k.values.emplace(version.raw(), value);
    if (!made && at->second != value) {
      violations_.push_back(
          absl::StrCat(key, ": version ", version.raw(), " is both ", at->second, " and ", value));
    }
  }
  void Violation(const std::string& key, const char* what, base::Version got, base::Version known) {
    violations_.push_back(absl::StrCat(key, ": ", what, ": ", got.epoch().value(), ".",
                                       got.sequence(), " after ", known.epoch().value(), ".",
                                       known.sequence()));
  }

  std::map<std::string, Key> keys_;
  std::vector<std::string> violations_;
  uint64_t acknowledged_ = 0;
  uint64_t reads_ = 0;
};

}  // namespace atoll::replication::sim
