#include "rpc/batch_stream.h"

#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "atoll/v1/cache.pb.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"
#include "rpc/channel.h"
#include "rpc/completion_queue.h"
#include "rpc/status.h"
#include "rpc/timers.h"
#include "tests/rpc/batch_stream_fixture.h"
#include "tests/support/door.h"
#include "tests/support/notification.h"

namespace atoll::rpc {
namespace {

TEST_F(BatchStreamTest, AnswersEachOperationByItsNumber) {
  BatchStream& stream = Stream();
  Answer set;
  stream.Start(SetOf("k", "v"), In(absl::Seconds(10)), set.Fill());
  ASSERT_TRUE(set.status().ok()) << set.status();
  EXPECT_EQ(set.fate(), Fate::kAnswered);
  std::vector<Answer> answers(100);
  for (int i = 0; i < 100; ++i) {
    stream.Start(i % 2 == 0 ? GetOf("k") : GetOf("absent"), In(absl::Seconds(10)),
                 answers[static_cast<size_t>(i)].Fill());
  }
  for (int i = 0; i < 100; ++i) {
    const v1::OperationResult result = answers[static_cast<size_t>(i)].result();
    EXPECT_EQ(result.get().outcome(), i % 2 == 0 ? v1::OUTCOME_OK : v1::OUTCOME_MISS);
    EXPECT_EQ(result.get().value(), i % 2 == 0 ? "v" : "");
  }
}

TEST_F(BatchStreamTest, WhatQueuesBehindAMessageGoesOutTogether) {
  BatchStream& stream = Stream();
  ASSERT_TRUE(StartUntilConnected(stream).ok());
  const int64_t before = node_.messages();
  // Departure runs on the writer before its message is written: what is started there queues.
  std::vector<Answer> answers(200);
  Answer first;
  stream.Start(GetOf("a"), In(absl::Seconds(10)), first.Fill(), [&] {
    for (Answer& answer : answers) stream.Start(GetOf("b"), In(absl::Seconds(10)), answer.Fill());
  });
  for (Answer& answer : answers) EXPECT_TRUE(answer.status().ok());
  EXPECT_TRUE(first.status().ok());
  EXPECT_EQ(node_.messages() - before, 2);
}

TEST_F(BatchStreamTest, KeepsMessagesWithinTheirSize) {
  BatchStream& stream = Stream({.max_message_bytes = 10'000});
  ASSERT_TRUE(StartUntilConnected(stream).ok());
  const int64_t before = node_.messages();
  std::vector<Answer> answers(20);
  Answer first;
  stream.Start(GetOf("a"), In(absl::Seconds(10)), first.Fill(), [&] {
    for (Answer& answer : answers) {
      stream.Start(SetOf("b", std::string(3'000, 'x')), In(absl::Seconds(10)), answer.Fill());
    }
  });
  for (Answer& answer : answers) EXPECT_TRUE(answer.status().ok());
  EXPECT_EQ(node_.messages() - before, 1 + 7);  // three to a message
  // One alone may be larger.
  Answer large;
  stream.Start(SetOf("c", std::string(100'000, 'x')), In(absl::Seconds(10)), large.Fill());
  EXPECT_TRUE(large.status().ok()) << large.status();
}

TEST_F(BatchStreamTest, ACutStreamTellsWhatWasSentAndTheNextConnects) {
  BatchStream& stream = Stream();
  test::Door door;
  node_.SetHook([&](const v1::Operation& op) -> std::optional<test::FakeAnswer> {
    if (op.has_set()) {
      door.Pass();
      return test::FakeAnswer{.cut = true};
    }
    return std::nullopt;
  });
  Answer sent;
  stream.Start(SetOf("k", "v"), In(absl::Seconds(30)), sent.Fill());
  door.WaitForArrivals(1);
  door.Open();
  EXPECT_EQ(sent.status().code(), absl::StatusCode::kUnavailable) << sent.status();
  EXPECT_EQ(sent.fate(), Fate::kSent);
  node_.SetHook(nullptr);
  EXPECT_TRUE(StartUntilConnected(stream).ok());
}

TEST_F(BatchStreamTest, AnUnreachableNodeFailsOperationsAsNotSent) {
  node_.Stop();
  BatchStream& stream = Stream();
  Answer answer;
  stream.Start(SetOf("k", "v"), In(absl::Seconds(30)), answer.Fill());
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kUnavailable) << answer.status();
  EXPECT_EQ(answer.fate(), Fate::kNotSent);
  // Within the pause: at once, without a try.
  Answer at_once;
  stream.Start(SetOf("k", "v"), In(absl::Seconds(30)), at_once.Fill());
  EXPECT_EQ(at_once.fate(), Fate::kNotSent);
  node_.Start();
  EXPECT_TRUE(StartUntilConnected(stream).ok());
}

TEST_F(BatchStreamTest, AnOperationEndsAtItsDeadlineAndTheStreamGoesOn) {
  BatchStream& stream = Stream();
  ASSERT_TRUE(StartUntilConnected(stream).ok());
  node_.SetHook([](const v1::Operation& op) -> std::optional<test::FakeAnswer> {
    if (op.has_set()) return test::FakeAnswer{.drop = true};
    return std::nullopt;
  });
  Answer later;
  stream.Start(SetOf("k", "v"), In(absl::Seconds(600)), later.Fill());
  // On a slow machine it may not even leave within its time: then it is given more.
  Fate fate = Fate::kNotSent;
  for (absl::Duration time = absl::Milliseconds(50);
       fate == Fate::kNotSent && time < absl::Minutes(1); time *= 2) {
    Answer dropped;
    stream.Start(SetOf("k", "v"), In(time), dropped.Fill());
    EXPECT_EQ(dropped.status().code(), absl::StatusCode::kDeadlineExceeded);
    fate = dropped.fate();
  }
  EXPECT_EQ(fate, Fate::kSent);
  EXPECT_FALSE(later.done());
  Answer past;
  stream.Start(GetOf("k"), In(-absl::Milliseconds(1)), past.Fill());
  EXPECT_EQ(past.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(past.fate(), Fate::kNotSent);
  EXPECT_TRUE(StartUntilConnected(stream).ok());
  stream.Stop();
  EXPECT_EQ(later.status().code(), absl::StatusCode::kCancelled);
}

TEST_F(BatchStreamTest, CancelEndsOneOperation) {
  BatchStream& stream = Stream();
  ASSERT_TRUE(StartUntilConnected(stream).ok());
  node_.SetHook([](const v1::Operation&) { return test::FakeAnswer{.drop = true}; });
  Answer answer;
  const uint64_t id = stream.Start(GetOf("k"), In(absl::Seconds(600)), answer.Fill());
  stream.Cancel(id);
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kCancelled);
  stream.Cancel(id);  // Without effect.
  EXPECT_EQ(stream.outstanding(), 0u);
}

TEST_F(BatchStreamTest, RefusesBeyondItsBounds) {
  BatchStream& stream = Stream({.max_operations = 2, .max_bytes = 1 << 20});
  node_.SetHook([](const v1::Operation&) { return test::FakeAnswer{.drop = true}; });
  Answer one, two, three;
  stream.Start(GetOf("k"), In(absl::Seconds(600)), one.Fill());
  const uint64_t id = stream.Start(GetOf("k"), In(absl::Seconds(600)), two.Fill());
  stream.Start(GetOf("k"), In(absl::Seconds(600)), three.Fill());
  EXPECT_EQ(three.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(base::Reason(three.status()), base::reason::kOverload);
  EXPECT_EQ(three.fate(), Fate::kNotSent);
  stream.Cancel(id);
  Answer bytes;
  stream.Start(SetOf("k", std::string(1 << 20, 'x')), In(absl::Seconds(600)), bytes.Fill());
  EXPECT_EQ(bytes.status().code(), absl::StatusCode::kResourceExhausted);
  Answer too_large;
  stream.Start(SetOf("k", std::string(5 << 20, 'x')), In(absl::Seconds(600)), too_large.Fill());
  EXPECT_EQ(too_large.status().code(), absl::StatusCode::kInvalidArgument);
  stream.Stop();
}

TEST_F(BatchStreamTest, WhatACallbackStartsGoesTogetherAndIsRefusedBeyondTheBounds) {
  constexpr size_t kLimit = 300;
  constexpr size_t kStarted = 1000;
  BatchStream& stream = Stream({.paced = true, .max_operations = kLimit});
  ASSERT_TRUE(StartUntilConnected(stream).ok());
  const int64_t before = node_.messages();
  std::atomic<size_t> left{kStarted};
  test::Notification all;
  std::vector<Noted> others(kStarted);
  for (Noted& other : others) {
    other.at_end = [&] {
      if (left.fetch_sub(1) == 1) all.Notify();
    };
  }
  Noted first;
  first.at_end = [&] {
    for (Noted& other : others) stream.StartSoon(&other);
  };
  stream.StartSoon(&first);
  all.Wait();
  size_t answered = 0;
  for (const Noted& other : others) {
    EXPECT_EQ(other.ends, 1);
    answered += other.code == absl::StatusCode::kOk ? 1 : 0;
    if (other.code != absl::StatusCode::kOk) {
      EXPECT_EQ(other.code, absl::StatusCode::kResourceExhausted);
    }
  }
  EXPECT_EQ(answered, kLimit);
  // In halves, of which each is answered before the third goes: 150, 75 or more, and so on.
  EXPECT_LE(node_.messages() - before, 1 + 16);
}

TEST_F(BatchStreamTest, WhatACallbackStartsOnAStoppedStreamIsCancelled) {
  BatchStream& stream = Stream({.paced = true});
  ASSERT_TRUE(StartUntilConnected(stream).ok());
  test::Notification ended;
  Noted second;
  second.at_end = [&] { ended.Notify(); };
  Noted first;
  first.at_end = [&] {
    stream.Shutdown();
    stream.StartSoon(&second);
  };
  stream.StartSoon(&first);
  ended.Wait();
  EXPECT_EQ(first.code, absl::StatusCode::kOk);
  EXPECT_EQ(second.code, absl::StatusCode::kCancelled);
  stream.Stop();
}

TEST_F(BatchStreamTest, CarriesTypedErrorsAndTheirDetails) {
  BatchStream& stream = Stream();
  test::FakeCacheNode other(&cluster_, "n2");
  other.Start();
  cluster_.SetMap(test::MapOf({&other}, 2));
  Answer refused;
  stream.Start(GetOf("k"), In(absl::Seconds(10)), refused.Fill());
  EXPECT_EQ(refused.fate(), Fate::kAnswered);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  const auto detail = WrongOwnerOf(refused.status());
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->map_version(), 2u);
  stream.Stop();
  // A stream of the other kind is forwarded.
  Answer forwarded;
  Stream({.refuse_wrong_owner = false}).Start(GetOf("k"), In(absl::Seconds(10)), forwarded.Fill());
  EXPECT_TRUE(forwarded.status().ok()) << forwarded.status();
}

TEST_F(BatchStreamTest, AStreamForLargeValuesSaysSoEachTimeItConnects) {
  const std::string large(1 << 20, 'x');
  cluster_.Put("default", "k", {.value = large});
  BatchStream& stream = Stream({.max_value_bytes = 1 << 20});
  for (int i = 0; i < 2; ++i) {
    Answer got;
    stream.Start(GetOf("k"), In(absl::Seconds(60)), got.Fill());
    ASSERT_TRUE(got.status().ok()) << got.status();
    EXPECT_TRUE(got.result().get().value() == large);
    node_.SetHook([](const v1::Operation&) { return test::FakeAnswer{.cut = true}; });
    Answer cut;
    stream.Start(GetOf("k"), In(absl::Seconds(60)), cut.Fill());
    EXPECT_EQ(cut.status().code(), absl::StatusCode::kUnavailable);
    node_.SetHook(nullptr);
    // It is left alone for a moment.
    for (bool again = true; again;) {
      Answer tried;
      stream.Start(GetOf("k"), In(absl::Seconds(60)), tried.Fill());
      again = !tried.status().ok();
    }
  }
  Answer small;
  Stream().Start(GetOf("k"), In(absl::Seconds(60)), small.Fill());
  EXPECT_EQ(small.result().get().outcome(), v1::OUTCOME_USE_STREAM);
}

// A caller who blocks, as far as the stream knows.
class BlockingGet final : public BatchOperation {
 public:
  BlockingGet(const std::string& bytes, std::atomic<int>* ended) : ended_(ended) {
    head = bytes;
    deadline = In(absl::Seconds(60));
    blocking = true;
  }

 private:
  void OnEnd(BatchEnd& end) override {
    EXPECT_TRUE(end.status.ok()) << end.status;
    ++*ended_;
  }
  std::atomic<int>* const ended_;
};

// Of those who wait for large values nobody would say that the rest is to go.
TEST_F(BatchStreamTest, ManyBlockingCallersAreACrowdButNotForLargeValues) {
  const OperationBytes get = GetOf("k");
  for (const uint64_t max_value_bytes : {0, 1 << 20}) {
    BatchStream& stream = Stream({.paced = true, .max_value_bytes = max_value_bytes});
    std::atomic<int> ended{0};
    std::vector<std::unique_ptr<BlockingGet>> gets;
    for (int i = 0; i < 40; ++i) gets.push_back(std::make_unique<BlockingGet>(*get, &ended));
    for (const auto& one : gets) stream.Start(one.get());
    while (ended < 40) std::this_thread::yield();
    EXPECT_EQ(stream.crowded(), max_value_bytes == 0);
    stream.Stop();
  }
}

TEST_F(BatchStreamTest, StopAnswersEverythingAndRefusesTheRest) {
  BatchStream& stream = Stream();
  node_.SetHook([](const v1::Operation&) { return test::FakeAnswer{.drop = true}; });
  std::vector<Answer> answers(50);
  for (Answer& answer : answers) {
    stream.Start(GetOf("k"), In(absl::Seconds(600)), answer.Fill());
  }
  stream.Stop();
  for (Answer& answer : answers) {
    EXPECT_TRUE(answer.done());
    EXPECT_EQ(answer.status().code(), absl::StatusCode::kCancelled);
  }
  Answer after;
  stream.Start(GetOf("k"), In(absl::Seconds(600)), after.Fill());
  EXPECT_EQ(after.status().code(), absl::StatusCode::kCancelled);
}

TEST_F(BatchStreamTest, ManyThreadsWhileStreamsAreCut) {
  BatchStream& stream = Stream({.min_backoff = absl::Milliseconds(1)});
  constexpr int kThreads = 4;
  constexpr int kEach = 300;
  std::atomic<int> ok{0};
  std::atomic<int> cut{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach;) {
        Answer answer;
        const std::string key = std::to_string(t) + "." + std::to_string(i);
        stream.Start(SetOf(key, key), In(absl::Seconds(60)), answer.Fill());
        if (answer.status().ok()) {
          EXPECT_TRUE(cluster_.Find("default", key).has_value());
          // In the midst of the others' traffic.
          if (ok.fetch_add(1) % 100 == 50) node_.CutStreams();
          ++i;
        } else {
          EXPECT_EQ(answer.status().code(), absl::StatusCode::kUnavailable) << answer.status();
          if (answer.fate() == Fate::kSent) cut.fetch_add(1);
          std::this_thread::yield();
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ok, kThreads * kEach);
  EXPECT_GT(cut, 0);
  EXPECT_GE(node_.streams_opened(), 10);
  EXPECT_EQ(stream.outstanding(), 0u);
}

// Messages follow each other while the ones before are handed out, by whichever thread comes.
TEST_F(BatchStreamTest, AQueueOfManyThreadsHandsOutOneMessageAtATime) {
  ServeWith(3);
  BatchStream& stream = Stream({.one_thread = false, .max_message_bytes = 64});
  constexpr int kCallers = 4;
  constexpr int kRounds = 40;
  constexpr int kTogether = 100;
  std::vector<std::thread> threads;
  for (int t = 0; t < kCallers; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < kRounds; ++round) {
        std::vector<Answer> answers(kTogether);
        for (int i = 0; i < kTogether; ++i) {
          const std::string key = absl::StrCat(t, ".", i);
          stream.Start(SetOf(key, key), In(absl::Seconds(60)), answers[i].Fill());
        }
        for (Answer& answer : answers) EXPECT_TRUE(answer.status().ok()) << answer.status();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(stream.outstanding(), 0u);
}

TEST(Timers, RunsTasksInTheirOrderAndForgetsCancelledOnes) {
  Poller poller("test");
  Timers timers(poller.queue());
  poller.Start();
  base::Mutex mu;
  std::vector<int> order;
  test::Notification last;
  const auto note = [&](int number) {
    return [&, number] {
      base::MutexLock lock(mu);
      order.push_back(number);
    };
  };
  timers.After(absl::Milliseconds(40), [&] { last.Notify(); });
  timers.After(absl::Milliseconds(20), note(2));
  timers.After(absl::Milliseconds(1), note(1));
  const uint64_t cancelled = timers.After(absl::Milliseconds(10), note(9));
  EXPECT_TRUE(timers.Cancel(cancelled));
  EXPECT_FALSE(timers.Cancel(cancelled));
  last.Wait();
  {
    base::MutexLock lock(mu);
    EXPECT_THAT(order, testing::ElementsAre(1, 2));
  }
  timers.After(absl::Hours(1), note(8));
  timers.Stop();
  EXPECT_EQ(timers.After(absl::ZeroDuration(), note(7)), 0u);
  poller.Stop();
  EXPECT_THAT(order, testing::ElementsAre(1, 2));
}

}  // namespace
}  // namespace atoll::rpc
