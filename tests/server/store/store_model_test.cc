// Random operations against a plain map with the same clock. Everything that the store may choose
// (to evict what is committed, to have no room) is asked of it and then held against it.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "server/store/store.h"
#include "tests/server/store/store_test_util.h"

namespace atoll::store {
namespace {

using base::CacheSeconds;
using base::NamespaceId;
using base::PartitionId;
using base::Version;

struct Workload {
  const char* name;
  int partitions = 4;
  int keys = 400;  // a partition
  size_t largest = 64 << 10;
  // The store never has to evict: it must have everything.
  bool roomy = true;
  // Keys share the leading bits of their hashes.
  bool clustered = false;
  // Two namespaces have names, one of them from the middle of the run on.
  bool named = false;
  // Values of 1 B and 1 MiB in turns.
  bool alternating = false;
  // Commits lag behind by up to so many writes.
  uint64_t commit_lag = 50;
  double operations = 1;
};

class Model {
 public:
  Model(const Workload& workload, uint64_t seed) : workload_(workload), random_(seed) {
    StoreOptions options;
    options.memory_bytes = workload.roomy ? uint64_t{512} << 20 : kMinMemoryBytes;
    options.clock = &clock_;
    store_ = *Store::Create(options);
    if (workload.named) {
      store_->NameNamespace(NamespaceId(1), kNames[1]);
      for (const int ns : {1, 2}) {
        named_[ns] = KeysByPartition(workload.partitions, workload.keys / 3 + 1, kNames[ns]);
      }
    }
    for (int p = 0; p < workload.partitions; ++p) {
      store_->OpenPartition(PartitionId(p));
      partitions_.emplace_back();
      for (int k = 0; k < workload.keys; ++k) AddKey(p, k);
    }
  }

  void Run() {
    const auto operations = static_cast<uint64_t>(kOperations * workload_.operations);
    for (uint64_t i = 0; i < operations && !testing::Test::HasFailure(); ++i) {
      SCOPED_TRACE(testing::Message() << "operation " << i);
      Step();
      if (workload_.named && i == operations / 2) {
        store_->NameNamespace(NamespaceId(2), kNames[2]);
      }
      if (i % 4096 == 0) {
        const StoreStats stats = store_->Stats();
        ASSERT_LE(stats.memory_used_bytes, stats.memory_limit_bytes);
      }
    }
    if (testing::Test::HasFailure()) return;
    for (size_t k = 0; k < keys_.size(); ++k) CheckFind(k, {.enforce_idle = false});
    for (Held& held : held_) EXPECT_TRUE(Pattern::Matches(held.seed, held.value));
    held_.clear();
    for (int p = 0; p < workload_.partitions; ++p) store_->DropPartition(PartitionId(p));
    for (int i = 0; i < 200'000 && store_->Maintain(); ++i) {
    }
    const StoreStats stats = store_->Stats();
    EXPECT_EQ(stats.items, 0u);
    EXPECT_EQ(stats.live_bytes, 0u);
    EXPECT_EQ(stats.pinned_bytes, 0u);
    EXPECT_EQ(stats.tombstones, 0u);
  }

 private:
  struct Entry {
    EntryMeta meta;
    uint32_t size = 0;
    CacheSeconds last_access = 0;
  };
  struct KeyState {
    PartitionId partition;
    NamespaceId ns;
    std::string name;
    uint64_t hash = 0;
    std::optional<Entry> entry;
    Version deleted;  // the version of its absence, while the store must remember it
    // Present, or overwritten, without a break since this step.
    uint64_t unbroken_since = 0;
    Key key() const { return {ns, name, hash}; }
  };
  struct PartitionState {
    uint64_t sequence = 0;
    uint64_t committed = 0;
    bool retain = false;
    std::map<uint16_t, Version> flushes;
    // A walk under way.
    bool walking = false;
    uint64_t cursor = 0;
    uint64_t walk_began = 0;
    std::vector<size_t> deleted;  // keys that may have a version of their absence
    std::set<size_t> walked;
  };
  struct Held {
    Value value;
    uint32_t seed;
  };

  void AddKey(int p, int k) {
    KeyState state;
    state.partition = PartitionId(p);
    state.ns = NamespaceId(1 + k % 3);
    state.name = "key-" + std::to_string(p) + "-" + std::to_string(k);
    if (k % 50 == 0) state.name.resize(1 + k % kMaxKeyBytes, 'x');
    if (k % 50 == 0) state.name += std::to_string(k);
    uint64_t hash = KeyIn(state.partition, state.name, state.ns).hash;
    if (const std::string_view ns_name = kNames[state.ns.value()];
        workload_.named && !ns_name.empty()) {
      state.name = named_[state.ns.value()][p][k / 3];
      hash = base::HashKey(ns_name, state.name);
    }
    // A few tags only: long runs of equal ones.
    if (workload_.clustered) hash = hash & ~(uint64_t{0x3ffff8} << 30);
    state.hash = hash;
    by_name_[{p, state.ns.value(), state.name}] = keys_.size();
    keys_.push_back(std::move(state));
  }

