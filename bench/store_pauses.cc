// The longest pause of an operation of the memory engine, and the longest time that it holds a
// lock, growing and then evicting.
//
// store_pauses [items in millions, default 10] [runs, default 3]
//
// What a run does is the same to the last entry, so its n-th operation, and its n-th lock, are the
// same work in every run. A machine that is shared takes the core away in the middle of some, and
// counts part of it as theirs: each is taken at its least over the runs. Operations are measured in
// CPU time of the thread, locks from taking to letting go, which is no less; where the thread was
// taken off its core meanwhile, that run does not count. Runs that measure locks measure no
// operations.
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_format.h"
#include "base/hash.h"
#include "base/lock_observer.h"
#include "bench/nanos.h"
#include "server/store/store.h"

#ifndef ATOLL_OBSERVE_LOCKS
#error "every source of this program is built with ATOLL_OBSERVE_LOCKS"
#endif

namespace atoll::store {
namespace {

constexpr base::NamespaceId kNamespace{1};

// What took longer than `floor_nanos`, by its number, and how long at least over the runs.
class Longest {
 public:
  explicit Longest(uint64_t floor_nanos) : floor_(floor_nanos) {}

  static constexpr uint64_t kUnknown = ~uint64_t{0};

  // `known`: asked where it took long.
  template <typename Known>
  void Add(uint64_t nanos, Known known) {
    if (nanos > floor_) this_run_[next_] = known() ? nanos : kUnknown;
    ++next_;
  }
  void Add(uint64_t nanos) {
    Add(nanos, [] { return true; });
  }
  // False if the run had another number of events than the one before it.
  bool EndRun() {
    const bool same = runs_ == 0 || next_ == count_;
    count_ = std::exchange(next_, 0);
    if (runs_++ == 0) {
      least_ = std::move(this_run_);
    } else {
      absl::flat_hash_map<uint64_t, uint64_t> both;
      for (const auto& [number, nanos] : least_) {
        const auto it = this_run_.find(number);
        if (it != this_run_.end()) both[number] = std::min(nanos, it->second);
      }
      least_ = std::move(both);
    }
    this_run_.clear();
    return same;
  }
  void Print(const char* what) const {
    std::vector<uint64_t> nanos;
    nanos.reserve(least_.size());
    for (const auto& [number, least] : least_) {
      if (least != kUnknown) nanos.push_back(least);
    }
    const size_t unknown = least_.size() - nanos.size();
    std::sort(nanos.begin(), nanos.end(), std::greater<>());
    const auto micros = [&](size_t i) {
      return static_cast<double>(i < nanos.size() ? nanos[i] : floor_) / 1000;
    };
    absl::PrintF(
        "%-32s %10d, over %.0f us: %d, longest %.1f us, second %.1f, tenth %.1f, hundredth %.1f; "
        "disturbed in every run: %d\n",
        what, count_, static_cast<double>(floor_) / 1000, nanos.size(), micros(0), micros(1),
        micros(9), micros(99), unknown);
  }

