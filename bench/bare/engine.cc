#include "bench/bare/engine.h"

#include <utility>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/hash.h"

namespace atoll::bench {
namespace {

constexpr base::NamespaceId kNamespace{1};
constexpr std::string_view kName = "default";
// As a node does it.
constexpr absl::Duration kMaintainInterval = absl::Milliseconds(20);
constexpr int kMaintainSlices = 200;

store::Key KeyOf(std::string_view key) { return {kNamespace, key, base::HashKey(kName, key)}; }

}  // namespace

absl::StatusOr<std::unique_ptr<BareEngine>> BareEngine::Create(uint64_t memory_bytes, int threads) {
  absl::StatusOr<std::unique_ptr<store::Store>> store = store::Store::Create(
      {.memory_bytes = memory_bytes, .cores = threads, .clock = &base::Clock::Real()});
  if (!store.ok()) return store.status();
  (*store)->NameNamespace(kNamespace, kName);
  for (uint32_t i = 0; i < base::kPartitionCount; ++i) {
    const base::PartitionId partition(static_cast<uint16_t>(i));
    (*store)->OpenPartition(partition);
    (*store)->SetCommitted(partition, base::Version(~uint64_t{0}));
  }
  return std::unique_ptr<BareEngine>(new BareEngine(*std::move(store)));
}

BareEngine::BareEngine(std::unique_ptr<store::Store> store)
    : store_(std::move(store)), maintain_(kMaintainInterval, [this] {
        for (int i = 0; i < kMaintainSlices && store_->Maintain(); ++i) {
        }
      }) {}

void BareEngine::Get(absl::Span<const std::string_view> keys, store::ReadBuffer& buffer,
                     std::vector<store::Found>& results) {
  thread_local std::vector<store::Key> places;
  places.clear();
  for (const std::string_view key : keys) places.push_back(KeyOf(key));
  results.clear();
  results.resize(keys.size());
  store_->FindBatch(places, {}, buffer, absl::MakeSpan(results));
}

bool BareEngine::Set(std::string_view key, std::string_view value, uint32_t ttl_seconds) {
  const store::Key place = KeyOf(key);
  store::EntryMeta meta;
  if (ttl_seconds != 0) {
    meta.expiry = base::ToCacheSeconds(base::Clock::Real().Now()) + ttl_seconds;
  }
  Writes& writes = writes_.at(place.partition().value());
  base::MutexLock lock(writes.mu);
  meta.version = base::Version(++writes.version);
  return store_->Put(place, meta, absl::MakeConstSpan(&value, 1)) == store::WriteResult::kApplied;
}

}  // namespace atoll::bench
