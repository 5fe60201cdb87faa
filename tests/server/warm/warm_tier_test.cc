#include "server/warm/warm_tier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <filesystem>
#include <map>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/mutex.h"

namespace atoll::warm {
namespace {

using base::Epoch;
using base::Incarnation;
using base::NamespaceId;
using base::PartitionId;
using base::Version;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr NamespaceId kNs(1);
constexpr NamespaceId kOff(2);  // does not persist

struct Entry {
  std::string value;
  store::EntryMeta meta;
  friend bool operator==(const Entry& a, const Entry& b) {
    return a.value == b.value && a.meta.version == b.meta.version &&
           a.meta.expiry == b.meta.expiry && a.meta.flags == b.meta.flags &&
           a.meta.max_idle == b.meta.max_idle;
  }
};

// A node's life: folder, store and tier, made anew by Start as a new process would.
class WarmTierTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "/warm-" +
            testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(path_);
  }
  void TearDown() override {
    Kill();
    std::filesystem::remove_all(path_);
  }

  void Start() {
    auto folder = DataFolder::Open(path_);
    ASSERT_TRUE(folder.ok()) << folder.status();
    folder_ = *std::move(folder);
    ASSERT_TRUE(folder_->Begin("cluster", Incarnation(++incarnation_)).ok());
    auto store = store::Store::Create({.memory_bytes = 64 << 20, .clock = &clock_});
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    WarmOptions options = options_;
    options.persists = [](NamespaceId ns) { return ns == kNs; };
    options.clock = &clock_;
    auto tier = WarmTier::Open(options, folder_.get(), store_.get());
    ASSERT_TRUE(tier.ok()) << tier.status();
    tier_ = *std::move(tier);
  }
  // What kill -9 leaves: no clean stop.
  void Kill() {
    tier_.reset();
    store_.reset();
    folder_.reset();
  }
  absl::Status Stop(absl::Duration timeout = absl::Seconds(60)) {
    std::vector<DiskCopy> copies;
    for (const auto& [partition, sequence] : sequences_) {
      copies.push_back({PartitionId(partition), Epoch(1), 77u + partition, 0, sequence});
    }
    const absl::Status status = tier_->CleanStop(copies, timeout);
    Kill();
    return status;
  }
  // Revives every copy, as replication would.
  void Revive() {
    for (const DiskCopy& copy : tier_->Unclaimed()) {
      store_->OpenPartition(copy.partition);
      const auto loaded = Load(copy.partition);
      ASSERT_TRUE(loaded.ok()) << loaded.status();
      EXPECT_EQ(*loaded, copy);
      EXPECT_EQ(loaded->last_sequence, sequences_[copy.partition.value()]);
    }
  }
  absl::StatusOr<DiskCopy> Load(PartitionId partition, uint32_t reset_epoch = 0) {
    // Not absl::Notification: ThreadSanitizer does not see what it orders.
    struct {
      base::Mutex mu;
      base::CondVar changed;
      bool done ABSL_GUARDED_BY(mu) = false;
      absl::StatusOr<DiskCopy> copy ABSL_GUARDED_BY(mu);
    } result;
    tier_->Load(partition, reset_epoch, [&result](absl::StatusOr<DiskCopy> copy) {
      base::MutexLock lock(result.mu);
      result.copy = std::move(copy);
      result.done = true;
      result.changed.Signal();
    });
    base::MutexLock lock(result.mu);
    while (!result.done) {
      result.changed.Wait(result.mu);
    }
    return result.copy;
  }

  static store::Key KeyOf(const std::string& key, NamespaceId ns = kNs) {
    return {ns, key, base::HashKey(ns == kNs ? "default" : "off", key)};
  }
  Version Next(const store::Key& key) {
    store_->OpenPartition(key.partition());
    const Version version(Epoch(1), ++sequences_[key.partition().value()]);
    store_->SetCommitted(key.partition(), version);
    return version;
  }
  void Put(const std::string& text, const std::string& value, base::CacheSeconds expiry = 0,
           NamespaceId ns = kNs) {
    const store::Key key = KeyOf(text, ns);
    const std::string_view piece = value;
    const store::EntryMeta meta{Next(key), expiry, 0, 7};
    ASSERT_EQ(store_->Put(key, meta, {&piece, 1}), store::WriteResult::kApplied);
  }
  void Erase(const std::string& text) {
    const store::Key key = KeyOf(text);
    store_->Erase(key, Next(key));
  }
  // As the store's housekeeping would.
  void Offer(const std::string& text) {
    const store::Key key = KeyOf(text);
    store::ReadBuffer buffer;
    const store::Found found = store_->Find(key, {.touch = false}, buffer);
    ASSERT_EQ(found.presence, store::Presence::kPresent);
    tier_->OfferWarm({key.ns, text, key.hash, found.meta, found.value_size, found.value});
  }
  void WaitUntilWritten(uint64_t entries) {
    const absl::Time until = absl::Now() + absl::Seconds(20);
    while (tier_->Stats().written + tier_->Stats().given_up < entries && absl::Now() < until) {
      std::this_thread::yield();
    }
  }
  std::map<std::string, Entry> Content() {
    std::map<std::string, Entry> content;
    for (const auto& [partition, sequence] : sequences_) {
      uint64_t cursor = 0;
      while (true) {
        const store::ScanChunk page = store_->Scan(PartitionId(partition), cursor, {});
        for (const store::ScannedEntry& entry : page.entries) {
          content[absl::StrCat(entry.ns.value(), "/", std::string(entry.key))] = {
              entry.value.Flatten(), entry.meta};
        }
        if (page.done) {
          break;
        }
        cursor = page.next;
      }
    }
    return content;
  }