 private:
  const uint64_t floor_;
  absl::flat_hash_map<uint64_t, uint64_t> this_run_;
  absl::flat_hash_map<uint64_t, uint64_t> least_;
  uint64_t next_ = 0;
  uint64_t count_ = 0;
  int runs_ = 0;
};

struct Phase {
  explicit Phase(std::string phase) : name(std::move(phase)) {}
  std::string name;
  Longest puts{20'000};
  Longest gets{20'000};
  Longest slices{50'000};
  Longest locks{5'000};
};

Longest* g_locks = nullptr;

// Whether the thread kept its core since this was asked before.
bool KeptItsCore() {
  static int64_t before = 0;
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  const int64_t switches = usage.ru_nvcsw + usage.ru_nivcsw;
  return std::exchange(before, switches) == switches;
}

void ObserveLock(uint64_t nanos) { g_locks->Add(nanos, KeptItsCore); }

class Run {
 public:
  Run(uint64_t items, bool locks) : items_(items), locks_(locks) {
    StoreOptions options;
    options.memory_bytes = items * 160;
    options.clock = &clock_;
    store_ = *Store::Create(options);
    store_->NameNamespace(kNamespace, "default");
    for (uint32_t p = 0; p < base::kPartitionCount; ++p) {
      const base::PartitionId id(static_cast<uint16_t>(p));
      store_->OpenPartition(id);
      store_->SetCommitted(id, base::Version(~uint64_t{0}));
    }
  }

  // Puts `items` keys from `from` on; for every second one a key of the last `items` is read, and
  // for every 64th there is a slice of housekeeping.
  bool Play(uint64_t from, Phase& phase) {
    g_locks = &phase.locks;
    base::LockObserver::Set(locks_ ? ObserveLock : nullptr);
    for (uint64_t n = from; n < from + items_; ++n) {
      Timed(phase.puts, [&] { Put(n); });
      if (n % 2 == 0) Timed(phase.gets, [&] { Get(n - random_() % std::min(n + 1, items_)); });
      if (n % 64 == 0) Timed(phase.slices, [&] { store_->Maintain(); });
    }
    base::LockObserver::Set(nullptr);
    if (locks_) return phase.locks.EndRun();
    const bool puts = phase.puts.EndRun();
    const bool gets = phase.gets.EndRun();
    return phase.slices.EndRun() && puts && gets;
  }

 private:
  template <typename Operation>
  void Timed(Longest& longest, Operation operation) {
    if (locks_) return operation();
    const int64_t begin = bench::ThreadNanos();
    operation();
    longest.Add(static_cast<uint64_t>(bench::ThreadNanos() - begin));
  }
  Key KeyOf(uint64_t n) {
    std::snprintf(key_, sizeof(key_), "key-%020llu", static_cast<unsigned long long>(n));
    const std::string_view key(key_, 24);
    return {kNamespace, key, base::HashKey("default", key)};
  }
  void Put(uint64_t n) {
    const std::string_view value = value_;
    EntryMeta meta;
    meta.version = base::Version(++version_);
    store_->Put(KeyOf(n), meta, absl::MakeConstSpan(&value, 1));
  }
  void Get(uint64_t n) {
    buffer_.Reset();
    store_->Find(KeyOf(n), {}, buffer_);
  }

  const uint64_t items_;
  const bool locks_;
  base::FakeClock clock_;
  std::unique_ptr<Store> store_;
  std::mt19937_64 random_{3};
  const std::string value_ = std::string(100, 'v');
  char key_[32];
  ReadBuffer buffer_;
  uint64_t version_ = 0;
};

}  // namespace
}  // namespace atoll::store

int main(int argc, char** argv) {
  using namespace atoll::store;  // NOLINT(google-build-using-namespace)
  const uint64_t items = (argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 10) * 1'000'000;
  const uint64_t runs = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 3;
  if (items == 0 || runs == 0) {
    std::fprintf(stderr, "usage: store_pauses [MILLIONS [RUNS]]\n");
    return 2;
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  Phase growing("growing");
  Phase evicting("evicting");
  bool same = true;
  for (const bool locks : {false, true}) {
    for (uint64_t i = 0; i < runs; ++i) {
      Run run(items, locks);
      same = run.Play(0, growing) && same;
      same = run.Play(items, evicting) && same;
    }
  }
  absl::PrintF("%d M items, the least of %d runs each\n", items / 1'000'000, runs);
  for (const Phase* phase : {&growing, &evicting}) {
    phase->puts.Print((phase->name + ": puts").c_str());
    phase->gets.Print((phase->name + ": gets").c_str());
    phase->slices.Print((phase->name + ": slices of housekeeping").c_str());
    phase->locks.Print((phase->name + ": locks").c_str());
  }
  if (same) return 0;
  std::fprintf(stderr, "store_pauses: the runs did not do the same\n");
  return 1;
}
