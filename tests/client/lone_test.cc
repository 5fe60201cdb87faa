// A caller who is alone does its own I/O, and is in nobody's way.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "client/include/atoll/client.h"
#include "tests/support/fake_cache_node.h"
#include "tests/support/notification.h"

namespace atoll {
namespace {

using test::FakeAnswer;

class LoneTest : public testing::Test {
 protected:
  LoneTest() : node_(&cluster_, "n1") {
    node_.Start();
    cluster_.SetMap(test::MapOf({&node_}, 1));
    auto client = Client::Create({.endpoints = {node_.address()}, .timeout = absl::Seconds(60)});
    EXPECT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
    EXPECT_TRUE(client_->WaitUntilReady(absl::InfiniteFuture()).ok());
  }

  // Until the client takes the caller for a lone one, and has opened the stream for it.
  void BecomeLone() {
    ASSERT_TRUE(client_->Get("k").ok());
    const int64_t before = node_.streams_opened();
    while (node_.streams_opened() == before) ASSERT_TRUE(client_->Get("k").ok());
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(client_->Get("k").ok());
  }

  test::FakeCacheCluster cluster_;
  test::FakeCacheNode node_;
  std::unique_ptr<Client> client_;
};

TEST_F(LoneTest, CarriesOutEachKindOfOperation) {
  BecomeLone();
  EXPECT_TRUE(client_->Set("k", "one")->ok());
  EXPECT_EQ(client_->Get("k")->value.view(), "one");
  EXPECT_EQ(client_->Append("k", "!")->outcome, Outcome::kOk);
  EXPECT_EQ(client_->Get("k")->value.view(), "one!");
  EXPECT_EQ(client_->Increment("n", 1, {.initial = 7})->number, 7);
  EXPECT_EQ(client_->GetAndTouch("k")->value.view(), "one!");
  EXPECT_EQ(client_->Delete("k")->outcome, Outcome::kOk);
  EXPECT_EQ(client_->Get("k")->outcome, Outcome::kMiss);
  const std::string large(200'000, 'x');
  ASSERT_TRUE(client_->Set("large", large).ok());
  EXPECT_TRUE(client_->Get("large")->value.view() == large);
  const std::vector<std::string_view> keys = {"k", "n"};
  EXPECT_TRUE(client_->MultiGet(keys)[1]->found());
}

TEST_F(LoneTest, OthersAreServedMeanwhile) {
  BecomeLone();
  std::atomic<bool> over{false};
  std::thread lone([&] {
    while (!over) ASSERT_TRUE(client_->Get("k").ok());
  });
  for (int i = 0; i < 200; ++i) {
    test::Notification done;
    client_->SetAsync("other", "v", {}, [&](absl::StatusOr<WriteResult> set) {
      EXPECT_TRUE(set.ok()) << set.status();
      done.Notify();
    });
    done.Wait();
  }
  // Timers, and a stream that nobody recalls the poller for.
  cluster_.SetMap(test::MapOf({&node_}, 2));
  while (client_->stats().map_version != 2) std::this_thread::yield();
  over = true;
  lone.join();
}

TEST_F(LoneTest, ItsDeadlineIsKept) {
  BecomeLone();
  node_.SetHook([](const v1::Operation& op) -> std::optional<FakeAnswer> {
    if (op.has_get() && op.get().key() == "lost") return FakeAnswer{.drop = true};
    return std::nullopt;
  });
  const auto got = client_->Get("lost", {.timeout = absl::Milliseconds(30)});
  EXPECT_EQ(got.status().code(), absl::StatusCode::kDeadlineExceeded) << got.status();
  EXPECT_TRUE(client_->Get("k").ok());
}

TEST_F(LoneTest, ACutStreamIsRetriedWhereThatIsSafe) {
  BecomeLone();
  std::atomic<int> arrivals{0};
  node_.SetHook([&](const v1::Operation&) -> std::optional<FakeAnswer> {
    if (arrivals++ > 0) return std::nullopt;
    return FakeAnswer{.cut = true};
  });
  const auto got = client_->Get("k");
  EXPECT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(client_->stats().retries, 1u);
  BecomeLone();
  arrivals = 0;
  EXPECT_EQ(ErrorReason(client_->Set("k", "v").status()), "AMBIGUOUS");
}

TEST_F(LoneTest, ClosingTheClientEndsIt) {
  BecomeLone();
  test::Notification arrived;
  node_.SetHook([&](const v1::Operation&) {
    arrived.Notify();
    return FakeAnswer{.drop = true};
  });
  // The pointer is the test's; that it is gone is what this is about.
  std::thread lone([&client = *client_] {
    EXPECT_EQ(client.Get("k").status().code(), absl::StatusCode::kCancelled);
  });
  arrived.Wait();
  client_.reset();
  lone.join();
}

}  // namespace
}  // namespace atoll