  base::FakeClock clock_;
  WarmOptions options_;
  std::string path_;
  uint64_t incarnation_ = 0;
  std::map<uint16_t, uint64_t> sequences_;
  std::unique_ptr<DataFolder> folder_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<WarmTier> tier_;
};

TEST_F(WarmTierTest, ACleanStopBringsBackExactlyWhatMemoryHeld) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  std::mt19937 random(seed);
  Start();
  EXPECT_TRUE(tier_->Unclaimed().empty());
  for (int i = 0; i < 3000; ++i) {
    const std::string key = absl::StrCat("k", random() % 500);
    switch (random() % 8) {
      case 0:
        Erase(key);
        break;
      case 1:
        Put(key, std::string(random() % 20'000, 'x'));
        break;
      default:
        Put(key, absl::StrCat("v", i));
        if (random() % 2 == 0) {
          Offer(key);  // some versions go to disk on the way
        }
    }
  }
  Put("empty", "");
  Put("huge", std::string(3 << 20, 'h'));
  const auto before = Content();
  ASSERT_TRUE(Stop().ok());
  Start();
  EXPECT_FALSE(tier_->Unclaimed().empty());
  EXPECT_THAT(Content(), IsEmpty());
  Revive();
  EXPECT_EQ(Content(), before);
}

TEST_F(WarmTierTest, SurvivesManyGenerationsOfCleanStops) {
  Start();
  for (int generation = 0; generation < 4; ++generation) {
    for (int i = 0; i < 100; ++i) {
      Put(absl::StrCat("k", i), absl::StrCat(generation));
    }
    Erase(absl::StrCat("k", generation));
    const auto before = Content();
    ASSERT_TRUE(Stop().ok());
    Start();
    Revive();
    ASSERT_EQ(Content(), before);
  }
}

TEST_F(WarmTierTest, ACrashLeavesNothingToRevive) {
  Start();
  Put("a", "1");
  Offer("a");
  WaitUntilWritten(1);
  ASSERT_EQ(tier_->Stats().written, 1u);
  Kill();
  Start();
  EXPECT_FALSE(folder_->usable());
  EXPECT_TRUE(tier_->Unclaimed().empty());
  EXPECT_TRUE(absl::IsNotFound(Load(KeyOf("a").partition()).status()));
  EXPECT_THAT(Content(), IsEmpty());
}

TEST_F(WarmTierTest, ACrashAfterACleanStopLeavesNothingEither) {
  Start();
  Put("a", "1");
  ASSERT_TRUE(Stop().ok());
  Start();
  Revive();
  Erase("a");
  Kill();
  Start();
  EXPECT_TRUE(tier_->Unclaimed().empty());
}

TEST_F(WarmTierTest, WhatWasWrittenBehindAndThenChangedDoesNotComeBack) {
  Start();
  Put("deleted", "old");
  Put("overwritten", "old");
  Put("expired", "old", base::ToCacheSeconds(clock_.Now()) + 10);
  Put("kept", "kept");
  for (const char* key : {"deleted", "overwritten", "expired", "kept"}) {
    Offer(key);
  }
  WaitUntilWritten(4);
  ASSERT_EQ(tier_->Stats().written, 4u);
  Erase("deleted");
  Put("overwritten", "new");
  clock_.Advance(absl::Seconds(11));
  ASSERT_TRUE(Stop().ok());
  Start();
  Revive();
  const auto content = Content();
  EXPECT_EQ(content.size(), 2u);
  EXPECT_EQ(content.at("1/kept").value, "kept");
  EXPECT_EQ(content.at("1/overwritten").value, "new");
}

TEST_F(WarmTierTest, WhatIsOldIsGoneEvenWhenThereIsNoTime) {
  Start();
  Put("deleted", "old");
  Put("overwritten", "old");
  Offer("deleted");
  Offer("overwritten");
  WaitUntilWritten(2);
  Erase("deleted");
  Put("overwritten", "new");
  ASSERT_TRUE(Stop(absl::ZeroDuration()).ok());
  Start();
  Revive();
  EXPECT_THAT(Content(), IsEmpty());
}

TEST_F(WarmTierTest, WhatIsOldIsGoneEvenWhenThereIsNoRoomForTheNew) {
  options_.disk_bytes = 3 << 20;
  Start();
  Put("overwritten", "old");
  Put("filler", std::string(4 << 20, 'x'));
  Offer("overwritten");
  Offer("filler");
  WaitUntilWritten(2);
  ASSERT_EQ(tier_->Stats().written, 2u);
  Put("overwritten", "new");
  ASSERT_TRUE(Stop().ok());
  Start();
  Revive();
  EXPECT_EQ(Content().count("1/overwritten"), 0u);
  EXPECT_EQ(Content().count("1/filler"), 1u);
}

TEST_F(WarmTierTest, AnEntryThatExpiredWhileTheNodeWasDownIsNotLoaded) {
  Start();
  Put("short", "v", base::ToCacheSeconds(clock_.Now()) + 10);
  Put("long", "v", base::ToCacheSeconds(clock_.Now()) + 1000);
  ASSERT_TRUE(Stop().ok());
  clock_.Advance(absl::Seconds(10));
  Start();
  Revive();
  // The store would hide it too: go by what was put there.
  EXPECT_EQ(tier_->Stats().loaded, 1u);
}

TEST_F(WarmTierTest, ANamespaceThatDoesNotPersistIsNotWritten) {
  Start();
  Put("a", "1");
  Put("b", "2", 0, kOff);
  const store::Key key = KeyOf("b", kOff);
  tier_->OfferWarm({key.ns, "b", key.hash, {}, 1, store::Value(std::string_view("2"))});
  ASSERT_TRUE(Stop().ok());
  Start();
  Revive();
  EXPECT_EQ(Content().size(), 1u);
  EXPECT_EQ(Content().count("1/a"), 1u);
}

TEST_F(WarmTierTest, ADroppedCopyIsNotRevivedNowOrLater) {
  Start();
  Put("a", "1");
  Put("b", "2");
  ASSERT_NE(KeyOf("a").partition(), KeyOf("b").partition());
  ASSERT_TRUE(Stop().ok());
  Start();
  tier_->Drop(KeyOf("a").partition());
  EXPECT_TRUE(absl::IsNotFound(Load(KeyOf("a").partition()).status()));
  EXPECT_EQ(tier_->Unclaimed().size(), 1u);
  // The partition has left this node: it is in no list at the next stop.
  Revive();
  sequences_.erase(KeyOf("a").partition().value());
  ASSERT_TRUE(Stop().ok());
  Start();
  EXPECT_EQ(tier_->Unclaimed().size(), 1u);
}

TEST_F(WarmTierTest, ACopyOfAnotherResetEpochIsDropped) {
  Start();
  Put("a", "1");
  ASSERT_TRUE(Stop().ok());
  Start();
  store_->OpenPartition(KeyOf("a").partition());
  EXPECT_TRUE(absl::IsNotFound(Load(KeyOf("a").partition(), 1).status()));
  EXPECT_TRUE(absl::IsNotFound(Load(KeyOf("a").partition(), 0).status()));
  EXPECT_THAT(Content(), IsEmpty());
}

TEST_F(WarmTierTest, AStopBeforeAnythingWasUsedKeepsTheCopiesOfTheProcessBefore) {
  Start();
  Put("a", "1");
  ASSERT_TRUE(Stop().ok());
  const auto sequences = std::exchange(sequences_, {});
  Start();
  ASSERT_TRUE(Stop().ok());
  sequences_ = sequences;
  Start();
  // Its seats are those of the first process.
  ASSERT_EQ(tier_->Unclaimed().size(), 1u);
  EXPECT_EQ(tier_->Unclaimed()[0].left_by, Incarnation(1));
  Revive();
  EXPECT_EQ(Content().size(), 1u);
}

TEST_F(WarmTierTest, AStopHalfWayKeepsTheCopiesThatNobodyAskedForYet) {
  Start();
  Put("a", "1");
  Put("b", "2");
  const PartitionId asked = KeyOf("a").partition();
  const PartitionId unasked = KeyOf("b").partition();
  ASSERT_NE(asked, unasked);
  ASSERT_TRUE(Stop().ok());
  Start();
  store_->OpenPartition(asked);
  ASSERT_TRUE(Load(asked).ok());
  Put("a", "3");
  const uint64_t sequence = sequences_.extract(unasked.value()).mapped();
  ASSERT_TRUE(Stop().ok());
  Start();
  sequences_[unasked.value()] = sequence;
  std::map<uint16_t, uint64_t> left_by;
  for (const DiskCopy& copy : tier_->Unclaimed()) {
    left_by[copy.partition.value()] = copy.left_by.value();
  }
  EXPECT_EQ(left_by, (std::map<uint16_t, uint64_t>{{asked.value(), 2}, {unasked.value(), 1}}));
  Revive();
  const auto content = Content();
  ASSERT_EQ(content.size(), 2u);
  EXPECT_EQ(content.at("1/a").value, "3");
  EXPECT_EQ(content.at("1/b").value, "2");
}

TEST_F(WarmTierTest, ACopyThatIsDroppedWhileItWaitsToBeLoadedIsNotKept) {
  Start();
  Put("a", "1");
  ASSERT_TRUE(Stop().ok());
  Start();
  // What waits when the tier stops stays on disk, unless the partition has left this node.
  tier_->StopThreads();
  const PartitionId partition = KeyOf("a").partition();
  EXPECT_FALSE(Load(partition).ok());
  tier_->Drop(partition);
  sequences_.clear();
  ASSERT_TRUE(Stop().ok());
  Start();
  EXPECT_THAT(tier_->Unclaimed(), IsEmpty());
}

TEST_F(WarmTierTest, OffersBeyondTheQueueAreGivenUp) {
  options_.max_queued_bytes = 100;
  Start();
  Put("a", std::string(200, 'x'));
  Offer("a");
  EXPECT_EQ(tier_->Stats().given_up, 1u);
  ASSERT_TRUE(Stop().ok());
  Start();
  Revive();
  EXPECT_EQ(Content().size(), 1u);
}

TEST_F(WarmTierTest, ADiskBudgetThatIsUsedUpStopsPersistenceAndNothingElse) {
  options_.disk_bytes = 0;
  Start();
  Put("a", "1");
  Offer("a");
  WaitUntilWritten(1);
  EXPECT_EQ(tier_->Stats().written, 0u);
  EXPECT_EQ(tier_->Stats().given_up, 1u);
  Put("b", "2");
  EXPECT_EQ(Content().size(), 2u);
  ASSERT_TRUE(Stop().ok());
  Start();
  Revive();
  EXPECT_THAT(Content(), IsEmpty());
}

// A disk that takes no more, by way of the process's limit of the size of a file.
TEST_F(WarmTierTest, ADiskThatRefusesWritesLeavesTheCacheRunningAndTheFolderUnclean) {
  Start();
  Put("a", "1");
  signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit tiny = before;
  tiny.rlim_cur = 64;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tiny), 0);
  for (int i = 0; i < 100; ++i) {
    Put(absl::StrCat("k", i), std::string(100'000, 'x'));
    Offer(absl::StrCat("k", i));
  }
  EXPECT_EQ(Content().size(), 101u);
  const absl::Status status = Stop();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_FALSE(status.ok());
  Start();
  EXPECT_TRUE(tier_->Unclaimed().empty());
}

TEST_F(WarmTierTest, DamagedFilesAreRemovedAndNotBelieved) {
  Start();
  for (int i = 0; i < 100; ++i) {
    Put(absl::StrCat("k", i), std::string(1000, static_cast<char>('a' + i % 26)));
  }
  const auto before = Content();
  ASSERT_TRUE(Stop().ok());
  // A byte in the middle of each table is turned.
  int damaged = 0;
  for (const auto& file : std::filesystem::directory_iterator(path_ + "/warm")) {
    if (file.path().extension() == ".sst") {
      FILE* f = fopen(file.path().c_str(), "r+b");
      ASSERT_NE(f, nullptr);
      fseek(f, 200, SEEK_SET);
      const int byte = fgetc(f);
      fseek(f, 200, SEEK_SET);
      fputc(byte ^ 0xff, f);
      fclose(f);
      ++damaged;
    }
  }
  ASSERT_GT(damaged, 0);
  Start();
  for (const DiskCopy& copy : tier_->Unclaimed()) {
    store_->OpenPartition(copy.partition);
    Load(copy.partition).IgnoreError();
  }
  const auto after = Content();
  EXPECT_LT(after.size(), before.size());
  for (const auto& [key, entry] : after) {
    EXPECT_EQ(entry, before.at(key));
  }
}

TEST_F(WarmTierTest, WritesBehindWhileChangesAndDropsGoOn) {
  Start();
  std::atomic<bool> stop{false};
  std::thread dropper([&] {
    while (!stop) {
      tier_->Drop(KeyOf("k1").partition());
    }
  });
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < 10; ++i) {
      Put(absl::StrCat("k", i), absl::StrCat(round));
      Offer(absl::StrCat("k", i));
    }
    Erase("k2");
  }
  stop = true;
  dropper.join();
  const auto before = Content();
  ASSERT_TRUE(Stop().ok());
  Start();
  Revive();
  EXPECT_EQ(Content(), before);
}

}  // namespace
}  // namespace atoll::warm
