#include "server/cluster/memory_coordinator.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace atoll::cluster {
namespace {

constexpr size_t kMaxHistory = 256;
constexpr absl::Duration kLook = absl::Milliseconds(10);

bool HasPrefix(std::string_view key, std::string_view prefix) {
  return key.substr(0, prefix.size()) == prefix;
}

}  // namespace

struct MemoryCoordinator::Watcher {
  std::string prefix;
  WatchCallback callback;
  int64_t next = 0;  // first revision not told yet; 0: a snapshot
  bool calling = false;
  bool stopped = false;
};

class MemoryCoordinator::MemoryWatch final : public Watch {
 public:
  MemoryWatch(MemoryCoordinator* owner, std::shared_ptr<Watcher> watcher)
      : owner_(owner), watcher_(std::move(watcher)) {}
  ~MemoryWatch() override { owner_->StopWatching(watcher_); }

 private:
  MemoryCoordinator* const owner_;
  const std::shared_ptr<Watcher> watcher_;
};

MemoryCoordinator::MemoryCoordinator(const base::Clock& clock)
    : clock_(clock), thread_([this] { Run(); }) {}

MemoryCoordinator::~MemoryCoordinator() {
  {
    base::MutexLock lock(mu_);
    stopping_ = true;
  }
  changed_.SignalAll();
  thread_.join();
}

absl::StatusOr<Lookup> MemoryCoordinator::Get(std::string_view key) {
  base::MutexLock lock(mu_);
  ExpireLocked();
  Lookup lookup{.kv = std::nullopt, .revision = revision_};
  if (const auto it = keys_.find(key); it != keys_.end()) lookup.kv = it->second;
  return lookup;
}

absl::StatusOr<Listing> MemoryCoordinator::List(std::string_view prefix) {
  base::MutexLock lock(mu_);
  ExpireLocked();
  return ListLocked(prefix);
}

Listing MemoryCoordinator::ListLocked(std::string_view prefix) const {
  Listing listing{.kvs = {}, .revision = revision_};
  for (auto it = keys_.lower_bound(prefix); it != keys_.end(); ++it) {
    if (!HasPrefix(it->first, prefix)) break;
    listing.kvs.push_back(it->second);
  }
  return listing;
}

bool MemoryCoordinator::HoldsLocked(const Condition& condition) const {
  const auto it = keys_.find(condition.key);
  if (it == keys_.end()) return condition.revision == 0;
  return condition.revision == (condition.on == Condition::On::kCreateRevision
                                    ? it->second.create_revision
                                    : it->second.mod_revision);
}

absl::StatusOr<TxnResult> MemoryCoordinator::Txn(std::vector<Condition> conditions,
                                                 std::vector<Mutation> mutations) {
  base::MutexLock lock(mu_);
  ExpireLocked();
  for (const Condition& condition : conditions) {
    if (!HoldsLocked(condition)) return TxnResult{.succeeded = false, .revision = revision_};
  }
  for (const Mutation& mutation : mutations) {
    if (mutation.lease != 0 && !leases_.contains(mutation.lease)) {
      return absl::NotFoundError(absl::StrCat("lease ", mutation.lease, ": not found"));
    }
  }
  Step step{.revision = revision_ + 1, .events = {}};
  for (const Mutation& mutation : mutations) {
    if (mutation.kind == Mutation::Kind::kPut) {
      PutLocked(mutation, &step);
    } else {
      DeleteLocked(mutation.key, &step);
    }
  }
  CommitLocked(std::move(step));
  return TxnResult{.succeeded = true, .revision = revision_};
}

void MemoryCoordinator::PutLocked(const Mutation& put, Step* step) {
  KeyValue& kv = keys_[put.key];
  if (kv.create_revision == 0) {
    kv.key = put.key;
    kv.create_revision = step->revision;
  }
  kv.value = put.value;
  kv.mod_revision = step->revision;
  kv.lease = put.lease;
  step->events.push_back({WatchEvent::Kind::kPut, kv});
}

void MemoryCoordinator::DeleteLocked(const std::string& key, Step* step) {
  const auto it = keys_.find(key);
  if (it == keys_.end()) return;
  WatchEvent event{.kind = WatchEvent::Kind::kDelete, .kv = {}};
  event.kv.key = key;
  event.kv.mod_revision = step->revision;
  step->events.push_back(std::move(event));
  keys_.erase(it);
}

void MemoryCoordinator::CommitLocked(Step step) {
  if (step.events.empty()) return;
  revision_ = step.revision;
  history_.push_back(std::move(step));
  if (history_.size() > kMaxHistory) {
    compacted_ = history_.front().revision + 1;
    history_.pop_front();
  }
  changed_.SignalAll();
}

