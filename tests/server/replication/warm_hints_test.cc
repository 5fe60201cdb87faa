// What is read at the primary is warm in the other copy too: eviction there keeps it, and the disk
// gets it. With the hints switched off it does not: nobody reads the other copy.
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "server/warm/warm_tier.h"
#include "tests/server/replication/world.h"

namespace atoll::replication::sim {
namespace {

constexpr int kPartitions = 64;
constexpr size_t kValueBytes = 4096;
constexpr size_t kHot = 1000;     // 4 MiB of 64
constexpr size_t kCold = 30'000;  // 120 MiB: memory is full twice over

// Keys of partitions below kPartitions, so that a few of them hold all.
class Keys {
 public:
  std::string Next() {
    while (true) {
      std::string key = absl::StrCat("key-", next_++);
      if (base::PartitionOfHash(base::HashKey("default", key)).value() < kPartitions) return key;
    }
  }

 private:
  int next_ = 0;
};

// Whom the warm tier is told of.
class Sink final : public store::WarmSink {
 public:
  void OfferWarm(const store::ScannedEntry& entry) override { offered.emplace(entry.key); }
  std::set<std::string, std::less<>> offered;
};

class WarmHints : public ::testing::TestWithParam<bool> {
 protected:
  WarmHints() : world_(Options()) { world_.RunFor(absl::Seconds(1)); }

  static WorldOptions Options() {
    WorldOptions options{.nodes = 2, .rules = {.warm_hints = GetParam()}, .drop = 0};
    for (uint16_t p = 0; p < kPartitions; ++p) options.partitions.emplace_back(p);
    return options;
  }

  store::Key KeyOf(std::string_view key) {
    return {world_.ns()->id, key, base::HashKey("default", key)};
  }
  void Do(OpKind kind, std::string_view key, std::string_view value = "") {
    Operation operation;
    operation.kind = kind;
    operation.ns = world_.ns();
    operation.key = KeyOf(key);
    operation.value = {&value, 1};
    operation.deadline = world_.now() + absl::Seconds(5);
    world_.replicator(world_.PrimaryOf(operation.key.partition()))
        .Execute(operation,
                 [](OperationResult result) { EXPECT_TRUE(result.status.ok()) << result.status; });
  }
  // Writes all, a few at a time, so that they are committed and may be evicted.
  void Write(size_t count, std::vector<std::string>* keys) {
    const std::string value(kValueBytes, 'v');
    for (size_t i = 0; i < count; ++i) {
      keys->push_back(keys_.Next());
      Do(OpKind::kSet, keys->back(), value);
      if (i % 50 == 0) world_.RunFor(absl::Milliseconds(5));
    }
    world_.RunFor(absl::Seconds(1));
  }
  // The copy that nobody reads.
  int ReplicaOf(std::string_view key) { return 1 - world_.PrimaryOf(KeyOf(key).partition()); }
  static bool Holds(store::Store& store, const store::Key& key) {
    store::ReadBuffer buffer;
    return store.Find(key, {.touch = false, .metadata_only = true}, buffer).presence ==
           store::Presence::kPresent;
  }
  size_t HeldByReplicas(const std::vector<std::string>& keys) {
    size_t held = 0;
    for (const std::string& key : keys) held += Holds(world_.store(ReplicaOf(key)), KeyOf(key));
    return held;
  }

