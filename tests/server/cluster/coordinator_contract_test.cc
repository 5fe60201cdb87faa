// What server/cluster/coordinator.h promises, held against both implementations.

#include <unistd.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/cluster/coordinator.h"
#include "server/cluster/etcd_coordinator.h"
#include "server/cluster/memory_coordinator.h"
#include "tests/support/etcd_process.h"

namespace atoll::cluster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr absl::Duration kPatience = absl::Seconds(20);

// The updates of a watch, as they come.
class Recorder {
 public:
  Coordinator::WatchCallback callback() {
    return [this](const WatchUpdate& update) {
      base::MutexLock lock(mu_);
      updates_.push_back(update);
      changed_.SignalAll();
    };
  }
  // `snapshot{a=1 b=2}`, `put a=1`, `delete a`, joined by blanks; waits until there are so many.
  std::vector<std::string> Wait(size_t count) {
    base::MutexLock lock(mu_);
    const absl::Time deadline = absl::Now() + kPatience;
    while (updates_.size() < count && absl::Now() < deadline) {
      changed_.WaitFor(mu_, absl::Milliseconds(50));
    }
    std::vector<std::string> told;
    for (const WatchUpdate& update : updates_) {
      std::string text = update.snapshot ? "snapshot:" : "";
      for (const WatchEvent& event : update.events) {
        if (!text.empty()) text += " ";
        const std::string name = event.kv.key.substr(event.kv.key.rfind('/') + 1);
        text += event.kind == WatchEvent::Kind::kPut ? absl::StrCat(name, "=", event.kv.value)
                                                     : absl::StrCat("-", name);
      }
      told.push_back(text);
    }
    return told;
  }

 private:
  base::Mutex mu_;
  base::CondVar changed_;
  std::vector<WatchUpdate> updates_ ABSL_GUARDED_BY(mu_);
};

enum class Engine { kMemory, kEtcd };

class CoordinatorContract : public ::testing::TestWithParam<Engine> {
 protected:
  static std::string Folder() {
    return absl::StrCat(::testing::TempDir(), "/atoll-contract-", getpid());
  }
  static void TearDownTestSuite() {
    etcd_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(Folder(), ignored);
  }

  void SetUp() override {
    // One etcd for all tests; each has its own prefix.
    prefix_ = absl::StrCat("/test/", ::testing::UnitTest::GetInstance()->random_seed(), "/",
                           ::testing::UnitTest::GetInstance()->current_test_info()->name(), "/");
    if (GetParam() == Engine::kMemory) {
      coordinator_ = std::make_unique<MemoryCoordinator>();
      return;
    }
    if (etcd_ == nullptr) {
      auto started = test::EtcdProcess::Start(Folder());
      if (absl::IsNotFound(started.status())) {
        GTEST_SKIP() << "NO ETCD: set ATOLL_ETCD_BINARY or put etcd on PATH; nothing was tested";
      }
      ASSERT_TRUE(started.ok()) << started.status();
      etcd_ = *std::move(started);
    }
    auto made = MakeEtcdCoordinator({.endpoints = {etcd_->endpoint()}});
    ASSERT_TRUE(made.ok()) << made.status();
    coordinator_ = *std::move(made);
  }

  std::string Key(std::string_view name) { return prefix_ + std::string(name); }
  int64_t Put(std::string_view name, std::string_view value, LeaseId lease = 0) {
    auto result = coordinator_->Txn({}, {Mutation::Put(Key(name), std::string(value), lease)});
    EXPECT_TRUE(result.ok()) << result.status();
    EXPECT_TRUE(result->succeeded);
    return result->revision;
  }
  int64_t Delete(std::string_view name) {
    auto result = coordinator_->Txn({}, {Mutation::Delete(Key(name))});
    EXPECT_TRUE(result.ok()) << result.status();
    return result->revision;
  }
  std::optional<KeyValue> Get(std::string_view name) {
    auto lookup = coordinator_->Get(Key(name));
    EXPECT_TRUE(lookup.ok()) << lookup.status();
    return lookup.ok() ? lookup->kv : std::nullopt;
  }
  bool WaitUntil(const std::function<bool()>& condition) {
    const absl::Time deadline = absl::Now() + kPatience;
    base::Mutex mu;
    base::CondVar never;
    base::MutexLock lock(mu);
    while (!condition()) {
      if (absl::Now() > deadline) return false;
      never.WaitFor(mu, absl::Milliseconds(20));
    }
    return true;
  }

