// The memory engine under any stream of operations: what it shows is what was written last, whole;
// what may not go (not committed, not expired) is there; memory stays within its limit.
//
// Input: a byte for each operation, then bytes for its operands; the last operation's may be
// missing. Sizes reach from nothing to 4 MiB, so that a short stream fills the memory.
#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "server/store/store.h"
#include "tests/fuzz/fuzz.h"
#include "tests/server/store/store_test_util.h"

namespace atoll::store {
namespace {

using base::NamespaceId;
using base::PartitionId;
using base::Version;

constexpr int kPartitions = 4;
constexpr int kKeysEach = 16;  // of a partition and namespace
constexpr std::string_view kName = "fuzz";
constexpr NamespaceId kUnnamed{1};
constexpr NamespaceId kNamed{2};

class Input {
 public:
  explicit Input(std::string_view bytes) : bytes_(bytes) {}
  bool done() const { return bytes_.empty(); }
  uint8_t Byte() {
    if (bytes_.empty()) return 0;
    const auto byte = static_cast<uint8_t>(bytes_[0]);
    bytes_.remove_prefix(1);
    return byte;
  }
  // The edges of what the engine tells apart, and what is between.
  size_t Size() {
    constexpr std::array<size_t, 12> kSizes = {
        0,       1,        100,      1000,    kInlineValueBytes, kInlineValueBytes + 1,
        1 << 14, 50 << 10, 64 << 10, 1 << 20, (1 << 20) + 1,     4 << 20};
    const uint8_t byte = Byte();
    return byte < 128 ? byte : kSizes[byte % kSizes.size()];
  }

 private:
  std::string_view bytes_;
};

struct Entry {
  EntryMeta meta;
  size_t size = 0;
};

struct KeyState {
  NamespaceId ns;
  std::string name;
  uint64_t hash = 0;
  std::optional<Entry> entry;
  // Its last write left it without an entry; known for sure while not committed.
  Version absent;
  Key key() const { return {ns, name, hash}; }
};

const std::vector<KeyState>& AllKeys() {
  static const auto* const keys = [] {
    auto* all = new std::vector<KeyState>;
    const auto named = KeysByPartition(kPartitions, kKeysEach, kName);
    for (int p = 0; p < kPartitions; ++p) {
      for (int k = 0; k < kKeysEach; ++k) {
        const std::string name = std::to_string(p) + "-" + std::to_string(k);
        all->push_back({kUnnamed, name, KeyIn(PartitionId(p), name).hash, {}, {}});
        all->push_back({kNamed, named[p][k], base::HashKey(kName, named[p][k]), {}, {}});
      }
    }
    return all;
  }();
  return *keys;
}

class Run {
 public:
  explicit Run(std::string_view bytes) : input_(bytes), keys_(AllKeys()) {
    StoreOptions options;
    options.memory_bytes = kMinMemoryBytes;
    options.clock = &clock_;
    store_ = *Store::Create(options);
    for (int p = 0; p < kPartitions; ++p) store_->OpenPartition(PartitionId(p));
  }

  void All() {
    for (int step = 0; !input_.done(); ++step) {
      Step();
      if (step % 64 == 63) CheckMemory();  // a look at every partition
    }
    CheckMemory();
    for (KeyState& key : keys_) Check(key, Look(key, {.enforce_idle = false}), false);
    for (const auto& [value, seed] : held_) FUZZ_EXPECT(Pattern::Matches(seed, value));
    held_.clear();
    for (int p = 0; p < kPartitions; ++p) store_->DropPartition(PartitionId(p));
    for (int i = 0; i < 20'000 && store_->Maintain(); ++i) {
    }
    const StoreStats stats = store_->Stats();
    FUZZ_EXPECT(stats.items == 0 && stats.live_bytes == 0 && stats.pinned_bytes == 0);
  }

 private:
  void CheckMemory() const {
    const StoreStats stats = store_->Stats();
    FUZZ_EXPECT(stats.memory_used_bytes <= stats.memory_limit_bytes);
  }
  KeyState& Pick() { return keys_[input_.Byte() % keys_.size()]; }
  Version Committed(const KeyState& key) const { return committed_[key.key().partition().value()]; }
  base::CacheSeconds Now() const { return base::ToCacheSeconds(clock_.Now()); }
  bool Live(const KeyState& key) const {
    if (!key.entry.has_value()) return false;
    const EntryMeta& meta = key.entry->meta;
    const Version flushed = flushed_[key.key().partition().value()][key.ns.value()];
    return (meta.expiry == 0 || meta.expiry > Now()) && meta.version > flushed;
  }