  Keys keys_;
  World world_;
};
INSTANTIATE_TEST_SUITE_P(Hints, WarmHints, ::testing::Bool(),
                         [](const auto& each) { return each.param ? "Sent" : "Off"; });

// Makes the disk equal to what the store holds, and brings all of it into another store, as a
// restarted process would.
void StopAndRevive(World& world, int slot, store::Store* revived) {
  const std::string path =
      absl::StrCat(testing::TempDir(), "/hints-", testing::UnitTest::GetInstance()->random_seed());
  std::filesystem::remove_all(path);
  const auto persists = [](base::NamespaceId) { return true; };
  {
    auto folder = *warm::DataFolder::Open(path);
    ASSERT_TRUE(folder->Begin("sim", base::Incarnation(1)).ok());
    auto tier = *warm::WarmTier::Open({.persists = persists, .clock = &world.clock()}, folder.get(),
                                      &world.store(slot));
    std::vector<warm::DiskCopy> copies;
    for (const CopyState& copy : world.replicator(slot).Copies()) {
      copies.push_back(
          {copy.partition, copy.epoch, copy.history, copy.reset_epoch, copy.last_sequence});
    }
    ASSERT_EQ(copies.size(), size_t{kPartitions});
    tier->StopThreads();
    ASSERT_TRUE(tier->CleanStop(copies, absl::Minutes(10)).ok());
  }
  auto folder = *warm::DataFolder::Open(path);
  ASSERT_TRUE(folder->Begin("sim", base::Incarnation(2)).ok());
  auto tier =
      *warm::WarmTier::Open({.persists = persists, .clock = &world.clock()}, folder.get(), revived);
  std::atomic<int> loaded{0};
  for (int p = 0; p < kPartitions; ++p) {
    const base::PartitionId partition(static_cast<uint16_t>(p));
    revived->OpenPartition(partition);
    tier->Load(partition, 0, [&loaded](absl::StatusOr<warm::DiskCopy> copy) {
      EXPECT_TRUE(copy.ok()) << copy.status();
      ++loaded;
    });
  }
  while (loaded < kPartitions) std::this_thread::yield();
  tier.reset();
  std::filesystem::remove_all(path);
}

TEST_P(WarmHints, WhatIsReadAtThePrimaryStaysInTheReplicaAndComesUpWithIt) {
  std::vector<std::string> hot;
  Write(kHot, &hot);
  for (const std::string& key : hot) Do(OpKind::kGet, key);
  world_.RunFor(absl::Seconds(1));
  std::vector<std::string> cold;
  Write(kCold, &cold);

  const size_t held = HeldByReplicas(hot);
  const size_t others = HeldByReplicas(cold);
  ASSERT_LT(others, kCold / 2) << "nothing was evicted";
  auto revived =
      *store::Store::Create({.memory_bytes = store::kMinMemoryBytes, .clock = &world_.clock()});
  ASSERT_NO_FATAL_FAILURE(StopAndRevive(world_, 0, revived.get()));
  size_t of_slot = 0;
  size_t came_up = 0;
  for (const std::string& key : hot) {
    if (ReplicaOf(key) != 0) continue;
    ++of_slot;
    came_up += Holds(*revived, KeyOf(key));
  }
  const ReplicationStats stats = world_.replicator(0).Stats();
  if (GetParam()) {
    EXPECT_GE(held, kHot * 99 / 100);
    EXPECT_GE(came_up, of_slot * 99 / 100);
    EXPECT_GT(stats.warm_hints_sent, 0u);
    EXPECT_GT(stats.warm_hints_applied, 0u);
  } else {
    EXPECT_LE(held, kHot / 100);
    EXPECT_LE(came_up, of_slot / 100);
    EXPECT_EQ(stats.warm_hints_sent, 0u);
    EXPECT_EQ(stats.warm_hints_applied, 0u);
  }
}

TEST_P(WarmHints, TheReplicasWarmTierIsToldOfWhatIsReadAtThePrimary) {
  Sink sink;
  world_.store(1).SetWarmSink(&sink);
  std::vector<std::string> hot;
  Write(kHot, &hot);
  for (const std::string& key : hot) Do(OpKind::kGet, key);
  world_.RunFor(absl::Seconds(1));
  // Segments are looked at when they have been closed for a minute. Nothing else is to happen
  // meanwhile: minutes of ticks take long.
  std::vector<std::string> cold;
  Write(1000, &cold);
  for (int slot = 0; slot < 2; ++slot) world_.Pause(slot, absl::Minutes(5));
  for (int minute = 0; minute < 3; ++minute) {
    while (world_.store(1).Maintain()) {
    }
    world_.RunFor(absl::Seconds(61));
  }
  while (world_.store(1).Maintain()) {
  }
  size_t of_replica = 0;
  size_t told = 0;
  for (const std::string& key : hot) {
    if (ReplicaOf(key) != 1) continue;
    ++of_replica;
    told += sink.offered.contains(key);
  }
  world_.store(1).SetWarmSink(nullptr);
  if (GetParam()) {
    EXPECT_GE(told, of_replica * 8 / 10) << "but for what lies in open segments";
  } else {
    EXPECT_EQ(told, 0u);
  }
}

TEST_P(WarmHints, WhatDoesNotFitIsDroppedAndCounted) {
  std::vector<std::string> keys;
  Write(100 * kPartitions, &keys);
  // All between two ticks: more than each partition may note.
  for (const std::string& key : keys) Do(OpKind::kGet, key);
  world_.RunFor(absl::Seconds(1));
  uint64_t sent = 0;
  uint64_t applied = 0;
  uint64_t dropped = 0;
  for (int slot = 0; slot < 2; ++slot) {
    const ReplicationStats stats = world_.replicator(slot).Stats();
    sent += stats.warm_hints_sent;
    applied += stats.warm_hints_applied;
    dropped += world_.store(slot).Stats().warmed_dropped;
  }
  EXPECT_EQ(applied, sent);
  if (GetParam()) {
    EXPECT_LE(sent, store::Store::kMaxWarmed * kPartitions);
    EXPECT_GT(dropped, 0u);
    EXPECT_EQ(sent + dropped, keys.size());
  } else {
    EXPECT_EQ(sent + dropped, 0u);
  }
}

}  // namespace
}  // namespace atoll::replication::sim
