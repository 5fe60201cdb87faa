// The client against fake nodes: routing, failure, collapse, large values, many keys.
#include "client/include/atoll/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/mutex.h"
#include "base/status.h"
#include "tests/client/client_test_util.h"
#include "tests/support/fake_cache_node.h"
#include "tests/support/notification.h"

namespace atoll {
namespace {

using test::FakeAnswer;

TEST_F(ClientTest, CarriesOutEachKindOfOperation) {
  Client& client = Connect();
  auto set = client.Set("k", "one", {.ttl = absl::Minutes(5), .flags = 7});
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_TRUE(set->ok());
  auto got = client.Get("k");
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->value.view(), "one");
  EXPECT_EQ(got->flags, 7u);
  EXPECT_EQ(got->ttl, absl::Minutes(5));
  EXPECT_EQ(got->version, set->version);
  EXPECT_EQ(client.Get("absent")->outcome, Outcome::kMiss);
  EXPECT_EQ(client.Get("k", {.if_version_not = got->version})->outcome, Outcome::kUnchanged);
  const auto metadata = client.Get("k", {.metadata_only = true});
  EXPECT_EQ(metadata->size, 3u);
  EXPECT_TRUE(metadata->value.empty());

  EXPECT_EQ(client.Add("k", "x")->outcome, Outcome::kNotStored);
  EXPECT_EQ(client.Add("a", "x")->outcome, Outcome::kOk);
  EXPECT_EQ(client.Replace("absent", "x")->outcome, Outcome::kNotStored);
  EXPECT_EQ(client.CompareAndSwap("k", "two", 1'000)->outcome, Outcome::kMismatch);
  EXPECT_EQ(client.CompareAndSwap("k", "two", got->version)->outcome, Outcome::kOk);
  EXPECT_EQ(client.Append("k", ">")->outcome, Outcome::kOk);
  EXPECT_EQ(client.Prepend("k", "<")->outcome, Outcome::kOk);
  EXPECT_EQ(client.Get("k")->value.view(), "<two>");
  EXPECT_EQ(client.Touch("k", {.ttl = absl::Minutes(9)})->outcome, Outcome::kOk);
  EXPECT_EQ(client.GetAndTouch("k", {.ttl = absl::Minutes(8)})->ttl, absl::Minutes(8));
  EXPECT_EQ(client.Increment("n", 5)->outcome, Outcome::kMiss);
  EXPECT_EQ(client.Increment("n", 5, {.initial = 10})->number, 10);
  EXPECT_EQ(client.Increment("n", 5)->number, 15);
  EXPECT_EQ(client.Decrement("n", 20)->number, -5);
  EXPECT_EQ(ErrorReason(client.Increment("k", 1).status()), "NOT_A_NUMBER");
  EXPECT_EQ(client.Delete("k")->outcome, Outcome::kOk);
  EXPECT_EQ(client.Delete("k")->outcome, Outcome::kMiss);

  auto page = client.Scan({.prefix = "p"});
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->entries.at(0).key, "p1");
  EXPECT_EQ(page->cursor, "more");
  EXPECT_TRUE(client.Flush().ok());
}

TEST_F(ClientTest, RefusesWhatNoNodeWouldTake) {
  Client& client = Connect();
  EXPECT_EQ(client.Get(std::string(1300, 'k')).status().message(), "key: 1300 bytes, limit 1024");
  EXPECT_EQ(client.Set("", "v").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(client.Set("k", "v", {.ttl = -absl::Seconds(1)}).status().message(), "ttl: negative");
  EXPECT_EQ(client.Get("k", {.ns = "No"}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(client.CompareAndSwap("k", "v", 0).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Operations(), 0);
}

TEST_F(ClientTest, SendsEachKeyToItsOwner) {
  Client& client = Connect();
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(client.Set("key" + std::to_string(i), "v").ok());
  }
  EXPECT_EQ(client.stats().through_others, 0u);
  EXPECT_EQ(client.stats().wrong_owner, 0u);
  for (const auto& node : nodes_) EXPECT_GT(node->operations(), 50);
}

TEST_F(ClientTest, AWrongOwnerMendsTheMapAndTheOperationGoesOn) {
  Client& client = Connect({.max_attempts = 1});
  const std::string key = KeyOf(0);
  ASSERT_TRUE(client.Set(key, "v").ok());
  SetOwners({1, 2, 0}, 2, /*announce=*/false);
  for (int i = 0; i < 5; ++i) {
    const auto got = client.Get(key);
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_EQ(got->value.view(), "v");
  }
  EXPECT_EQ(client.stats().wrong_owner, 1u);  // Once is enough.
  EXPECT_EQ(client.stats().retries, 0u);
  EXPECT_EQ(client.stats().through_others, 0u);
}

TEST_F(ClientTest, FollowsTheMapByItsStream) {
  Client& client = Connect();
  SetOwners({1, 2, 0}, 2);
  while (client.stats().map_version != 2) std::this_thread::yield();
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(client.Get("key" + std::to_string(i)).ok());
  EXPECT_EQ(client.stats().wrong_owner, 0u);
}

TEST_F(ClientTest, WorksThroughOneNodeWhereItReachesNoOther) {
  ClientOptions options;
  options.route_to_owners = false;
  Client& client = Connect(options);
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(client.Set("key" + std::to_string(i), "v").ok());
  EXPECT_EQ(nodes_[0]->operations(), 30);
  EXPECT_EQ(Operations(), 30);
}

TEST_F(ClientTest, GoesThroughAnotherNodeWhenTheOwnerCannotBeReached) {
  Client& client = Connect({.endpoints = {nodes_[0]->address(), nodes_[1]->address()}});
  const std::string key = KeyOf(2);
  ASSERT_TRUE(client.Set(key, "v").ok());
  nodes_[2]->Stop();
  for (int i = 0; i < 50; ++i) {
    const auto got = client.Get(key);
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_EQ(got->value.view(), "v");
  }
  EXPECT_GT(client.stats().through_others, 0u);
  // Its breaker opened: what follows costs no retries.
  const uint64_t retries = client.stats().retries;
  EXPECT_LT(retries, 30u);
}

TEST_F(ClientTest, AWriteThatMayHaveBeenAppliedIsAmbiguousAndNotRepeated) {
  Client& client = Connect();
  const std::string key = KeyOf(1);
  std::atomic<int> arrivals{0};
  nodes_[1]->SetHook([&](const v1::Operation& op) -> std::optional<FakeAnswer> {
    if (!op.has_set() && !op.has_delete_() && !op.has_touch()) return std::nullopt;
    ++arrivals;
    return FakeAnswer{.execute = true, .cut = true};
  });
  const auto set = client.Set(key, "v");
  EXPECT_EQ(set.status().code(), absl::StatusCode::kAborted) << set.status();
  EXPECT_EQ(ErrorReason(set.status()), "AMBIGUOUS");
  EXPECT_TRUE(MayHaveBeenApplied(set.status()));
  EXPECT_EQ(arrivals, 1);
  EXPECT_TRUE(cluster_.Find("default", key).has_value());
}

TEST_F(ClientTest, AConditionalWriteIsRepeatedWithItsRequestId) {
  Client& client = Connect();
  const std::string key = KeyOf(1);
  std::atomic<int> arrivals{0};
  nodes_[1]->SetHook([&](const v1::Operation& op) -> std::optional<FakeAnswer> {
    if (!op.has_increment() || ++arrivals != 2) return std::nullopt;
    return FakeAnswer{.execute = true, .cut = true};
  });
  EXPECT_EQ(client.Increment(key, 1, {.initial = 0})->number, 0);
  const auto second = client.Increment(key, 1);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->number, 1);  // Carried out once, though it was sent twice.
  EXPECT_EQ(cluster_.Find("default", key)->value, "1");
  EXPECT_EQ(client.stats().retries, 1u);
}

TEST_F(ClientTest, RepeatsAWriteThroughAnotherNodeWhenItsOwnerStops) {
  Client& client = Connect();
  const std::string key = KeyOf(1);
  std::atomic<int> arrivals{0};
  nodes_[1]->SetHook([&](const v1::Operation&) -> std::optional<FakeAnswer> {
    ++arrivals;
    return FakeAnswer{
        .status = base::WithReason(absl::UnavailableError("stopping"), base::reason::kDraining)};
  });
  const auto set = client.Set(key, "v");
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ(arrivals, 1);
}

TEST_F(ClientTest, WaitsForAPrimaryThatServesUntilTheDeadlineWhateverItsRetriesAre) {
  Client& client = Connect({.max_attempts = 1, .retry_budget = 0});
  const std::string key = KeyOf(1);
  std::atomic<int> arrivals{0};
  nodes_[1]->SetHook([&](const v1::Operation&) -> std::optional<FakeAnswer> {
    if (++arrivals > 4) return std::nullopt;
    return FakeAnswer{.status = base::WithReason(absl::UnavailableError("a takeover is under way"),
                                                 base::reason::kNoPrimary)};
  });
  const auto set = client.Set(key, "v", {.timeout = absl::Seconds(20)});
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ(arrivals, 5);
  // A deadline may also end a try that is on its way, more so on a slow machine: then it is given
  // more, and with pauses of up to 240 ms most of its time is spent between two tries.
  arrivals = -1'000'000;
  absl::Status refused;
  for (absl::Duration time = absl::Milliseconds(100);
       refused.code() != absl::StatusCode::kUnavailable && time < absl::Minutes(1); time *= 2) {
    refused = client.Get(key, {.timeout = time}).status();
    EXPECT_FALSE(refused.ok());
  }
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable) << refused;
  EXPECT_EQ(client.stats().retries, 0u);
}

TEST_F(ClientTest, DoesNotRepeatWhatWasRefusedForGood) {
  Client& client = Connect();
  const std::string key = KeyOf(1);
  std::atomic<int> arrivals{0};
  nodes_[1]->SetHook([&](const v1::Operation&) -> std::optional<FakeAnswer> {
    ++arrivals;
    return FakeAnswer{.status = base::WithReason(absl::ResourceExhaustedError("too much"),
                                                 base::reason::kOverload)};
  });
  EXPECT_EQ(client.Get(key).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(client.Set(key, "v").status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(arrivals, 2);
}

TEST_F(ClientTest, RetriesComeOutOfABudget) {
  Client& client = Connect({.retry_budget = 0.1});
  const std::string key = KeyOf(1);
  for (const auto& node : nodes_) {
    node->SetHook([&](const v1::Operation&) {
      return FakeAnswer{
          .status = base::WithReason(absl::UnavailableError("stopping"), base::reason::kDraining)};
    });
  }
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(client.Get(key).status().code(), absl::StatusCode::kUnavailable);
  }
  // The reserve of ten, and a tenth of the calls.
  EXPECT_LE(client.stats().retries, 20u);
  EXPECT_GE(client.stats().retries, 15u);
}

TEST_F(ClientTest, EndsAtTheDeadline) {
  Client& client = Connect();
  const std::string key = KeyOf(1);
  nodes_[1]->SetHook([](const v1::Operation&) { return FakeAnswer{.drop = true}; });
  const auto got = client.Get(key, {.timeout = absl::Milliseconds(30)});
  EXPECT_EQ(got.status().code(), absl::StatusCode::kDeadlineExceeded) << got.status();
  // On a slow machine it may not even leave within its time: then it is given more.
  absl::Status late;
  for (absl::Duration time = absl::Milliseconds(30);
       !MayHaveBeenApplied(late) && time < absl::Minutes(1); time *= 2) {
    late = client.Set(key, "v", {.timeout = time}).status();
    EXPECT_FALSE(late.ok());
  }
  EXPECT_TRUE(MayHaveBeenApplied(late)) << late;
}

TEST_F(ClientTest, AStrictReadNeverJoinsAFlightAlreadySent) {
  Client& client = Connect();
  const std::string key = KeyOf(1);
  cluster_.Put("default", key, {.value = "old"});
  Door door;
  std::atomic<int> gets{0};
  nodes_[1]->SetHook([&](const v1::Operation& op) -> std::optional<FakeAnswer> {
    if (op.has_get() && ++gets == 1) door.Pass();
    return std::nullopt;
  });
  // One is sent and held; the others may not join it.
  std::atomic<int> old_seen{0};
  std::thread first([&] { EXPECT_TRUE(client.Get(key).ok()); });
  door.WaitForArrivals(1);
  // A write that is known to be done; the held read may still answer what was before.
  cluster_.Put("default", key, {.value = "new"});
  constexpr int kLater = 50;
  std::vector<std::unique_ptr<test::Notification>> done;
  for (int i = 0; i < kLater; ++i) {
    done.push_back(std::make_unique<test::Notification>());
    client.GetAsync(key, {}, [&, i](absl::StatusOr<GetResult> got) {
      if (!got.ok() || got->value.view() != "new") ++old_seen;
      done[static_cast<size_t>(i)]->Notify();
    });
  }
  EXPECT_EQ(gets, 1);
  door.Open();
  first.join();
  for (const auto& one : done) one->Wait();
  EXPECT_EQ(old_seen, 0);
  EXPECT_EQ(gets, 2);  // All of the later ones shared one flight.
  EXPECT_EQ(client.stats().collapsed, static_cast<uint64_t>(kLater));
}

TEST_F(ClientTest, CallsThatCallbacksStartAreCountedOnce) {
  Client& client = Connect();
  const std::string ours = KeyOf(1);
  const std::string others = KeyOf(2);
  ASSERT_TRUE(client.Set(ours, "value").ok());
  const uint64_t before = client.stats().calls;
  constexpr uint64_t kGets = 200;
  base::Mutex mu;
  base::CondVar changed;
  uint64_t left = kGets;
  std::function<void(absl::StatusOr<GetResult>)> next = [&](absl::StatusOr<GetResult> got) {
    EXPECT_TRUE(got.ok()) << got.status();
    uint64_t now = 0;
    {
      base::MutexLock lock(mu);
      now = --left;
      // The last thing that is done here, but for the test's end.
      if (now == 0) changed.SignalAll();
    }
    // Mostly the same way, now and then another.
    if (now > 0) client.GetAsync(now % 5 == 0 ? others : ours, {}, next);
  };
  client.GetAsync(ours, {}, next);
  {
    base::MutexLock lock(mu);
    while (left > 0) changed.Wait(mu);
  }
  EXPECT_EQ(client.stats().calls - before, kGets);
  EXPECT_EQ(client.stats().failures, 0u);
}

TEST_F(ClientTest, ManyKeysAreAnsweredEachOnItsOwn) {
  Client& client = Connect();
  std::vector<std::string> names;
  for (int i = 0; i < 3000; ++i) names.push_back("key" + std::to_string(i));
  std::vector<SetEntry> entries;
  for (const std::string& name : names) entries.push_back({.key = name, .value = name});
  entries.push_back({.key = "", .value = "v"});
  const std::string large(200'000, 'x');
  entries.push_back({.key = "large", .value = large});
  const auto stored = client.MultiSet(entries);
  ASSERT_EQ(stored.size(), entries.size());
  for (size_t i = 0; i < names.size(); ++i) ASSERT_TRUE(stored[i].ok()) << stored[i].status();
  EXPECT_EQ(stored[3000].status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(stored[3001].ok());
  std::vector<std::string_view> keys(names.begin(), names.end());
  keys.push_back("large");
  keys.push_back("absent");
  const auto got = client.MultiGet(keys);
  for (size_t i = 0; i < names.size(); ++i) {
    ASSERT_TRUE(got[i].ok()) << got[i].status();
    EXPECT_EQ(got[i]->value.view(), names[i]);
  }
  EXPECT_TRUE(got[3000]->value.view() == large);
  EXPECT_EQ(got[3001]->outcome, Outcome::kMiss);
  EXPECT_LT(Operations(), 40);  // Parts, not keys.
  const auto deleted = client.MultiDelete({"key1", "absent"});
  EXPECT_EQ(deleted[0]->outcome, Outcome::kOk);
  EXPECT_EQ(deleted[1]->outcome, Outcome::kMiss);
  const std::vector<std::string_view> too_many(10'001, "k");
  EXPECT_EQ(client.MultiGet(too_many)[0].status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ClientTest, ADeadNodeFailsOnlyItsOwnKeys) {
  Client& client = Connect({.max_attempts = 1});
  std::vector<std::string> names;
  for (int i = 0; i < 300; ++i) names.push_back("key" + std::to_string(i));
  nodes_[2]->SetHook([](const v1::Operation&) { return FakeAnswer{.drop = true}; });
  const std::vector<std::string_view> keys(names.begin(), names.end());
  // Long enough for the living ones on a busy machine.
  const auto got = client.MultiGet(keys, {.timeout = absl::Seconds(2)});
  int failed = 0;
  for (size_t i = 0; i < keys.size(); ++i) {
    const bool dead = base::PartitionOfHash(base::HashKey("default", keys[i])).value() % 3 == 2;
    EXPECT_EQ(got[i].ok(), !dead) << keys[i] << ": " << got[i].status();
    failed += dead ? 1 : 0;
  }
  EXPECT_GT(failed, 50);
}

TEST_F(ClientTest, ManyKeysFollowAMapThatMoved) {
  Client& client = Connect();
  std::vector<std::string> names;
  for (int i = 0; i < 300; ++i) {
    names.push_back("key" + std::to_string(i));
    cluster_.Put("default", names.back(), {.value = names.back()});
  }
  SetOwners({1, 2, 0}, 2, /*announce=*/false);
  const std::vector<std::string_view> keys(names.begin(), names.end());
  const auto got = client.MultiGet(keys);
  for (size_t i = 0; i < keys.size(); ++i) {
    ASSERT_TRUE(got[i].ok()) << got[i].status();
    EXPECT_EQ(got[i]->value.view(), keys[i]);
  }
}

TEST_F(ClientTest, NeverBlocksItsOwnThread) {
  Client& client = Connect();
  test::Notification done;
  client.SetAsync("k", "v", {}, [&](absl::StatusOr<WriteResult> set) {
    EXPECT_TRUE(set.ok());
    EXPECT_EQ(client.Get("k").status().code(), absl::StatusCode::kFailedPrecondition);
    client.GetAsync("k", {}, [&](absl::StatusOr<GetResult> got) {
      EXPECT_EQ(got->value.view(), "v");
      done.Notify();
    });
  });
  done.Wait();
}

TEST_F(ClientTest, ClosingAnswersEverything) {
  Client& client = Connect();
  for (const auto& node : nodes_) {
    node->SetHook([](const v1::Operation&) { return FakeAnswer{.drop = true}; });
  }
  std::atomic<int> ended{0};
  for (int i = 0; i < 100; ++i) {
    client.GetAsync("key" + std::to_string(i), {},
                    [&](const absl::StatusOr<GetResult>&) { ++ended; });
    client.SetAsync("key" + std::to_string(i), "v", {},
                    [&](const absl::StatusOr<WriteResult>&) { ++ended; });
  }
  client_.reset();
  EXPECT_EQ(ended, 200);
}

TEST_F(ClientTest, ComesBackWhenTheClusterDoes) {
  Client& client = Connect({.endpoints = {nodes_[0]->address(), nodes_[1]->address()}});
  for (const auto& node : nodes_) node->Stop();
  const auto down = client.Get("k", {.timeout = absl::Milliseconds(200)});
  EXPECT_FALSE(down.ok());
  for (const auto& node : nodes_) node->Start();
  absl::StatusOr<GetResult> got;
  const absl::Time deadline = absl::Now() + kLong;
  do {
    got = client.Get("k");
  } while (!got.ok() && absl::Now() < deadline);
  EXPECT_TRUE(got.ok()) << got.status();
}

TEST_F(ClientTest, ServesManyThreadsWhileNodesComeAndGo) {
  Client& client = Connect({.endpoints = {nodes_[0]->address(), nodes_[1]->address()}});
  std::atomic<int> ok{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        const std::string key = std::to_string(t) + "." + std::to_string(i);
        if (!client.Set(key, key).ok()) continue;
        const auto got = client.Get(key);
        if (!got.ok()) continue;
        EXPECT_EQ(got->value.view(), key);
        ++ok;
      }
    });
  }
  nodes_[2]->CutStreams();
  SetOwners({0, 1}, 2);
  nodes_[2]->Stop();
  SetOwners({1, 0}, 3);
  nodes_[0]->CutStreams();
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(ok, 600);
}

}  // namespace
}  // namespace atoll
