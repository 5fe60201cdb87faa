#include "server/cluster/namespaces.h"

#include <cctype>
#include <cstdlib>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace atoll::cluster {
namespace {

constexpr size_t kMaxNameBytes = 63;
constexpr int64_t kMaxTtlMs = int64_t{100} * 365 * 24 * 3600 * 1000;
constexpr uint32_t kMaxId = 65'535;
constexpr int kAttempts = 16;

absl::Status Missing(std::string_view name) {
  return base::WithReason(
      absl::NotFoundError(absl::StrCat("namespace: \"", std::string(name), "\" is unknown")),
      base::reason::kUnknownNamespace);
}

absl::Status Percent(std::string_view field, uint32_t value, uint32_t limit) {
  if (value <= limit) return absl::OkStatus();
  return base::InvalidArgument(field, absl::StrCat(value, " percent"), limit);
}

NamespacePtr Decode(const std::string& value) {
  v1::Namespace stored;
  if (!stored.ParseFromString(value) || stored.id() == 0 || stored.id() > kMaxId) return nullptr;
  auto ns = std::make_shared<NamespaceInfo>();
  ns->name = stored.name();
  ns->id = base::NamespaceId(static_cast<uint16_t>(stored.id()));
  ns->settings = stored.settings();
  return ns;
}

std::string Encode(const NamespaceInfo& ns) {
  v1::Namespace stored;
  stored.set_name(ns.name);
  stored.set_id(ns.id.value());
  *stored.mutable_settings() = ns.settings;
  return stored.SerializeAsString();
}

NamespacePtr Make(std::string_view name, uint32_t id, const v1::NamespaceSettings& settings) {
  auto ns = std::make_shared<NamespaceInfo>();
  ns->name = std::string(name);
  ns->id = base::NamespaceId(static_cast<uint16_t>(id));
  ns->settings = settings;
  return ns;
}

absl::Status TooBusy() {
  return absl::AbortedError("namespaces: others change them all the time; try again");
}

}  // namespace

absl::Status ValidateNamespaceName(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes) {
    return base::InvalidArgument("namespace", absl::StrCat(name.size(), " bytes"), "1 to 63 bytes");
  }
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (plain || (i > 0 && (c == '.' || c == '_' || c == '-'))) continue;
    return base::InvalidArgument("namespace", absl::StrCat("\"", std::string(name), "\""),
                                 "[a-z0-9][a-z0-9._-]{0,62}");
  }
  return absl::OkStatus();
}

absl::Status ValidateNamespaceSettings(const v1::NamespaceSettings& settings) {
  if (settings.default_ttl_ms() < 0 || settings.default_ttl_ms() > kMaxTtlMs) {
    return base::InvalidArgument("default_ttl_ms", absl::StrCat(settings.default_ttl_ms()),
                                 "0 to 100 years");
  }
  if (absl::Status s = Percent("max_memory_percent", settings.max_memory_percent(), 100); !s.ok()) {
    return s;
  }
  const uint32_t max_memory =
      settings.max_memory_percent() == 0 ? 100 : settings.max_memory_percent();
  if (absl::Status s = Percent("min_memory_percent", settings.min_memory_percent(), max_memory);
      !s.ok()) {
    return s;
  }
  if (absl::Status s = Percent("ttl_jitter_percent", settings.ttl_jitter_percent(), 50); !s.ok()) {
    return s;
  }
  if (!v1::Persistence_IsValid(settings.persistence())) {
    return base::InvalidArgument("persistence", absl::StrCat(settings.persistence()), "an enum");
  }
  if (!v1::Acknowledgement_IsValid(settings.acknowledgement())) {
    return base::InvalidArgument("acknowledgement", absl::StrCat(settings.acknowledgement()),
                                 "an enum");
  }
  return absl::OkStatus();
}

v1::NamespaceSettings MergeSettings(v1::NamespaceSettings base,
                                    const v1::NamespaceSettings& change) {
  if (change.has_default_ttl_ms()) base.set_default_ttl_ms(change.default_ttl_ms());
  if (change.has_max_memory_percent()) base.set_max_memory_percent(change.max_memory_percent());
  if (change.has_min_memory_percent()) base.set_min_memory_percent(change.min_memory_percent());
  if (change.has_ttl_jitter_percent()) base.set_ttl_jitter_percent(change.ttl_jitter_percent());
  if (change.persistence() != v1::PERSISTENCE_UNSPECIFIED) {
    base.set_persistence(change.persistence());
  }
  if (change.acknowledgement() != v1::ACKNOWLEDGEMENT_UNSPECIFIED) {
    base.set_acknowledgement(change.acknowledgement());
  }
  return base;
}

NamespaceTable::NamespaceTable() { Clear(); }

void NamespaceTable::Clear() {
  by_name_.clear();
  by_id_.clear();
  const NamespacePtr ns = Make(kDefaultNamespace, kDefaultNamespaceId, {});
  by_name_[ns->name] = ns;
  by_id_[ns->id] = ns;
}

