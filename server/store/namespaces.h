// What each namespace is called, what it holds of this node's memory, and what it may.
//
// Thread safety: all methods may be called by any thread; relaxed, since the figures only steer.
// A name is published by release and acquire, and never changes.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "base/hash.h"
#include "base/mutex.h"
#include "server/store/entry.h"
#include "server/store/store.h"

namespace atoll::store {

class Namespaces {
 public:
  // Of the mapped kind: only the pages of namespaces in use become resident.
  Namespaces() : accounts_(static_cast<Account*>(std::calloc(kCount, sizeof(Account)))) {}

  void SetName(base::NamespaceId ns, std::string_view name) {
    Account& account = accounts_[ns.value()];
    base::MutexLock lock(mu_);
    if (account.name.load(std::memory_order_relaxed) != nullptr) return;
    names_.push_back(std::make_unique<const std::string>(name));
    account.name.store(names_.back().get(), std::memory_order_release);
  }
  // Whether the hash of this key can be had from the rest of its entry.
  bool CanHash(const Key& key) const {
    const std::string* const name = NameOf(key.ns);
    return name != nullptr && base::HashKey(*name, key.key) == key.hash;
  }
  // Needs no lock: see entry.h.
  uint64_t HashOf(const EntryRef& entry) const {
    const EntryRef::Identity identity = entry.identity();
    return identity.keeps_hash ? entry.kept_hash()
                               : base::HashKey(*NameOf(identity.ns), identity.key);
  }

  void Add(base::NamespaceId ns, int64_t bytes) {
    accounts_[ns.value()].bytes.fetch_add(bytes, std::memory_order_relaxed);
  }
  void SetShares(absl::Span<const NamespaceShare> shares, uint64_t memory_bytes) {
    const auto of = [memory_bytes](uint32_t percent) {
      return static_cast<int64_t>(memory_bytes / 100 * percent);
    };
    for (size_t i = 0; i < kCount; ++i) {
      Account& account = accounts_[i];
      // Untouched pages stay so.
      if (account.max.load(std::memory_order_relaxed) != 0) account.max = 0;
      if (account.min.load(std::memory_order_relaxed) != 0) account.min = 0;
    }
    base::MutexLock lock(mu_);
    capped_.clear();
    for (const NamespaceShare& share : shares) {
      if (share.max_percent != 0) capped_.push_back(share.ns);
      accounts_[share.ns.value()].min = of(share.min_percent);
      accounts_[share.ns.value()].max = of(share.max_percent);
    }
  }
  bool OverMax(base::NamespaceId ns) const {
    const Account& account = accounts_[ns.value()];
    const int64_t max = account.max.load(std::memory_order_relaxed);
    return max != 0 && account.bytes.load(std::memory_order_relaxed) > max;
  }
  // So far that it must give even where memory is free: by a twentieth of its maximum.
  bool FarOverMax(base::NamespaceId ns) const {
    const Account& account = accounts_[ns.value()];
    const int64_t max = account.max.load(std::memory_order_relaxed);
    return max != 0 && account.bytes.load(std::memory_order_relaxed) > max + max / 20;
  }
  bool AnyOverMax() const {
    base::MutexLock lock(mu_);
    return std::any_of(capped_.begin(), capped_.end(),
                       [this](base::NamespaceId ns) { return OverMax(ns); });
  }
  bool AnyFarOverMax() const {
    base::MutexLock lock(mu_);
    return std::any_of(capped_.begin(), capped_.end(),
                       [this](base::NamespaceId ns) { return FarOverMax(ns); });
  }
  bool UnderMin(base::NamespaceId ns) const {
    const Account& account = accounts_[ns.value()];
    return account.bytes.load(std::memory_order_relaxed) <
           account.min.load(std::memory_order_relaxed);
  }

 private:
  static constexpr size_t kCount = 1 << 16;
  struct Account {
    std::atomic<int64_t> bytes;
    std::atomic<int64_t> min;
    std::atomic<int64_t> max;
    std::atomic<const std::string*> name;
  };
  const std::string* NameOf(base::NamespaceId ns) const {
    return accounts_[ns.value()].name.load(std::memory_order_acquire);
  }

  struct Free {
    void operator()(Account* accounts) const { std::free(accounts); }
  };
  const std::unique_ptr<Account[], Free> accounts_;
  mutable base::Mutex mu_;
  std::vector<base::NamespaceId> capped_ ABSL_GUARDED_BY(mu_);
  std::vector<std::unique_ptr<const std::string>> names_ ABSL_GUARDED_BY(mu_);
};

}  // namespace atoll::store