  Found Look(const KeyState& key, const FindOptions& options) {
    buffer_.Reset();
    return store_->Find(key.key(), options, buffer_);
  }

  void Check(KeyState& key, const Found& found, bool metadata_only) {
    if (found.presence == Presence::kAbsent) {
      const bool may_go = !Live(key) || key.entry->meta.version <= Committed(key);
      FUZZ_EXPECT(may_go);
      if (key.absent > Committed(key)) FUZZ_EXPECT(found.meta.version >= key.absent);
      key.entry.reset();
      return;
    }
    FUZZ_EXPECT(Live(key));
    const Entry& entry = *key.entry;
    FUZZ_EXPECT(found.meta.version == entry.meta.version);
    FUZZ_EXPECT(found.meta.expiry == entry.meta.expiry && found.meta.flags == entry.meta.flags);
    FUZZ_EXPECT(found.value_size == entry.size);
    if (metadata_only || found.presence == Presence::kPinLimit) return;
    FUZZ_EXPECT(Pattern::Matches(entry.meta.flags, found.value));
    if (found.value.owner() != nullptr && held_.size() < 8) {
      held_.emplace_back(found.value, entry.meta.flags);
    }
  }

  void Batch(bool each) {
    std::vector<KeyState*> picked;
    std::vector<Key> asked;
    // The same key twice, and keys of one partition, are what a batch must stand.
    for (int n = input_.Byte() % 40; n >= 0; --n) {
      picked.push_back(&Pick());
      asked.push_back(picked.back()->key());
    }
    std::vector<Found> found(asked.size());
    buffer_.Reset();
    FindMany(*store_, asked, {.enforce_idle = false}, each, buffer_, absl::MakeSpan(found));
    FUZZ_EXPECT(!testing::Test::HasFailure());
    for (size_t i = 0; i < found.size(); ++i) Check(*picked[i], found[i], false);
  }

  void Wrote(KeyState& key, WriteResult result, Version version, std::optional<Entry> entry) {
    FUZZ_EXPECT(result != WriteResult::kStale);
    key.entry = result == WriteResult::kApplied ? entry : std::nullopt;
    key.absent = key.entry.has_value() ? Version() : version;
  }

  void Put() {
    KeyState& key = Pick();
    Entry entry;
    entry.size = input_.Size();
    const uint8_t how = input_.Byte();
    entry.meta.version = Version(++sequence_);
    entry.meta.flags = how % 2 == 0 ? 0 : static_cast<uint32_t>(sequence_);
    if ((how & 2) != 0) entry.meta.expiry = Now() + 1 + how;
    if ((how & 4) != 0) entry.meta.max_idle = 1000;
    const WriteResult result =
        PutBytes(*store_, key.key(), entry.meta, Pattern::Bytes(entry.meta.flags, entry.size));
    Wrote(key, result, entry.meta.version, entry);
  }

  void Touch() {
    KeyState& key = Pick();
    Check(key, Look(key, {.touch = false, .enforce_idle = false, .metadata_only = true}), true);
    const Version version(++sequence_);
    std::optional<Entry> entry = Live(key) ? key.entry : std::nullopt;
    const uint8_t seconds = input_.Byte();
    const base::CacheSeconds expiry = seconds == 0 ? 0 : Now() + seconds;
    if (entry.has_value()) {
      entry->meta.version = version;
      entry->meta.expiry = expiry;
    }
    Wrote(key, store_->Touch(key.key(), version, expiry, seconds % 3), version, entry);
  }

  // What the key has already, or had before, changes nothing.
  void Outdated() {
    KeyState& key = Pick();
    if (!Live(key) || key.entry->meta.version <= Committed(key)) return;
    const Version version = key.entry->meta.version;
    FUZZ_EXPECT(PutBytes(*store_, key.key(), {.version = version}, "old") == WriteResult::kStale);
    FUZZ_EXPECT(store_->Erase(key.key(), version) == WriteResult::kStale);
    FUZZ_EXPECT(store_->Touch(key.key(), version, 0, 0) == WriteResult::kStale);
  }