  static inline std::unique_ptr<test::EtcdProcess> etcd_;
  std::string prefix_;
  std::unique_ptr<Coordinator> coordinator_;
};

TEST_P(CoordinatorContract, AKeyReadsAsItWasPut) {
  EXPECT_EQ(Get("a"), std::nullopt);
  const std::string binary("\0\xff x", 4);
  const int64_t revision = Put("a", binary);
  const auto kv = Get("a");
  ASSERT_TRUE(kv.has_value());
  EXPECT_EQ(kv->key, Key("a"));
  EXPECT_EQ(kv->value, binary);
  EXPECT_EQ(kv->create_revision, revision);
  EXPECT_EQ(kv->mod_revision, revision);
}

TEST_P(CoordinatorContract, AnOverwriteKeepsTheCreateRevisionAndADeletionDoesNot) {
  const int64_t first = Put("a", "1");
  const int64_t second = Put("a", "2");
  EXPECT_GT(second, first);
  auto kv = Get("a");
  ASSERT_TRUE(kv.has_value());
  EXPECT_EQ(kv->create_revision, first);
  EXPECT_EQ(kv->mod_revision, second);
  Delete("a");
  EXPECT_EQ(Get("a"), std::nullopt);
  const int64_t third = Put("a", "3");
  kv = Get("a");
  ASSERT_TRUE(kv.has_value());
  EXPECT_EQ(kv->create_revision, third);
}

TEST_P(CoordinatorContract, AListingHasThePrefixAndNothingElseInOrder) {
  Put("n/b", "2");
  Put("n/a", "1");
  Put("o", "3");
  Put("m", "0");
  auto listing = coordinator_->List(Key("n/"));
  ASSERT_TRUE(listing.ok()) << listing.status();
  std::vector<std::string> keys;
  for (const KeyValue& kv : listing->kvs) keys.push_back(kv.key);
  EXPECT_THAT(keys, ElementsAre(Key("n/a"), Key("n/b")));
  EXPECT_GT(listing->revision, 0);
}

TEST_P(CoordinatorContract, ATxnHappensWholeOrNotAtAll) {
  Put("a", "1");
  const auto a = Get("a");
  ASSERT_TRUE(a.has_value());
  struct Case {
    const char* name;
    std::vector<Condition> conditions;
    bool succeeds;
  };
  const std::vector<Case> cases = {
      {"a key that is absent", {Condition::Absent(Key("none"))}, true},
      {"a key that is not absent", {Condition::Absent(Key("a"))}, false},
      {"unchanged", {Condition::Unchanged(*a)}, true},
      {"another revision", {{Key("a"), Condition::On::kModRevision, a->mod_revision - 1}}, false},
      {"create revision", {{Key("a"), Condition::On::kCreateRevision, a->create_revision}}, true},
      {"one of two", {Condition::Unchanged(*a), Condition::Absent(Key("a"))}, false},
      {"mod revision 0 is absence", {{Key("none"), Condition::On::kModRevision, 0}}, true},
      {"a revision of what is absent", {{Key("none"), Condition::On::kModRevision, 7}}, false},
  };
  for (const Case& test : cases) {
    SCOPED_TRACE(test.name);
    Delete("b");
    Delete("c");
    auto result = coordinator_->Txn(test.conditions,
                                    {Mutation::Put(Key("b"), "x"), Mutation::Put(Key("c"), "y")});
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->succeeded, test.succeeds);
    EXPECT_EQ(Get("b").has_value(), test.succeeds);
    EXPECT_EQ(Get("c").has_value(), test.succeeds);
    if (test.succeeds) {
      EXPECT_EQ(Get("c")->mod_revision, result->revision);
      EXPECT_EQ(Get("b")->mod_revision, result->revision);
    }
  }
}

