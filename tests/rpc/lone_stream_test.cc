#include "rpc/lone_stream.h"

#include <grpcpp/channel.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "atoll/v1/cache.pb.h"
#include "base/clock.h"
#include "base/status.h"
#include "rpc/batch_stream.h"
#include "rpc/channel.h"
#include "rpc/completion_queue.h"
#include "rpc/timers.h"
#include "tests/support/fake_cache_node.h"
#include "tests/support/notification.h"

namespace atoll::rpc {
namespace {

absl::Duration In(absl::Duration delay) { return base::Clock::Real().BootTime() + delay; }

// An operation that keeps its end.
class Kept final : public BatchOperation {
 public:
  explicit Kept(const v1::Operation& operation, absl::Duration time = absl::Seconds(60))
      : bytes_(EncodeOperation(operation)) {
    head = *bytes_;
    deadline = In(time);
  }
  static Kept Get(const std::string& key, absl::Duration time = absl::Seconds(60)) {
    v1::Operation op;
    op.mutable_get()->set_key(key);
    return Kept(op, time);
  }

  absl::Status status;
  Fate fate = Fate::kNotSent;
  int ends = 0;
  std::thread::id thread;
  test::Notification ended;

 private:
  void OnEnd(BatchEnd& end) override {
    ++ends;
    status = end.status;
    fate = end.fate;
    thread = std::this_thread::get_id();
    ended.Notify();
  }

  const OperationBytes bytes_;
};

class LoneStreamTest : public testing::Test {
 protected:
  LoneStreamTest() : node_(&cluster_, "n1") {
    node_.Start();
    cluster_.SetMap(test::MapOf({&node_}, 1));
    cluster_.Put("default", "k", {.value = "v"});
    channel_ = MakeChannel(node_.address());
    stream_ = std::make_unique<LoneStream>(channel_, LoneStream::Options{});
  }

  // Connects, and carries the operation out.
  void RunUntilTaken(BatchOperation& operation) {
    while (!stream_->Run(&operation)) std::this_thread::yield();
  }

