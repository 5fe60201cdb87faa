// Namespaces as the coordinator keeps them, and the rules for changing them. Internal to cluster/.
//
// Thread safety: the functions are pure; NamespaceTable is of its owner's mutex.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/cluster/cluster_view.h"
#include "server/cluster/coordinator.h"
#include "server/cluster/keys.h"

namespace atoll::cluster {

inline constexpr std::string_view kDefaultNamespace = "default";
inline constexpr uint16_t kDefaultNamespaceId = 1;

// INVALID_ARGUMENT names the field and its limit.
absl::Status ValidateNamespaceName(std::string_view name);
absl::Status ValidateNamespaceSettings(const v1::NamespaceSettings& settings);
// `base` with the fields that `change` names.
v1::NamespaceSettings MergeSettings(v1::NamespaceSettings base,
                                    const v1::NamespaceSettings& change);

// The namespaces that there are. `default` always is.
class NamespaceTable {
 public:
  NamespaceTable();
  // The store's value of a key; nullptr: it was deleted. False if nothing changed.
  bool Apply(std::string_view name, const std::string* value);
  // Forgets all but `default`.
  void Clear();
  NamespacePtr Find(std::string_view name) const;
  NamespacePtr Find(base::NamespaceId id) const;
  std::vector<NamespacePtr> All() const;

 private:
  std::map<std::string, NamespacePtr, std::less<>> by_name_;
  std::map<base::NamespaceId, NamespacePtr> by_id_;
};

// What each does to the store, as one transaction, tried again when others were faster.
struct NamespaceWrite {
  NamespacePtr ns;  // nullptr for a drop
  int64_t revision = 0;
};
absl::StatusOr<NamespaceWrite> CreateNamespaceIn(Coordinator* coordinator, const Keys& keys,
                                                 std::string_view name,
                                                 const v1::NamespaceSettings& settings);
absl::StatusOr<NamespaceWrite> UpdateNamespaceIn(Coordinator* coordinator, const Keys& keys,
                                                 std::string_view name,
                                                 const v1::NamespaceSettings& settings);
absl::StatusOr<NamespaceWrite> DropNamespaceIn(Coordinator* coordinator, const Keys& keys,
                                               std::string_view name);
// Makes `default` unless it is there.
absl::Status EnsureDefaultNamespace(Coordinator* coordinator, const Keys& keys);

}  // namespace atoll::cluster
