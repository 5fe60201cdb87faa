// A stream with a crowd of blocking callers (rpc/crowd.h): nobody is forgotten who waits for
// others.
#include "rpc/crowd.h"

#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "atoll/v1/cache.pb.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "rpc/batch_stream.h"
#include "rpc/channel.h"
#include "rpc/completion_queue.h"
#include "rpc/timers.h"
#include "rpc/wake_group.h"
#include "tests/support/fake_cache_node.h"

namespace atoll::rpc {
namespace {

using testing::AnyOf;

absl::Duration In(absl::Duration delay) { return base::Clock::Real().BootTime() + delay; }

// A get of a caller who blocks.
class BlockingGet final : public BatchOperation {
 public:
  explicit BlockingGet(absl::Duration time) {
    v1::Operation op;
    op.mutable_get()->set_key("k");
    bytes_ = EncodeOperation(op);
    head = *bytes_;
    deadline = In(time);
    blocking = true;
  }
  // Starts it as one of the crowd, if there is one. Returns its number.
  uint64_t StartOn(BatchStream& stream) {
    waiter_.JoinGroup(stream.messages());
    // The test's stream lives longer.
    if (stream.crowded()) waiter_.JoinCrowd({std::shared_ptr<void>(), &stream});
    return stream.Start(this);
  }
  absl::StatusCode Wait() {
    waiter_.Wait();
    return code_;
  }

 private:
  void OnEnd(BatchEnd& end) override {
    code_ = end.status.code();
    waiter_.Wake();
  }

  OperationBytes bytes_;
  absl::StatusCode code_ = absl::StatusCode::kUnknown;
  Waiter waiter_;
};

class CrowdTest : public testing::Test {
 protected:
  CrowdTest() : node_(&cluster_, "n1"), poller_("test"), timers_(poller_.queue()) {
    node_.Start();
    poller_.Start();
    cluster_.SetMap(test::MapOf({&node_}, 1));
    stream_ =
        std::make_unique<BatchStream>(MakeChannel(node_.address()), poller_.queue(), &timers_,
                                      BatchStreamOptions{.paced = true,
                                                         .min_backoff = absl::Milliseconds(1),
                                                         .max_backoff = absl::Milliseconds(1)});
    // The node answers nothing until so many wait.
    node_.SetHook([this](const v1::Operation&) -> std::optional<test::FakeAnswer> {
      base::MutexLock lock(mu_);
      while (!open_) changed_.Wait(mu_);
      return std::nullopt;
    });
  }
  ~CrowdTest() override {
    Open();
    stream_->Stop();
    timers_.Stop();
    poller_.Stop();
  }
  void Open() {
    base::MutexLock lock(mu_);
    open_ = true;
    changed_.SignalAll();
  }
  void OpenWhenOutstanding(size_t count) {
    while (stream_->outstanding() < count) std::this_thread::yield();
    Open();
  }

  test::FakeCacheCluster cluster_;
  test::FakeCacheNode node_;
  Poller poller_;
  Timers timers_;
  std::unique_ptr<BatchStream> stream_;
  base::Mutex mu_;
  base::CondVar changed_;
  bool open_ ABSL_GUARDED_BY(mu_) = false;
};

// All are answered, and a few ask again: what they ask is held for the others.
TEST_F(CrowdTest, WhatIsHeldForThoseWhoDoNotComeBackGoesWithoutThem) {
  std::vector<std::unique_ptr<BlockingGet>> gets;
  for (size_t i = 0; i < Crowd::kFewest + 8; ++i) {
    gets.push_back(std::make_unique<BlockingGet>(absl::Seconds(30)));
    gets.back()->StartOn(*stream_);
  }
  OpenWhenOutstanding(gets.size());
  for (const auto& get : gets) EXPECT_EQ(get->Wait(), absl::StatusCode::kOk);
  EXPECT_TRUE(stream_->crowded());
  // These sleep, as who came before there was a crowd: only the stream itself can give up.
  BlockingGet one(absl::Seconds(30));
  BlockingGet other(absl::Seconds(30));
  stream_->Start(&one);
  stream_->Start(&other);
  EXPECT_EQ(one.Wait(), absl::StatusCode::kOk);
  EXPECT_EQ(other.Wait(), absl::StatusCode::kOk);
  // And this one gives up itself.
  BlockingGet third(absl::Seconds(30));
  third.StartOn(*stream_);
  EXPECT_EQ(third.Wait(), absl::StatusCode::kOk);
}

TEST_F(CrowdTest, EveryCallerEndsOnceUnderDeadlinesCancellationAndCutStreams) {
  constexpr size_t kThreads = Crowd::kFewest + 8;
  constexpr int kEach = 60;
  std::atomic<int> ended{0};
  std::atomic<int> ok{0};
  std::atomic<int> crowded{0};
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const bool short_time = t % 8 == 1 && i % 4 == 3;
        BlockingGet get(short_time ? absl::Microseconds(150) : absl::Seconds(60));
        if (stream_->crowded()) crowded.fetch_add(1);
        const uint64_t id = get.StartOn(*stream_);
        if (t % 8 == 2 && i % 4 == 3) stream_->Cancel(id);
        const absl::StatusCode code = get.Wait();
        EXPECT_THAT(code,
                    AnyOf(absl::StatusCode::kOk, absl::StatusCode::kCancelled,
                          absl::StatusCode::kDeadlineExceeded, absl::StatusCode::kUnavailable));
        if (code == absl::StatusCode::kOk) ok.fetch_add(1);
        if (ended.fetch_add(1) % 700 == 350) node_.CutStreams();
      }
    });
  }
  OpenWhenOutstanding(Crowd::kFewest);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ended, static_cast<int>(kThreads) * kEach);
  EXPECT_GT(ok, 0);
  EXPECT_GT(crowded, 0);
  EXPECT_EQ(stream_->outstanding(), 0u);
}

}  // namespace
}  // namespace atoll::rpc