  test::FakeCacheCluster cluster_;
  test::FakeCacheNode node_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<LoneStream> stream_;
};

TEST_F(LoneStreamTest, CarriesOperationsOutOnTheCallersThread) {
  for (int i = 0; i < 100; ++i) {
    Kept get = Kept::Get("k");
    RunUntilTaken(get);
    EXPECT_EQ(get.ends, 1);
    EXPECT_TRUE(get.status.ok()) << get.status;
    EXPECT_EQ(get.fate, Fate::kAnswered);
    EXPECT_EQ(get.thread, std::this_thread::get_id());
  }
  EXPECT_EQ(stream_->messages(), 100u);
  EXPECT_EQ(node_.streams_opened(), 1);
}

TEST_F(LoneStreamTest, RefusesKeysOfOthersAndCarriesErrors) {
  test::FakeCacheNode other(&cluster_, "n2");
  other.Start();
  cluster_.SetMap(test::MapOf({&other}, 2));
  Kept get = Kept::Get("k");
  RunUntilTaken(get);
  EXPECT_EQ(base::Reason(get.status), base::reason::kWrongOwner) << get.status;
  EXPECT_EQ(get.fate, Fate::kAnswered);
}

TEST_F(LoneStreamTest, TellsWhoComesMeanwhileThatItIsTaken) {
  Kept first = Kept::Get("k");
  RunUntilTaken(first);
  test::Notification arrived, go_on;
  node_.SetHook([&](const v1::Operation&) -> std::optional<test::FakeAnswer> {
    arrived.Notify();
    go_on.Wait();
    return std::nullopt;
  });
  Kept held = Kept::Get("k");
  std::thread holder([&] { EXPECT_TRUE(stream_->Run(&held)); });
  arrived.Wait();
  Kept other = Kept::Get("k");
  EXPECT_FALSE(stream_->Run(&other));
  EXPECT_EQ(other.ends, 0);
  go_on.Notify();
  holder.join();
  EXPECT_TRUE(held.status.ok());
}

TEST_F(LoneStreamTest, EndsAtTheDeadlineAndIgnoresTheLateAnswer) {
  Kept first = Kept::Get("k");
  RunUntilTaken(first);
  test::Notification go_on;
  node_.SetHook([&](const v1::Operation& op) -> std::optional<test::FakeAnswer> {
    if (op.get().key() == "slow") go_on.Wait();
    return std::nullopt;
  });
  Kept slow = Kept::Get("slow", absl::Milliseconds(30));
  EXPECT_TRUE(stream_->Run(&slow));
  EXPECT_EQ(slow.status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(slow.fate, Fate::kSent);
  go_on.Notify();
  Kept next = Kept::Get("k");
  RunUntilTaken(next);
  EXPECT_TRUE(next.status.ok()) << next.status;
  EXPECT_EQ(node_.streams_opened(), 1);
  Kept past = Kept::Get("k", -absl::Milliseconds(1));
  EXPECT_FALSE(stream_->Run(&past)) << "left to the other stream, which knows what to say";
}

TEST_F(LoneStreamTest, ShutdownEndsWhatIsUnderWay) {
  Kept first = Kept::Get("k");
  RunUntilTaken(first);
  test::Notification arrived;
  node_.SetHook([&](const v1::Operation&) {
    arrived.Notify();
    return test::FakeAnswer{.drop = true};
  });
  Kept get = Kept::Get("k", absl::Hours(1));
  std::thread caller([&] { EXPECT_TRUE(stream_->Run(&get)); });
  arrived.Wait();
  stream_->Shutdown();
  caller.join();
  EXPECT_EQ(get.status.code(), absl::StatusCode::kCancelled) << get.status;
  Kept after = Kept::Get("k");
  EXPECT_FALSE(stream_->Run(&after));
  stream_->Stop();
}

TEST_F(LoneStreamTest, ACutStreamFailsAsSentAndConnectsAgain) {
  Kept first = Kept::Get("k");
  RunUntilTaken(first);
  node_.SetHook([](const v1::Operation&) { return test::FakeAnswer{.cut = true}; });
  Kept cut = Kept::Get("k");
  EXPECT_TRUE(stream_->Run(&cut));
  EXPECT_EQ(cut.status.code(), absl::StatusCode::kUnavailable) << cut.status;
  EXPECT_EQ(cut.fate, Fate::kSent);
  node_.SetHook(nullptr);
  Kept after = Kept::Get("k");
  RunUntilTaken(after);
  EXPECT_TRUE(after.status.ok()) << after.status;
}

// Deadlines, a shutdown and answers meet: each operation ends once, whatever comes first.
TEST_F(LoneStreamTest, DeadlinesAndAShutdownRaceWithAnswers) {
  for (int round = 0; round < 20; ++round) {
    stream_ = std::make_unique<LoneStream>(channel_, LoneStream::Options{});
    Kept first = Kept::Get("k");
    RunUntilTaken(first);
    std::atomic<int> done{0};
    std::thread caller([&] {
      for (int i = 0; i < 50; ++i) {
        Kept get = Kept::Get("k", absl::Microseconds(50 + 20 * (i % 10)));
        const bool taken = stream_->Run(&get);
        EXPECT_EQ(get.ends, taken ? 1 : 0);
        done.fetch_add(1);
      }
    });
    while (done.load() < 2 * round) std::this_thread::yield();
    stream_->Shutdown();
    caller.join();
    stream_->Stop();
  }
}

// The same of the stream of many, with cancellation.
TEST_F(LoneStreamTest, CancelAndDeadlineRaceWithAnswersOfABatchStream) {
  Poller poller("test");
  Timers timers(poller.queue());
  poller.Start();
  {
    BatchStream stream(channel_, poller.queue(), &timers, {.paced = true});
    std::vector<std::thread> threads;
    std::atomic<int> answered{0};
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 300; ++i) {
          Kept get = Kept::Get("k", absl::Microseconds(i % 3 == 0 ? 150 : 10'000'000));
          get.blocking = t == 0;
          const uint64_t id = stream.Start(&get);
          if (i % 3 == 1) stream.Cancel(id);
          get.ended.Wait();
          EXPECT_EQ(get.ends, 1);
          if (get.status.ok()) answered.fetch_add(1);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_GE(answered, 300);
    EXPECT_EQ(stream.outstanding(), 0u);
    stream.Stop();
  }
  timers.Stop();
  poller.Stop();
}

// What LeakSanitizer does not see (memory that is still known to somebody) shows in what is in use.
TEST_F(LoneStreamTest, TenThousandStreamsOpenedAndDroppedLeaveNothing) {
#if defined(__SANITIZE_THREAD__)
  constexpr int kStreams = 1'000;
#else
  constexpr int kStreams = 10'000;
#endif
  Poller poller("test");
  Timers timers(poller.queue());
  poller.Start();
  size_t before = 0;
  for (int i = 0; i < kStreams; ++i) {
    if (i == kStreams / 10) before = mallinfo2().uordblks;
    Kept get = Kept::Get("k");
    if (i % 2 == 0) {
      BatchStream stream(channel_, poller.queue(), &timers, {});
      stream.Start(&get);
      // Every other one is dropped in the midst of it.
      if (i % 4 == 0) get.ended.Wait();
      stream.Stop();
      EXPECT_EQ(get.ends, 1);
    } else {
      LoneStream stream(channel_, {});
      while (i % 4 == 1 && !stream.Run(&get)) std::this_thread::yield();
      if (i % 4 == 3) stream.Run(&get);
      stream.Stop();
    }
  }
  const size_t after = mallinfo2().uordblks;
  EXPECT_LT(after, before + (size_t{4} << 20)) << "from " << before;
  timers.Stop();
  poller.Stop();
}

}  // namespace
}  // namespace atoll::rpc
