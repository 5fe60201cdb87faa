// Figures of the memory engine that are no micro-benchmark: memory beyond payload, resident memory
// under drift, expired entries that stay, a capped namespace.
//
// store_figures [items in millions, default 10] [memory|eviction|drift|expired|share]; one
// line a figure.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/hash.h"
#include "bench/nanos.h"
#include "server/store/store.h"

namespace atoll::store {
namespace {

constexpr base::NamespaceId kNamespace{1};

uint64_t AnonymousBytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word == "RssAnon:") {
      uint64_t kib = 0;
      status >> kib;
      return kib << 10;
    }
  }
  return 0;
}

class Bench {
 public:
  Bench(uint64_t memory_bytes, const base::Clock* clock) {
    empty_ = AnonymousBytes();
    StoreOptions options;
    options.memory_bytes = memory_bytes;
    options.clock = clock;
    store_ = *Store::Create(options);
    for (const uint16_t ns : {1, 2}) store_->NameNamespace(base::NamespaceId(ns), "default");
    for (uint32_t p = 0; p < base::kPartitionCount; ++p) {
      const base::PartitionId id(static_cast<uint16_t>(p));
      store_->OpenPartition(id);
      store_->SetCommitted(id, base::Version(~uint64_t{0}));
    }
  }

  Store& store() { return *store_; }
  uint64_t Resident() const { return AnonymousBytes() - std::min(empty_, AnonymousBytes()); }

  // 24 B keys. Returns the CPU time that it took.
  uint64_t Put(uint64_t n, size_t value_bytes, base::CacheSeconds expiry = 0,
               base::NamespaceId ns = kNamespace) {
    const std::string_view value(value_.data(), value_bytes);
    EntryMeta meta;
    meta.version = base::Version(++version_);
    meta.expiry = expiry;
    const Key key = KeyOf(n, ns);
    const int64_t begin = bench::ThreadNanos();
    store_->Put(key, meta, absl::MakeConstSpan(&value, 1));
    return static_cast<uint64_t>(bench::ThreadNanos() - begin);
  }
  bool Get(uint64_t n, base::NamespaceId ns = kNamespace) {
    buffer_.Reset();
    return store_->Find(KeyOf(n, ns), {}, buffer_).presence == Presence::kPresent;
  }

 private:
  Key KeyOf(uint64_t n, base::NamespaceId ns) {
    key_ = absl::StrFormat("key:%020d", n);
    return {ns, key_, base::HashKey("default", key_)};
  }

  uint64_t empty_ = 0;
  std::unique_ptr<Store> store_;
  std::string value_ = std::string(64 << 10, 'v');
  std::string key_;
  uint64_t version_ = 0;
  ReadBuffer buffer_;
};

base::CacheSeconds In(const base::Clock& clock, int64_t seconds) {
  return base::ToCacheSeconds(clock.Now()) + static_cast<uint32_t>(seconds);
}

