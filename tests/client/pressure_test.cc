// The client under load: overloaded nodes, streams that are full, large values beside small ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"
#include "client/include/atoll/client.h"
#include "tests/support/fake_cache_node.h"
#include "tests/support/notification.h"

namespace atoll {
namespace {

using test::FakeAnswer;

absl::Status Overloaded(int retry_after_ms) {
  return base::WithReason(absl::ResourceExhaustedError("too much"), base::reason::kOverload,
                          {{std::string(base::kRetryAfterMs), std::to_string(retry_after_ms)}});
}

// Counts down asynchronous ends.
class Ends {
 public:
  explicit Ends(int count) : left_(count) {}
  void One() {
    if (left_.fetch_sub(1) == 1) all_.Notify();
  }
  void Wait() { all_.Wait(); }

 private:
  std::atomic<int> left_;
  test::Notification all_;
};

class PressureTest : public testing::Test {
 protected:
  PressureTest() : node_(&cluster_, "n1") {
    node_.Start();
    cluster_.SetMap(test::MapOf({&node_}, 1));
  }
  Client& Connect(ClientOptions options = {}) {
    options.endpoints = {node_.address()};
    options.timeout = absl::Seconds(60);
    auto client = Client::Create(options);
    EXPECT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
    EXPECT_TRUE(client_->WaitUntilReady(absl::InfiniteFuture()).ok());
    return *client_;
  }