TEST_P(CoordinatorContract, OfManyWhoTakeAKeyOneGetsIt) {
  int winners = 0;
  for (int i = 0; i < 5; ++i) {
    auto result = coordinator_->Txn({Condition::Absent(Key("office"))},
                                    {Mutation::Put(Key("office"), absl::StrCat(i))});
    ASSERT_TRUE(result.ok()) << result.status();
    winners += result->succeeded ? 1 : 0;
  }
  EXPECT_EQ(winners, 1);
  EXPECT_EQ(Get("office")->value, "0");
}

TEST_P(CoordinatorContract, KeysGoWithTheirLease) {
  auto lease = coordinator_->GrantLease(absl::Seconds(2));
  ASSERT_TRUE(lease.ok()) << lease.status();
  Put("leased", "1", *lease);
  Put("free", "1");
  EXPECT_EQ(Get("leased")->lease, *lease);
  EXPECT_TRUE(coordinator_->RevokeLease(*lease).ok());
  EXPECT_FALSE(Get("leased").has_value());
  EXPECT_TRUE(Get("free").has_value());
  EXPECT_EQ(coordinator_->KeepAlive(*lease).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(coordinator_->RevokeLease(*lease).code(), absl::StatusCode::kNotFound);
  auto late = coordinator_->Txn({}, {Mutation::Put(Key("late"), "1", *lease)});
  EXPECT_EQ(late.status().code(), absl::StatusCode::kNotFound);
}

TEST_P(CoordinatorContract, AKeyPutOnAnotherLeaseOutlivesTheFirst) {
  auto first = coordinator_->GrantLease(absl::Seconds(60));
  auto second = coordinator_->GrantLease(absl::Seconds(60));
  ASSERT_TRUE(first.ok() && second.ok());
  Put("a", "1", *first);
  Put("a", "2", *second);
  EXPECT_TRUE(coordinator_->RevokeLease(*first).ok());
  EXPECT_TRUE(Get("a").has_value());
  EXPECT_TRUE(coordinator_->RevokeLease(*second).ok());
  EXPECT_FALSE(Get("a").has_value());
}

TEST_P(CoordinatorContract, ALeaseThatIsKeptLivesAndOneThatIsNotEnds) {
  auto kept = coordinator_->GrantLease(absl::Seconds(2));
  auto left = coordinator_->GrantLease(absl::Seconds(2));
  ASSERT_TRUE(kept.ok() && left.ok());
  Put("kept", "1", *kept);
  Put("left", "1", *left);
  EXPECT_TRUE(WaitUntil([&] {
    EXPECT_TRUE(coordinator_->KeepAlive(*kept).ok());
    return !Get("left").has_value();
  }));
  EXPECT_TRUE(Get("kept").has_value());
}

TEST_P(CoordinatorContract, AWatchBeginsWithASnapshotAndGoesOnInOrder) {
  Put("w/a", "1");
  Recorder recorder;
  auto watch = coordinator_->WatchPrefix(Key("w/"), 0, recorder.callback());
  EXPECT_THAT(recorder.Wait(1), ElementsAre("snapshot: a=1"));
  Put("w/a", "2");
  Put("x", "no");
  Put("w/b", "3");
  Delete("w/a");
  EXPECT_THAT(recorder.Wait(4), ElementsAre("snapshot: a=1", "a=2", "b=3", "-a"));
}

TEST_P(CoordinatorContract, AWatchFromARevisionTellsWhatHappenedSince) {
  Put("w/a", "1");
  const int64_t revision = Put("w/a", "2");
  Put("w/a", "3");
  Recorder recorder;
  auto watch = coordinator_->WatchPrefix(Key("w/"), revision, recorder.callback());
  EXPECT_THAT(recorder.Wait(2), ElementsAre("a=2", "a=3"));
}

TEST_P(CoordinatorContract, ATxnComesAsOneUpdate) {
  Recorder recorder;
  auto watch = coordinator_->WatchPrefix(Key("w/"), 0, recorder.callback());
  EXPECT_THAT(recorder.Wait(1), ElementsAre("snapshot:"));
  ASSERT_TRUE(
      coordinator_->Txn({}, {Mutation::Put(Key("w/a"), "1"), Mutation::Put(Key("w/b"), "2")}).ok());
  EXPECT_THAT(recorder.Wait(2), ElementsAre("snapshot:", "a=1 b=2"));
}

TEST_P(CoordinatorContract, AnEndedLeaseIsSeenByAWatch) {
  auto lease = coordinator_->GrantLease(absl::Seconds(2));
  ASSERT_TRUE(lease.ok());
  Put("w/a", "1", *lease);
  Recorder recorder;
  auto watch = coordinator_->WatchPrefix(Key("w/"), 0, recorder.callback());
  EXPECT_THAT(recorder.Wait(2), ElementsAre("snapshot: a=1", "-a"));
}

TEST_P(CoordinatorContract, AWatchFromBeforeACompactionBeginsWithASnapshot) {
  const int64_t old = Put("w/a", "1");
  Put("w/a", "2");
  const int64_t newest = Put("w/b", "3");
  ASSERT_TRUE(coordinator_->Compact(newest).ok());
  Recorder recorder;
  auto watch = coordinator_->WatchPrefix(Key("w/"), old, recorder.callback());
  EXPECT_THAT(recorder.Wait(1), ElementsAre("snapshot: a=2 b=3"));
  Put("w/c", "4");
  EXPECT_THAT(recorder.Wait(2), ElementsAre("snapshot: a=2 b=3", "c=4"));
}

TEST_P(CoordinatorContract, NoCallbackRunsOnceTheWatchHasEnded) {
  Recorder recorder;
  auto watch = coordinator_->WatchPrefix(Key("w/"), 0, recorder.callback());
  recorder.Wait(1);
  watch.reset();
  Put("w/a", "1");
  Recorder other;
  auto later = coordinator_->WatchPrefix(Key("w/"), 0, other.callback());
  EXPECT_THAT(other.Wait(1), ElementsAre("snapshot: a=1"));
  EXPECT_THAT(recorder.Wait(0), ElementsAre("snapshot:"));
}

INSTANTIATE_TEST_SUITE_P(Engines, CoordinatorContract,
                         ::testing::Values(Engine::kMemory, Engine::kEtcd), [](const auto& test) {
                           return test.param == Engine::kMemory ? "Memory" : "Etcd";
                         });

TEST(MemoryCoordinator, LeasesRunOnTheClockThatItIsGiven) {
  base::FakeClock clock;
  MemoryCoordinator coordinator(clock);
  auto lease = coordinator.GrantLease(absl::Seconds(3));
  ASSERT_TRUE(lease.ok());
  ASSERT_TRUE(coordinator.Txn({}, {Mutation::Put("a", "1", *lease)}).ok());
  clock.Advance(absl::Milliseconds(2999));
  EXPECT_TRUE(coordinator.Get("a")->kv.has_value());
  ASSERT_TRUE(coordinator.KeepAlive(*lease).ok());
  clock.Advance(absl::Milliseconds(2999));
  EXPECT_TRUE(coordinator.Get("a")->kv.has_value());
  clock.Advance(absl::Milliseconds(1));
  EXPECT_FALSE(coordinator.Get("a")->kv.has_value());
}

}  // namespace
}  // namespace atoll::cluster
