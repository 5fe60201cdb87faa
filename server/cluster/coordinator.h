// Where the cluster keeps what all nodes must agree on: a small ordered key-value store with
// transactions, leases and watches, as etcd has them. etcd_coordinator.h and memory_coordinator.h
// implement it; one contract suite (tests/server/cluster/coordinator_contract_test.cc) holds both
// to what is said here.
//
// Thread safety: every method may be called by any thread. Calls block, at most for the
// implementation's call time-out: control plane only, never under a lock.
// Lifetime: a Watch must be destroyed before its Coordinator.
// Status codes: UNAVAILABLE and DEADLINE_EXCEEDED mean that the store was not reached, and that
// what a Txn would have done may or may not be done; NOT_FOUND is a lease that has ended;
// UNAUTHENTICATED and PERMISSION_DENIED come from the store's own access control.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace atoll::cluster {

using LeaseId = int64_t;  // 0: none

struct KeyValue {
  std::string key;
  std::string value;
  // Revision of the store at which the key was made, and last written. The first is the key's
  // identity: a key that was deleted and made again has another one.
  int64_t create_revision = 0;
  int64_t mod_revision = 0;
  LeaseId lease = 0;
};

struct Lookup {
  std::optional<KeyValue> kv;
  int64_t revision = 0;  // of the store, when it was read
};

struct Listing {
  std::vector<KeyValue> kvs;  // by key
  int64_t revision = 0;
};

// Compares a key's revision with `revision`; 0 is the revision of a key that does not exist.
struct Condition {
  enum class On : uint8_t { kCreateRevision, kModRevision };
  std::string key;
  On on = On::kModRevision;
  int64_t revision = 0;

  static Condition Absent(std::string key) { return {std::move(key), On::kCreateRevision, 0}; }
  static Condition Unchanged(const KeyValue& kv) {
    return {kv.key, On::kModRevision, kv.mod_revision};
  }
};

struct Mutation {
  enum class Kind : uint8_t { kPut, kDelete };
  Kind kind = Kind::kPut;
  std::string key;
  std::string value;
  LeaseId lease = 0;

  static Mutation Put(std::string key, std::string value, LeaseId lease = 0) {
    return {Kind::kPut, std::move(key), std::move(value), lease};
  }
  static Mutation Delete(std::string key) { return {Kind::kDelete, std::move(key), {}, 0}; }
};

struct TxnResult {
  // All conditions held, and all mutations were carried out, as one.
  bool succeeded = false;
  // Of the store after it. What a successful Txn put has this mod_revision.
  int64_t revision = 0;
};

struct WatchEvent {
  enum class Kind : uint8_t { kPut, kDelete };
  Kind kind = Kind::kPut;
  KeyValue kv;  // of a deletion: the key and mod_revision only
};

// In order of revision; all events of one revision come in one update.
struct WatchUpdate {
  // The events are all keys that there are, and replace what was known: the watch began without a
  // revision, or the store no longer has what happened since.
  bool snapshot = false;
  std::vector<WatchEvent> events;
  int64_t revision = 0;
};

// Ends the watch when destroyed, and waits for a callback under way (so do not destroy it from the
// callback).
class Watch {
 public:
  virtual ~Watch() = default;
};

class Coordinator {
 public:
  virtual ~Coordinator() = default;

  virtual absl::StatusOr<Lookup> Get(std::string_view key) = 0;
  virtual absl::StatusOr<Listing> List(std::string_view prefix) = 0;
  // Each key at most once among the mutations.
  virtual absl::StatusOr<TxnResult> Txn(std::vector<Condition> conditions,
                                        std::vector<Mutation> mutations) = 0;

  // Whole seconds, at least 2 (what etcd can do). Keys put on the lease go when it ends.
  virtual absl::StatusOr<LeaseId> GrantLease(absl::Duration ttl) = 0;
  virtual absl::Status KeepAlive(LeaseId lease) = 0;
  virtual absl::Status RevokeLease(LeaseId lease) = 0;

  // Reports each change at `from_revision` or later under `prefix`; with 0, a snapshot first. Goes
  // on through outages of the store. The callback runs on a thread of the watch, one call at a
  // time.
  using WatchCallback = std::function<void(const WatchUpdate&)>;
  virtual std::unique_ptr<Watch> WatchPrefix(std::string_view prefix, int64_t from_revision,
                                             WatchCallback callback) = 0;

  // Forgets the history before `revision`: for tests and maintenance.
  virtual absl::Status Compact(int64_t revision) = 0;
};

}  // namespace atoll::cluster