  test::FakeCacheCluster cluster_;
  test::FakeCacheNode node_;
  std::unique_ptr<Client> client_;
};

TEST_F(PressureTest, SendsNothingForAsLongAsAnOverloadedNodeAsks) {
  constexpr absl::Duration kPushback = absl::Milliseconds(100);
  Client& client = Connect();
  ASSERT_TRUE(client.Get("k").ok());
  std::atomic<int> arrivals{0};
  std::atomic<int64_t> refused_at{0};
  std::atomic<int64_t> next_at{0};
  node_.SetHook([&](const v1::Operation&) -> std::optional<FakeAnswer> {
    const int64_t now = absl::ToInt64Nanoseconds(base::Clock::Real().BootTime());
    const int arrival = arrivals++;
    if (arrival == 0) {
      refused_at = now;
      return FakeAnswer{.status = Overloaded(100)};
    }
    if (arrival == 1) next_at = now;
    return std::nullopt;
  });
  EXPECT_EQ(client.Get("k").status().code(), absl::StatusCode::kResourceExhausted);
  constexpr int kGets = 200;
  Ends ends(kGets);
  for (int i = 0; i < kGets; ++i) {
    client.GetAsync("key" + std::to_string(i), {}, [&](const absl::StatusOr<GetResult>& got) {
      EXPECT_TRUE(got.ok()) << got.status();
      ends.One();
    });
  }
  ends.Wait();
  EXPECT_GE(next_at - refused_at, absl::ToInt64Nanoseconds(kPushback));
  EXPECT_EQ(client.stats().slowdowns, 1u);
  EXPECT_EQ(client.stats().failures, 1u);
}

TEST_F(PressureTest, ALoneCallerSlowsDownToo) {
  Client& client = Connect();
  ASSERT_TRUE(client.Get("k").ok());
  const int64_t first = node_.streams_opened();
  while (node_.streams_opened() == first) ASSERT_TRUE(client.Get("k").ok());
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(client.Get("k").ok());
  std::atomic<int> arrivals{0};
  node_.SetHook([&](const v1::Operation&) -> std::optional<FakeAnswer> {
    if (arrivals++ > 0) return std::nullopt;
    return FakeAnswer{.status = Overloaded(20)};
  });
  EXPECT_EQ(client.Get("k").status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(client.stats().slowdowns, 1u);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(client.Get("k").ok());
}

// A node that takes no more than some operations at a time: the client comes down to about that.
TEST_F(PressureTest, ComesDownToWhatTheNodeTakes) {
  Client& client = Connect();
  ASSERT_TRUE(client.Get("k").ok());
  // Of 2,000 that are asked for at once, most would be refused if nothing slowed down: the fake
  // node refuses every other one for as long as it was not obeyed.
  std::atomic<int> arrivals{0};
  std::atomic<int> refusals{0};
  node_.SetHook([&](const v1::Operation&) -> std::optional<FakeAnswer> {
    if (++arrivals % 2 != 0 || client.stats().slowdowns >= 4) return std::nullopt;
    ++refusals;
    return FakeAnswer{.status = Overloaded(1)};
  });
  constexpr int kGets = 2'000;
  Ends ends(kGets);
  std::atomic<int> failed{0};
  for (int i = 0; i < kGets; ++i) {
    client.GetAsync("key" + std::to_string(i), {}, [&](const absl::StatusOr<GetResult>& got) {
      if (!got.ok()) {
        EXPECT_EQ(got.status().code(), absl::StatusCode::kResourceExhausted) << got.status();
        ++failed;
      }
      ends.One();
    });
  }
  ends.Wait();
  EXPECT_EQ(failed, refusals);
  EXPECT_GE(client.stats().slowdowns, 1u);
  // And goes up again when it is not refused any more.
  node_.SetHook(nullptr);
  const int64_t before = node_.messages();
  Ends more(kGets);
  for (int i = 0; i < kGets; ++i) {
    client.GetAsync("key" + std::to_string(i), {},
                    [&](const absl::StatusOr<GetResult>&) { more.One(); });
  }
  more.Wait();
  EXPECT_LT(node_.messages() - before, kGets / 8);
}

TEST_F(PressureTest, AFullStreamIsJoinedByOthersUpToFour) {
  Client& client = Connect({.collapse_reads = false});
  ASSERT_TRUE(client.Get("k").ok());
  const int64_t first = node_.streams_opened();
  base::Mutex mu;
  base::CondVar changed;
  bool open = false;
  node_.SetHook([&](const v1::Operation&) -> std::optional<FakeAnswer> {
    base::MutexLock lock(mu);
    while (!open) changed.Wait(mu);
    return std::nullopt;
  });
  constexpr int kGets = 10'000;
  Ends ends(kGets);
  for (int i = 0; i < kGets; ++i) {
    client.GetAsync("k", {}, [&](const absl::StatusOr<GetResult>& got) {
      EXPECT_TRUE(got.ok()) << got.status();
      ends.One();
    });
  }
  while (node_.streams_opened() < first + 3) std::this_thread::yield();
  {
    base::MutexLock lock(mu);
    open = true;
    changed.SignalAll();
  }
  ends.Wait();
  EXPECT_EQ(node_.streams_opened(), first + 3);
}

TEST_F(PressureTest, ALargeValueUnderWayDelaysNoSmallOne) {
  Client& client = Connect();
  const std::string large(1 << 20, 'x');
  ASSERT_TRUE(client.Set("large", large).ok());
  ASSERT_TRUE(client.Set("small", "v").ok());
  test::Notification go_on;
  std::atomic<int> held{0};
  node_.SetHook([&](const v1::Operation& op) -> std::optional<FakeAnswer> {
    // Of the stream that brings the value itself.
    if (op.has_get() && test::FakeCacheNode::ForLargeValues()) {
      ++held;
      go_on.Wait();
    }
    return std::nullopt;
  });
  Ends ends(4);
  for (int i = 0; i < 4; ++i) {
    client.GetAsync("large", {.if_version_not = 999}, [&](const absl::StatusOr<GetResult>& got) {
      EXPECT_TRUE(got.ok() && got->value.view() == large) << got.status();
      ends.One();
    });
  }
  while (held < 1) std::this_thread::yield();
  // All of them are under way, the others behind the first, and none moves.
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) ASSERT_EQ(client.Get("small")->value.view(), "v");
    });
  }
  for (std::thread& thread : threads) thread.join();
  go_on.Notify();
  ends.Wait();
}

TEST_F(PressureTest, AnsweredAndRefusedAddUpWithSeveralThreadsAndStreams) {
  Client& client = Connect({.max_queued_operations = 8192, .io_threads = 2});
  constexpr int kThreads = 2;
  constexpr int kEach = 8'000;
  Ends ends(kThreads * kEach);
  std::atomic<int> ok{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        client.SetAsync(std::to_string(t) + "." + std::to_string(i), "v", {},
                        [&](const absl::StatusOr<WriteResult>& set) {
                          if (set.ok()) {
                            ++ok;
                          } else {
                            EXPECT_EQ(set.status().code(), absl::StatusCode::kResourceExhausted);
                          }
                          ends.One();
                        });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ends.Wait();
  EXPECT_EQ(node_.operations(), ok);
  EXPECT_EQ(client.stats().failures, static_cast<uint64_t>(kThreads * kEach - ok));
}

}  // namespace
}  // namespace atoll