bool NamespaceTable::Apply(std::string_view name, const std::string* value) {
  const NamespacePtr ns = value == nullptr ? nullptr : Decode(*value);
  if (ns == nullptr && name == kDefaultNamespace) return false;
  const auto known = by_name_.find(name);
  if (known != by_name_.end()) {
    by_id_.erase(known->second->id);
    by_name_.erase(known);
  } else if (ns == nullptr) {
    return false;
  }
  if (ns != nullptr) {
    by_name_[std::string(name)] = ns;
    by_id_[ns->id] = ns;
  }
  return true;
}

NamespacePtr NamespaceTable::Find(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : it->second;
}

NamespacePtr NamespaceTable::Find(base::NamespaceId id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : it->second;
}

std::vector<NamespacePtr> NamespaceTable::All() const {
  std::vector<NamespacePtr> all;
  for (const auto& [name, ns] : by_name_) all.push_back(ns);
  return all;
}

absl::StatusOr<NamespaceWrite> CreateNamespaceIn(Coordinator* coordinator, const Keys& keys,
                                                 std::string_view name,
                                                 const v1::NamespaceSettings& settings) {
  if (absl::Status s = ValidateNamespaceName(name); !s.ok()) return s;
  if (absl::Status s = ValidateNamespaceSettings(settings); !s.ok()) return s;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    absl::StatusOr<Lookup> taken = coordinator->Get(keys.ns(name));
    if (!taken.ok()) return taken.status();
    if (taken->kv) {
      return absl::AlreadyExistsError(
          absl::StrCat("namespace: \"", std::string(name), "\" is there already"));
    }
    absl::StatusOr<Lookup> counter = coordinator->Get(keys.next_namespace_id());
    if (!counter.ok()) return counter.status();
    uint32_t id = kDefaultNamespaceId + 1;
    if (counter->kv && !absl::SimpleAtoi(counter->kv->value, &id)) {
      return absl::DataLossError(absl::StrCat(keys.next_namespace_id(), ": cannot be read"));
    }
    if (id > kMaxId) {
      return absl::ResourceExhaustedError(
          absl::StrCat("namespace: all ", kMaxId, " ids of this cluster were given away"));
    }
    const NamespacePtr ns = Make(name, id, settings);
    absl::StatusOr<TxnResult> written =
        coordinator->Txn({Condition::Absent(keys.ns(name)),
                          counter->kv ? Condition::Unchanged(*counter->kv)
                                      : Condition::Absent(keys.next_namespace_id())},
                         {Mutation::Put(keys.ns(name), Encode(*ns)),
                          Mutation::Put(keys.next_namespace_id(), absl::StrCat(id + 1))});
    if (!written.ok()) return written.status();
    if (written->succeeded) return NamespaceWrite{ns, written->revision};
  }
  return TooBusy();
}

absl::StatusOr<NamespaceWrite> UpdateNamespaceIn(Coordinator* coordinator, const Keys& keys,
                                                 std::string_view name,
                                                 const v1::NamespaceSettings& settings) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    absl::StatusOr<Lookup> lookup = coordinator->Get(keys.ns(name));
    if (!lookup.ok()) return lookup.status();
    if (!lookup->kv) return Missing(name);
    const NamespacePtr old = Decode(lookup->kv->value);
    if (old == nullptr) return absl::DataLossError(absl::StrCat(keys.ns(name), ": cannot be read"));
    const v1::NamespaceSettings merged = MergeSettings(old->settings, settings);
    if (absl::Status s = ValidateNamespaceSettings(merged); !s.ok()) return s;
    const NamespacePtr ns = Make(name, old->id.value(), merged);
    absl::StatusOr<TxnResult> written = coordinator->Txn(
        {Condition::Unchanged(*lookup->kv)}, {Mutation::Put(keys.ns(name), Encode(*ns))});
    if (!written.ok()) return written.status();
    if (written->succeeded) return NamespaceWrite{ns, written->revision};
  }
  return TooBusy();
}

absl::StatusOr<NamespaceWrite> DropNamespaceIn(Coordinator* coordinator, const Keys& keys,
                                               std::string_view name) {
  if (name == kDefaultNamespace) {
    return base::InvalidArgument("namespace", "\"default\"", "it cannot be dropped");
  }
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    absl::StatusOr<Lookup> lookup = coordinator->Get(keys.ns(name));
    if (!lookup.ok()) return lookup.status();
    if (!lookup->kv) return Missing(name);
    absl::StatusOr<TxnResult> written =
        coordinator->Txn({Condition::Unchanged(*lookup->kv)}, {Mutation::Delete(keys.ns(name))});
    if (!written.ok()) return written.status();
    if (written->succeeded) return NamespaceWrite{nullptr, written->revision};
  }
  return TooBusy();
}

absl::Status EnsureDefaultNamespace(Coordinator* coordinator, const Keys& keys) {
  const NamespacePtr ns = Make(kDefaultNamespace, kDefaultNamespaceId, {});
  return coordinator
      ->Txn({Condition::Absent(keys.ns(kDefaultNamespace))},
            {Mutation::Put(keys.ns(kDefaultNamespace), Encode(*ns))})
      .status();
}

}  // namespace atoll::cluster