  void Walk() {
    const PartitionId partition(input_.Byte() % kPartitions);
    uint64_t cursor = 0;
    std::vector<std::pair<NamespaceId, std::string>> seen;
    const size_t page = 1 + input_.Byte() % 20;
    for (bool done = false; !done;) {
      const ScanChunk chunk = store_->Scan(partition, cursor, {.max_entries = page});
      for (const ScannedEntry& scanned : chunk.entries) {
        const std::pair<NamespaceId, std::string> name(scanned.ns, scanned.key);
        FUZZ_EXPECT(std::find(seen.begin(), seen.end(), name) == seen.end());
        seen.push_back(name);
        const auto key = std::find_if(keys_.begin(), keys_.end(), [&](const KeyState& k) {
          return k.ns == scanned.ns && k.name == scanned.key;
        });
        FUZZ_EXPECT(key != keys_.end() && Live(*key) && key->hash == scanned.hash);
        FUZZ_EXPECT(scanned.meta.version == key->entry->meta.version);
      }
      FUZZ_EXPECT(chunk.done || chunk.next > cursor);
      cursor = chunk.next;
      done = chunk.done;
    }
    // All that must be there was listed.
    for (const KeyState& key : keys_) {
      if (key.key().partition() != partition || !Live(key)) continue;
      if (key.entry->meta.version <= Committed(key) || key.entry->meta.max_idle != 0) continue;
      FUZZ_EXPECT(std::find(seen.begin(), seen.end(),
                            std::pair<NamespaceId, std::string>(key.ns, key.name)) != seen.end());
    }
  }

  void Flush() {
    const KeyState& key = Pick();
    const PartitionId partition = key.key().partition();
    const Version version(++sequence_);
    store_->Flush(partition, key.ns, version);
    flushed_[partition.value()][key.ns.value()] = version;
  }

  void Drop() {
    const PartitionId partition(input_.Byte() % kPartitions);
    store_->DropPartition(partition);
    for (KeyState& key : keys_) {
      if (key.key().partition() != partition) continue;
      key.entry.reset();
      key.absent = Version();
    }
    committed_[partition.value()] = Version();
    flushed_[partition.value()] = {};
    store_->OpenPartition(partition);
  }

  void Housekeeping(uint8_t what) {
    switch (what % 6) {
      case 0:
        for (int i = input_.Byte(); i >= 0 && store_->Maintain(); --i) {
        }
        return;
      case 1:
        clock_.Advance(absl::Seconds(input_.Byte()));
        return;
      case 2:
        clock_.Advance(absl::Minutes(input_.Byte()));
        return;
      case 3:
        store_->NameNamespace(kNamed, kName);
        return;
      case 4: {
        const std::array<NamespaceShare, 2> shares = {
            {{.ns = kUnnamed, .min_percent = 0, .max_percent = input_.Byte() % 50u},
             {.ns = kNamed, .min_percent = input_.Byte() % 50u, .max_percent = 0}}};
        store_->SetShares(shares);
        return;
      }
      default:
        held_.clear();
    }
  }

  void Step() {
    const uint8_t what = input_.Byte();
    switch (what % 16) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        return Put();
      case 5:
      case 6: {
        KeyState& key = Pick();
        const bool metadata_only = (what & 16) != 0;
        Check(key, Look(key, {.enforce_idle = false, .metadata_only = metadata_only}),
              metadata_only);
        return;
      }
      case 7:
        return Batch((what & 16) != 0);
      case 8: {
        KeyState& key = Pick();
        const Version version(++sequence_);
        return Wrote(key, store_->Erase(key.key(), version), version, std::nullopt);
      }
      case 9:
        return Touch();
      case 10:
        return Outdated();
      case 11: {
        const PartitionId partition(input_.Byte() % kPartitions);
        committed_[partition.value()] = Version(sequence_);
        return store_->SetCommitted(partition, Version(sequence_));
      }
      case 12:
        return Walk();
      case 13:
        return (what & 16) != 0 ? Flush() : Drop();
      case 14:
        return store_->RetainTombstones(PartitionId(input_.Byte() % kPartitions), (what & 16) != 0);
      default:
        return Housekeeping(what >> 4);
    }
  }

  Input input_;
  std::vector<KeyState> keys_;
  base::FakeClock clock_;
  std::unique_ptr<Store> store_;
  ReadBuffer buffer_;
  uint64_t sequence_ = 0;
  std::array<Version, kPartitions> committed_;
  std::array<std::array<Version, 3>, kPartitions> flushed_;
  std::deque<std::pair<Value, uint32_t>> held_;
};

}  // namespace
}  // namespace atoll::store

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  atoll::store::Run(atoll::fuzz::AsBytes(data, size)).All();
  return 0;
}
