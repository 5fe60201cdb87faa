// The memory engine as the bare server uses it: one namespace, and versions that only count.
//
// Thread safety: all methods.
#pragma once

#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/mutex.h"
#include "base/periodic.h"
#include "server/store/store.h"

namespace atoll::bench {

class BareEngine {
 public:
  static absl::StatusOr<std::unique_ptr<BareEngine>> Create(uint64_t memory_bytes, int threads);
  BareEngine(const BareEngine&) = delete;
  BareEngine& operator=(const BareEngine&) = delete;

  // `results` gets as many places as there are keys; small values live in `buffer`.
  void Get(absl::Span<const std::string_view> keys, store::ReadBuffer& buffer,
           std::vector<store::Found>& results);
  // False where there was no room. `ttl_seconds` 0: for ever.
  bool Set(std::string_view key, std::string_view value, uint32_t ttl_seconds);

 private:
  explicit BareEngine(std::unique_ptr<store::Store> store);

  const std::unique_ptr<store::Store> store_;
  // The store wants the writes of a partition in an order.
  struct Writes {
    base::Mutex mu;
    uint64_t version ABSL_GUARDED_BY(mu) = 0;
  };
  std::array<Writes, base::kPartitionCount> writes_;
  base::Periodic maintain_;
};

}  // namespace atoll::bench