  CacheSeconds Now() const { return base::ToCacheSeconds(clock_.Now()); }
  PartitionState& Of(const KeyState& key) { return partitions_[key.partition.value()]; }
  Version NextVersion(const KeyState& key) { return Version(base::Epoch(3), ++Of(key).sequence); }
  Version Committed(const KeyState& key) { return Version(base::Epoch(3), Of(key).committed); }
  bool Hidden(const KeyState& key, Version version) {
    const auto it = Of(key).flushes.find(key.ns.value());
    return it != Of(key).flushes.end() && version <= it->second;
  }
  // By what does not hang on idle time.
  bool Live(const KeyState& key) {
    return key.entry.has_value() &&
           (key.entry->meta.expiry == 0 || key.entry->meta.expiry > Now()) &&
           !Hidden(key, key.entry->meta.version);
  }
  bool Chance(int percent) { return static_cast<int>(random_() % 100) < percent; }

  void Step() {
    if (++step_ % kLooksAtDeletions == 0) {
      crowded_ = crowded_ || store_->Stats().tombstones >= kManyInAll;
    }
    const size_t k = PickKey();
    const uint64_t what = random_() % 1000;
    if (what < 380) {
      CheckFind(k, {.touch = Chance(90), .enforce_idle = Chance(80), .metadata_only = Chance(10)});
    } else if (what < 440) {
      CheckBatch();
    } else if (what < 760) {
      Put(k);
    } else if (what < 830) {
      Erase(k);
    } else if (what < 890) {
      Touch(k);
    } else if (what < 900) {
      Resend(k);
    } else if (what < 950) {
      Commit(k);
    } else if (what < 975) {
      Walk(static_cast<int>(random_() % partitions_.size()));
    } else if (what < 982) {
      store_->Maintain();
    } else if (what < 985) {
      what % 2 == 0 ? Hints(k) : Shares();
    } else if (what < 996) {
      clock_.Advance(absl::Seconds(random_() % 20));
    } else if (what < 997) {
      clock_.Advance(absl::Seconds(random_() % 2000));
    } else if (what < 998) {
      Of(keys_[k]).retain = Chance(30);
      store_->RetainTombstones(keys_[k].partition, Of(keys_[k]).retain);
      if (!Of(keys_[k]).retain) ForgetCommitted(keys_[k].partition);
    } else if (what < 999) {
      if (Chance(4)) Flush(k);
    } else if (Chance(1)) {
      Drop(keys_[k].partition);
    }
  }

  // What is said to be warm was written, and to hear of it changes nothing that is seen.
  void Hints(size_t k) {
    store_->NoteWarmed(keys_[k].partition, Chance(80));
    std::vector<Warmed> warmed;
    store_->TakeWarmed(random_() % 200, &warmed);
    for (const Warmed& one : warmed) {
      const size_t partition = one.hash >> 52;
      ASSERT_LT(partition, partitions_.size());
      ASSERT_LE(one.version, Version(base::Epoch(3), partitions_[partition].sequence));
      ASSERT_GT(one.version.sequence(), 0u);
    }
    if (Chance(20)) warmed.push_back({keys_[k].hash, Version(base::Epoch(3), random_() % 1000)});
    ASSERT_LE(store_->MarkWarm(warmed), warmed.size());
  }

  // One that is over its share gives way even where memory is free.
  void Shares() {
    if (workload_.roomy) return;
    const std::array<NamespaceShare, 2> shares = {
        {{.ns = NamespaceId(1), .min_percent = static_cast<uint32_t>(random_() % 60)},
         {.ns = NamespaceId(2), .max_percent = static_cast<uint32_t>(random_() % 40)}}};
    store_->SetShares(shares);
  }

  size_t PickKey() {
    // Some keys are much asked for.
    const size_t all = keys_.size();
    return Chance(50) ? random_() % all : random_() % (all / 20 + 1);
  }