void MemoryBeyondPayload(uint64_t items, size_t value_bytes) {
  const base::Clock& clock = base::Clock::Real();
  Bench bench(items * (value_bytes + 160), &clock);
  for (uint64_t n = 0; n < items; ++n) {
    bench.Put(n, value_bytes, In(clock, 86'400));
    if (n % 64 == 0) bench.store().Maintain();
  }
  const StoreStats stats = bench.store().Stats();
  const auto beyond = [&](uint64_t bytes) {
    return static_cast<double>(bytes) / static_cast<double>(stats.items) -
           static_cast<double>(24 + value_bytes);
  };
  absl::PrintF("beyond_payload value=%d items=%d: %.1f B by RSS, %.1f B by account, index %.1f B\n",
               value_bytes, stats.items, beyond(bench.Resident()), beyond(stats.memory_used_bytes),
               static_cast<double>(stats.index_bytes) / static_cast<double>(stats.items));
}

void SteadyEviction(uint64_t memory_bytes) {
  const base::Clock& clock = base::Clock::Real();
  Bench bench(memory_bytes, &clock);
  const uint64_t items = memory_bytes / 160;
  std::mt19937_64 random(3);
  uint64_t longest = 0;
  for (uint64_t n = 0; n < items * 3; ++n) {
    longest = std::max(longest, bench.Put(n, 100, In(clock, 86'400)));
    // Half of the readings go to a tenth of the keys.
    if (n % 2 == 0) bench.Get(random() % 2 == 0 ? random() % (items / 10) : n - random() % items);
    if (n % 64 == 0) bench.store().Maintain();
  }
  const StoreStats stats = bench.store().Stats();
  absl::PrintF(
      "steady_eviction memory=%d MiB: %.1f B of --memory beyond key and value an item (%d items), "
      "dead %.1f%%, ghost %.1f B, index %.1f B; rss/memory %.3f; longest put %d us of CPU\n",
      memory_bytes >> 20,
      static_cast<double>(memory_bytes) / static_cast<double>(stats.items) - 124, stats.items,
      100.0 * static_cast<double>(stats.dead_bytes) / static_cast<double>(memory_bytes),
      static_cast<double>(stats.ghost_bytes) / static_cast<double>(stats.items),
      static_cast<double>(stats.index_bytes) / static_cast<double>(stats.items),
      static_cast<double>(bench.Resident()) / static_cast<double>(memory_bytes), longest / 1000);
}

// Six phases of other value sizes, 30% of the writes are overwrites.
void Drift(uint64_t memory_bytes) {
  Bench bench(memory_bytes, &base::Clock::Real());
  std::mt19937_64 random(4);
  uint64_t next = 0;
  double worst = 0;
  uint64_t longest = 0;
  for (const size_t size : {100, 1000, 300, 20'000, 4000, 64}) {
    for (uint64_t written = 0; written < memory_bytes * 2; written += size + 60) {
      const bool overwrite = next > 1000 && random() % 10 < 3;
      const uint64_t n = overwrite ? next - 1 - random() % 1000 : next++;
      longest = std::max(longest, bench.Put(n, size / 2 + random() % size));
      if (random() % 4 == 0) bench.Get(next - 1 - random() % std::min<uint64_t>(next, 20'000));
      if (next % 16 == 0) bench.store().Maintain();
    }
    const StoreStats stats = bench.store().Stats();
    const double ratio = static_cast<double>(bench.Resident()) / static_cast<double>(memory_bytes);
    worst = std::max(worst, ratio);
    absl::PrintF("  drift size=%d: rss/memory %.3f, live %.3f, used %.3f, items %d\n", size, ratio,
                 static_cast<double>(stats.live_bytes) / static_cast<double>(memory_bytes),
                 static_cast<double>(stats.memory_used_bytes) / static_cast<double>(memory_bytes),
                 stats.items);
  }
  absl::PrintF(
      "drift: worst rss/memory %.3f (before what the process itself may add); longest put "
      "%d us of CPU\n",
      worst, longest / 1000);
}

void ExpiredResident() {
  base::FakeClock clock;
  Bench bench(uint64_t{512} << 20, &clock);
  const int64_t ttls[] = {60, 600, 7200, 86'400};
  uint64_t n = 0;
  std::vector<base::CacheSeconds> expiries;
  double sum = 0;
  int samples = 0;
  for (int second = 0; second < 6 * 3600; ++second) {
    clock.Advance(absl::Seconds(1));
    for (int i = 0; i < 40; ++i) {
      const base::CacheSeconds expiry = In(clock, ttls[n % 4]);
      bench.Put(n++, 100, expiry);
      expiries.push_back(expiry);
    }
    for (int i = 0; i < 400 && bench.store().Maintain(); ++i) {
    }
    if (second % 600 != 599 || second < 3600) continue;
    const base::CacheSeconds now = base::ToCacheSeconds(clock.Now());
    const auto live = std::count_if(expiries.begin(), expiries.end(),
                                    [now](base::CacheSeconds e) { return e > now; });
    const auto items = static_cast<double>(bench.store().Stats().items);
    sum += (items - static_cast<double>(live)) / items;
    ++samples;
  }
  absl::PrintF("expired_resident: %.1f%% of the items (60 s, 10 min, 2 h, 1 day mixed)\n",
               100 * sum / samples);
}

void CappedNamespace() {
  const auto run = [](bool with_scanner, double* held) {
    Bench bench(uint64_t{64} << 20, &base::Clock::Real());
    const base::NamespaceId capped(2);
    const NamespaceShare share{.ns = capped, .min_percent = 0, .max_percent = 20};
    bench.store().SetShares(absl::MakeConstSpan(&share, 1));
    std::mt19937_64 random(9);
    std::vector<double> ranks;
    uint64_t hits = 0;
    uint64_t reads = 0;
    uint64_t scanned = 0;
    constexpr uint64_t kRequests = 1'000'000;
    for (uint64_t i = 0; i < kRequests; ++i) {
      // A popularity close to 1/rank over half a million keys.
      const double u = static_cast<double>(random() >> 11) / 9007199254740992.0;
      const auto n = static_cast<uint64_t>(std::exp(u * std::log(5e5)));
      const bool hit = bench.Get(n);
      if (!hit) bench.Put(n, 200);
      if (i > kRequests / 2) {
        ++reads;
        hits += hit ? 1 : 0;
      }
      for (int s = 0; with_scanner && s < 10; ++s) bench.Put(scanned++, 200, 0, capped);
    }
    if (held != nullptr) {
      uint64_t there = 0;
      for (uint64_t n = scanned - std::min<uint64_t>(scanned, 1'000'000); n < scanned; ++n) {
        there += bench.Get(n, capped) ? 1 : 0;
      }
      *held = static_cast<double>(there) * 248 / static_cast<double>(uint64_t{64} << 20);
    }
    return static_cast<double>(hits) / static_cast<double>(reads);
  };
  double held = 0;
  const double alone = run(false, nullptr);
  const double beside = run(true, &held);
  absl::PrintF(
      "capped_namespace: holds %.1f%% (cap 20%%); neighbour's hit ratio %.4f alone, %.4f "
      "beside the scan\n",
      100 * held, alone, beside);
}

}  // namespace
}  // namespace atoll::store

int main(int argc, char** argv) {
  using namespace atoll::store;  // NOLINT(google-build-using-namespace)
  const uint64_t millions = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 10;
  const std::string only = argc > 2 ? argv[2] : "";
  const auto wanted = [&](const char* name) { return only.empty() || only == name; };
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  if (wanted("memory")) MemoryBeyondPayload(millions * 1'000'000, 100);
  if (wanted("memory")) MemoryBeyondPayload(millions * 1'000'000 / 8, 1000);
  if (wanted("eviction")) SteadyEviction(millions * 100 << 20);
  if (wanted("drift")) Drift(uint64_t{256} << 20);
  if (wanted("expired")) ExpiredResident();
  if (wanted("share")) CappedNamespace();
  return 0;
}