absl::StatusOr<LeaseId> MemoryCoordinator::GrantLease(absl::Duration ttl) {
  base::MutexLock lock(mu_);
  ExpireLocked();
  leases_[++last_lease_] = {ttl, clock_.BootTime() + ttl};
  return last_lease_;
}

absl::Status MemoryCoordinator::KeepAlive(LeaseId lease) {
  base::MutexLock lock(mu_);
  ExpireLocked();
  const auto it = leases_.find(lease);
  if (it == leases_.end()) return absl::NotFoundError(absl::StrCat("lease ", lease, ": not found"));
  it->second.ends = clock_.BootTime() + it->second.ttl;
  return absl::OkStatus();
}

absl::Status MemoryCoordinator::RevokeLease(LeaseId lease) {
  base::MutexLock lock(mu_);
  ExpireLocked();
  if (!leases_.contains(lease)) {
    return absl::NotFoundError(absl::StrCat("lease ", lease, ": not found"));
  }
  EndLeaseLocked(lease);
  return absl::OkStatus();
}

void MemoryCoordinator::EndLeaseLocked(LeaseId lease) {
  leases_.erase(lease);
  std::vector<std::string> gone;
  for (const auto& [key, kv] : keys_) {
    if (kv.lease == lease) gone.push_back(key);
  }
  Step step{.revision = revision_ + 1, .events = {}};
  for (const std::string& key : gone) DeleteLocked(key, &step);
  CommitLocked(std::move(step));
}

void MemoryCoordinator::ExpireLocked() {
  const absl::Duration now = clock_.BootTime();
  std::vector<LeaseId> ended;
  for (const auto& [id, lease] : leases_) {
    if (lease.ends <= now) ended.push_back(id);
  }
  for (const LeaseId id : ended) EndLeaseLocked(id);
}

std::unique_ptr<Watch> MemoryCoordinator::WatchPrefix(std::string_view prefix,
                                                      int64_t from_revision,
                                                      WatchCallback callback) {
  auto watcher = std::make_shared<Watcher>();
  watcher->prefix = std::string(prefix);
  watcher->callback = std::move(callback);
  watcher->next = from_revision;
  {
    base::MutexLock lock(mu_);
    watchers_.push_back(watcher);
    changed_.SignalAll();
  }
  return std::make_unique<MemoryWatch>(this, std::move(watcher));
}

void MemoryCoordinator::StopWatching(const std::shared_ptr<Watcher>& watcher) {
  base::MutexLock lock(mu_);
  watcher->stopped = true;
  std::erase(watchers_, watcher);
  while (watcher->calling) told_.Wait(mu_);
}

absl::Status MemoryCoordinator::Compact(int64_t revision) {
  base::MutexLock lock(mu_);
  if (revision > revision_) {
    return absl::OutOfRangeError(absl::StrCat("revision: ", revision, ", newest ", revision_));
  }
  while (!history_.empty() && history_.front().revision < revision) history_.pop_front();
  compacted_ = std::max(compacted_, revision);
  return absl::OkStatus();
}

bool MemoryCoordinator::NextLocked(Watcher* watcher, WatchUpdate* update) {
  if (watcher->next == 0 || watcher->next < compacted_) {
    Listing listing = ListLocked(watcher->prefix);
    update->snapshot = true;
    for (KeyValue& kv : listing.kvs) {
      update->events.push_back({WatchEvent::Kind::kPut, std::move(kv)});
    }
    update->revision = listing.revision;
    watcher->next = listing.revision + 1;
    return true;
  }
  for (const Step& step : history_) {
    if (step.revision < watcher->next) continue;
    watcher->next = step.revision + 1;
    for (const WatchEvent& event : step.events) {
      if (HasPrefix(event.kv.key, watcher->prefix)) update->events.push_back(event);
    }
    if (update->events.empty()) continue;
    update->revision = step.revision;
    return true;
  }
  return false;
}

void MemoryCoordinator::Run() {
  base::MutexLock lock(mu_);
  while (!stopping_) {
    ExpireLocked();
    bool told = false;
    const std::vector<std::shared_ptr<Watcher>> watchers = watchers_;
    for (const std::shared_ptr<Watcher>& watcher : watchers) {
      WatchUpdate update;
      if (watcher->stopped || !NextLocked(watcher.get(), &update)) continue;
      told = true;
      watcher->calling = true;
      mu_.Unlock();
      watcher->callback(update);
      mu_.Lock();
      watcher->calling = false;
      told_.SignalAll();
    }
    if (!told && !stopping_) changed_.WaitFor(mu_, kLook);
  }
}

}  // namespace atoll::cluster