  // The store says that the key is absent.
  void SawAbsent(KeyState& key, const Found& found, bool idle_may_be) {
    const Version committed = Committed(key);
    if (Live(key)) {
      const bool may = idle_may_be || (!workload_.roomy && key.entry->meta.version <= committed);
      ASSERT_TRUE(may) << key.name << " lost, version " << key.entry->meta.version;
    }
    key.entry.reset();
    Version least = key.deleted;
    const auto flush = Of(key).flushes.find(key.ns.value());
    if (flush != Of(key).flushes.end() && flush->second > committed) {
      least = std::max(least, flush->second);
    }
    // What is retained for a learner has a bound.
    if (least <= committed && found.meta.version == Version()) return;
    // Where many are not committed yet, a version stands for all that are absent: many of this
    // partition, or of all, whose blocks have one budget.
    if (found.meta.version > least && (crowded_ || Of(key).deleted.size() >= kManyDeleted)) {
      ASSERT_GT(found.meta.version, committed);
      ASSERT_LE(found.meta.version.sequence(), Of(key).sequence);
      return;
    }
    ASSERT_EQ(found.meta.version, least);
  }

  void Check(size_t k, const Found& found, const FindOptions& options) {
    KeyState& key = keys_[k];
    const CacheSeconds now = Now();
    bool idle_may_be = false;
    bool idle_must_be = false;
    if (key.entry.has_value() && key.entry->meta.max_idle != 0 && options.enforce_idle) {
      const uint32_t max_idle = key.entry->meta.max_idle;
      idle_must_be = key.entry->last_access + max_idle <= now;
      // Last access is rewritten only once a sixteenth has passed.
      idle_may_be = key.entry->last_access + max_idle - max_idle / 16 <= now;
    }
    if (!Live(key) || idle_must_be) {
      ASSERT_EQ(found.presence, Presence::kAbsent) << key.name;
    }
    if (found.presence == Presence::kAbsent) {
      SawAbsent(key, found, idle_may_be);
      return;
    }
    Entry& entry = *key.entry;
    ASSERT_EQ(found.meta.version, entry.meta.version);
    ASSERT_EQ(found.meta.expiry, entry.meta.expiry);
    ASSERT_EQ(found.meta.max_idle, entry.meta.max_idle);
    ASSERT_EQ(found.meta.flags, entry.meta.flags);
    ASSERT_EQ(found.value_size, entry.size);
    if (found.presence == Presence::kPresent && !options.metadata_only) {
      ASSERT_EQ(found.value.size(), entry.size);
      ASSERT_TRUE(Pattern::Matches(entry.meta.flags, found.value)) << key.name;
      if (found.value.owner() != nullptr && Chance(5)) Hold(found.value, entry.meta.flags);
    }
    if (options.touch) entry.last_access = now;
  }

  void Hold(const Value& value, uint32_t seed) {
    held_.push_back({value, seed});
    if (held_.size() > 8) {
      EXPECT_TRUE(Pattern::Matches(held_.front().seed, held_.front().value));
      held_.pop_front();
    }
  }

  void CheckFind(size_t k, const FindOptions& options) {
    buffer_.Reset();
    Check(k, store_->Find(keys_[k].key(), options, buffer_), options);
  }

  void CheckBatch() {
    std::set<size_t> picked;
    const size_t count = 1 + random_() % 40;
    while (picked.size() < count) picked.insert(random_() % keys_.size());
    std::vector<Key> keys;
    for (const size_t k : picked) keys.push_back(keys_[k].key());
    std::vector<Found> found(keys.size());
    buffer_.Reset();
    FindMany(*store_, keys, {}, Chance(50), buffer_, absl::MakeSpan(found));
    size_t i = 0;
    for (const size_t k : picked) Check(k, found[i++], {});
  }

  void Gone(KeyState& key, Version version) {
    key.entry.reset();
    Of(key).deleted.push_back(static_cast<size_t>(&key - keys_.data()));
    key.deleted = version > Committed(key) || Of(key).retain ? version : Version();
  }

