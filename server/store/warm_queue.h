// Warm entries on their way to the sink: filled under the store's locks, emptied without any.
//
// Bounded: what does not fit is not offered, and stays as it was. Thread safety: all methods may be
// called by any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include "base/mutex.h"
#include "server/store/store.h"

namespace atoll::store {

class WarmQueue {
 public:
  struct Offer {
    base::NamespaceId ns;
    std::string key;
    uint64_t hash = 0;
    EntryMeta meta;
    Value value;  // owns its bytes, or holds a reference
    uint64_t value_size = 0;
  };
  static constexpr uint64_t kMaxBytes = 4 << 20;

  bool HasRoom() {
    base::MutexLock lock(mu_);
    return bytes_ < kMaxBytes;
  }
  void Push(Offer offer) {
    base::MutexLock lock(mu_);
    bytes_ += offer.key.size() + offer.value_size + sizeof(Offer);
    offers_.push_back(std::move(offer));
  }
  bool Pop(Offer* offer) {
    base::MutexLock lock(mu_);
    if (offers_.empty()) return false;
    *offer = std::move(offers_.front());
    offers_.pop_front();
    bytes_ -= offer->key.size() + offer->value_size + sizeof(Offer);
    return true;
  }

 private:
  base::Mutex mu_;
  std::deque<Offer> offers_ ABSL_GUARDED_BY(mu_);
  uint64_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace atoll::store