  void Put(size_t k) {
    KeyState& key = keys_[k];
    Entry entry;
    entry.meta.version = NextVersion(key);
    entry.meta.flags = Chance(95) ? static_cast<uint32_t>(random_() | 1) : 0;
    if (Chance(40)) entry.meta.expiry = Now() + 1 + random_() % (Chance(50) ? 60 : 20'000);
    if (Chance(10)) entry.meta.max_idle = 1 + random_() % 500;
    entry.size = static_cast<uint32_t>(RandomSize(random_, workload_.largest));
    if (workload_.alternating) entry.size = step_ % 2 == 0 ? 1 : 1 << 20;
    entry.last_access = Now();
    const std::string_view value = Pattern::Bytes(entry.meta.flags, entry.size);
    const size_t cut = entry.size == 0 ? 0 : random_() % entry.size;
    const std::vector<std::string_view> pieces = {value.substr(0, cut), value.substr(cut)};
    const WriteResult result = store_->Put(key.key(), entry.meta, pieces);
    if (result == WriteResult::kNoRoom) {
      ASSERT_FALSE(workload_.roomy);
      Gone(key, entry.meta.version);
      ++no_room_;
      return;
    }
    ASSERT_EQ(result, WriteResult::kApplied);
    if (!Live(key)) key.unbroken_since = step_;
    key.entry = entry;
    key.deleted = Version();
  }

  void Erase(size_t k) {
    KeyState& key = keys_[k];
    const Version version = NextVersion(key);
    ASSERT_EQ(store_->Erase(key.key(), version), WriteResult::kApplied);
    Gone(key, version);
  }

  void Touch(size_t k) {
    KeyState& key = keys_[k];
    // Whether there is something to touch is the store's knowledge.
    CheckFind(k, {.touch = false, .enforce_idle = false, .metadata_only = true});
    if (testing::Test::HasFailure()) return;
    const Version version = NextVersion(key);
    const CacheSeconds expiry = Chance(50) ? 0 : Now() + 1 + random_() % 1000;
    const uint32_t max_idle = Chance(70) ? 0 : 1 + random_() % 300;
    const WriteResult result = store_->Touch(key.key(), version, expiry, max_idle);
    if (result == WriteResult::kNoRoom) {
      ASSERT_FALSE(workload_.roomy);
      Gone(key, version);
      return;
    }
    ASSERT_EQ(result, WriteResult::kApplied);
    if (!Live(key)) {
      Gone(key, version);
      return;
    }
    key.entry->meta.version = version;
    key.entry->meta.expiry = expiry;
    key.entry->meta.max_idle = max_idle;
    key.entry->last_access = Now();
    key.deleted = Version();
  }

  // An outdated write must change nothing.
  void Resend(size_t k) {
    KeyState& key = keys_[k];
    Version known;
    if (Live(key) && (workload_.roomy || key.entry->meta.version > Committed(key)) &&
        key.entry->meta.max_idle == 0) {
      known = key.entry->meta.version;
    } else if (key.deleted > Committed(key) &&
               !(Of(key).retain && Of(key).deleted.size() >= kManyDeleted)) {
      known = key.deleted;
    } else {
      return;
    }
    const Version older(base::Epoch(3),
                        known.sequence() - std::min<uint64_t>(random_() % 3, known.sequence()));
    EntryMeta meta{.version = older};
    const std::string_view value = "outdated";
    WriteResult result = WriteResult::kApplied;
    switch (random_() % 3) {
      case 0:
        result = PutBytes(*store_, key.key(), meta, value);
        break;
      case 1:
        result = store_->Erase(key.key(), older);
        break;
      default:
        result = store_->Touch(key.key(), older, 0, 0);
    }
    ASSERT_EQ(result, WriteResult::kStale);
  }

  void ForgetCommitted(PartitionId partition) {
    std::vector<size_t>& deleted = partitions_[partition.value()].deleted;
    std::erase_if(deleted, [this](size_t k) {
      if (keys_[k].deleted > Committed(keys_[k])) return false;
      keys_[k].deleted = Version();
      return true;
    });
  }

  void Commit(size_t k) {
    PartitionState& p = Of(keys_[k]);
    const uint64_t lag = random_() % (workload_.commit_lag + 1);
    p.committed = std::max(p.committed, p.sequence - std::min(lag, p.sequence));
    store_->SetCommitted(keys_[k].partition, Committed(keys_[k]));
    if (!p.retain) ForgetCommitted(keys_[k].partition);
  }

  void Flush(size_t k) {
    KeyState& key = keys_[k];
    const Version version = NextVersion(key);
    store_->Flush(key.partition, key.ns, version);
    Of(key).flushes[key.ns.value()] = version;
    bool listed = false;
    for (const FlushMark& mark : store_->Flushes(key.partition)) {
      listed = listed || (mark.ns == key.ns && mark.version == version);
    }
    ASSERT_TRUE(listed);
  }

  void Drop(PartitionId partition) {
    store_->DropPartition(partition);
    ASSERT_EQ(store_->ItemsIn(partition), 0u);
    PartitionState& p = partitions_[partition.value()];
    p.walking = false;
    p.flushes.clear();
    p.retain = false;
    p.committed = 0;
    for (KeyState& key : keys_) {
      if (key.partition != partition) continue;
      key.entry.reset();
      key.deleted = Version();
    }
    store_->OpenPartition(partition);
  }

  // A page of a walk that other operations interrupt.
  void Walk(int number) {
    PartitionState& p = partitions_[number];
    if (!p.walking) {
      p.walking = true;
      p.cursor = 0;
      p.walk_began = step_;
      p.walked.clear();
    }
    const ScanOptions options{.max_entries = 1 + random_() % 100, .with_values = Chance(80)};
    const ScanChunk chunk = store_->Scan(PartitionId(number), p.cursor, options);
    for (const ScannedEntry& entry : chunk.entries) {
      const auto it = by_name_.find({number, entry.ns.value(), std::string(entry.key)});
      ASSERT_NE(it, by_name_.end());
      KeyState& key = keys_[it->second];
      ASSERT_EQ(entry.hash, key.hash);
      ASSERT_TRUE(Live(key)) << "a walk shows what is not there";
      ASSERT_EQ(entry.meta.version, key.entry->meta.version);
      ASSERT_EQ(entry.value_size, key.entry->size);
      if (options.with_values && entry.value.size() == entry.value_size) {
        ASSERT_TRUE(Pattern::Matches(key.entry->meta.flags, entry.value));
      }
      ASSERT_TRUE(p.walked.insert(it->second).second) << entry.key << " listed twice";
    }
    if (!chunk.done) {
      ASSERT_GT(chunk.next, p.cursor);
      p.cursor = chunk.next;
      return;
    }
    p.walking = false;
    if (!workload_.roomy) return;
    for (size_t k = 0; k < keys_.size(); ++k) {
      KeyState& key = keys_[k];
      if (key.partition.value() != number || !Live(key) || key.entry->meta.max_idle != 0) continue;
      // Expired meanwhile and written anew is not caught by unbroken_since: only what has no
      // expiry is sure to have been there.
      if (key.unbroken_since >= p.walk_began || key.entry->meta.expiry != 0) continue;
      ASSERT_TRUE(p.walked.contains(k)) << key.name << " was there throughout";
    }
  }

  static constexpr size_t kManyDeleted = 500;
  // The half of 2% of the least memory, in nodes of 24 B, of which a quarter may be in use; and so
  // many steps' deletions less, since it is looked at so often.
  static constexpr uint64_t kLooksAtDeletions = 1000;
  static constexpr uint64_t kManyInAll = kMinMemoryBytes / 50 / 2 / 24 / 4 - kLooksAtDeletions;
  // By namespace id.
  static constexpr std::array<std::string_view, 4> kNames = {"", "first", "second", ""};

  const Workload workload_;
  std::mt19937_64 random_;
  base::FakeClock clock_;
  std::unique_ptr<Store> store_;
  ReadBuffer buffer_;
  std::vector<KeyState> keys_;
  std::map<std::tuple<int, uint16_t, std::string>, size_t> by_name_;  // partition, namespace, key
  std::array<std::vector<std::vector<std::string>>, 3> named_;        // by namespace and partition
  std::vector<PartitionState> partitions_;
  std::deque<Held> held_;
  uint64_t step_ = 0;
  bool crowded_ = false;  // deletions have had their budget full, or nearly
  uint64_t no_room_ = 0;
};

class StoreModel : public testing::TestWithParam<Workload> {};

TEST_P(StoreModel, AgreesWithAMap) {
  const uint64_t seed = TestSeed();
  Model model(GetParam(), seed);
  model.Run();
}

INSTANTIATE_TEST_SUITE_P(
    Workloads, StoreModel,
    testing::Values(
        Workload{.name = "Small", .largest = 600}, Workload{.name = "Mixed"},
        Workload{.name = "ManyKeys", .partitions = 2, .keys = 20'000, .largest = 200},
        Workload{
            .name = "Clustered", .keys = 150, .largest = 300, .clustered = true, .operations = 0.5},
        Workload{.name = "Tight", .partitions = 40, .keys = 2000, .largest = 9000, .roomy = false},
        Workload{
            .name = "TightSmall", .partitions = 300, .keys = 2000, .largest = 250, .roomy = false},
        Workload{.name = "TightNamed",
                 .partitions = 16,
                 .keys = 2000,
                 .largest = 9000,
                 .roomy = false,
                 .named = true},
        Workload{.name = "Alternating",
                 .partitions = 16,
                 .keys = 2000,
                 .roomy = false,
                 .alternating = true,
                 .operations = 0.3},
        Workload{.name = "TightLarge",
                 .partitions = 20,
                 .keys = 300,
                 .largest = 4 << 20,
                 .roomy = false,
                 .operations = 0.3},
        Workload{.name = "TightAndSlowToCommit",
                 .partitions = 4,
                 .keys = 10'000,
                 .largest = 20'000,
                 .roomy = false,
                 .commit_lag = 20'000}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace atoll::store
