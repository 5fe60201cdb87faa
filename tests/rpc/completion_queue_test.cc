#include "rpc/completion_queue.h"

#include <grpcpp/alarm.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <future>

namespace atoll::rpc {
namespace {

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ATOLL_TSAN 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define ATOLL_TSAN 1
#endif

// Counts, in a member that nothing guards but the order that the queue gives.
class Counter final : public Tag {
 public:
  Counter(grpc::CompletionQueue* queue, int rounds, int* sum)
      : queue_(queue), rounds_(rounds), sum_(sum) {}

  void Start() { alarm_.Set(queue_, std::chrono::system_clock::now(), Arm()); }
  void Proceed(bool ok) override {
    EXPECT_TRUE(ok);
    ++*sum_;
    if (--rounds_ > 0) {
      Start();
    } else {
      done_.set_value();
    }
  }
  void Wait() { done_.get_future().wait(); }

 private:
  grpc::CompletionQueue* const queue_;
  int rounds_;
  int* const sum_;
  grpc::Alarm alarm_;
  std::promise<void> done_;
};

TEST(Poller, HandsOutTagsUntilItIsStopped) {
  Poller poller("test");
  poller.Start();
  int sum = 0;
  Counter counter(poller.queue(), 100, &sum);
  counter.Start();
  counter.Wait();
  poller.Stop();
  poller.Stop();
  EXPECT_EQ(sum, 100);
}

TEST(Poller, StopsWithoutEverHavingStarted) {
  Poller poller("test");
  poller.Stop();
}

class Once final : public Tag {
 public:
  void Proceed(bool ok) override {
    handed_out = true;
    was_ok = ok;
  }
  bool handed_out = false;
  bool was_ok = true;
};

TEST(Poller, StopWaitsForWhatIsUnderWay) {
  Poller poller("test");
  poller.Start();
  Once once;
  grpc::Alarm alarm;
  alarm.Set(poller.queue(), std::chrono::system_clock::now() + std::chrono::hours(1), once.Arm());
  alarm.Cancel();
  poller.Stop();
  EXPECT_TRUE(once.handed_out);
  EXPECT_FALSE(once.was_ok);
}

// Two pollers and one number that nothing guards: a race, beside which the annotations must not
// make ThreadSanitizer blind.
void RaceOnPurpose() {
  Poller a("a");
  Poller b("b");
  a.Start();
  b.Start();
  int sum = 0;
  Counter in_a(a.queue(), 2'000, &sum);
  Counter in_b(b.queue(), 2'000, &sum);
  in_a.Start();
  in_b.Start();
  in_a.Wait();
  in_b.Wait();
  a.Stop();
  b.Stop();
  std::exit(0);  // ThreadSanitizer turns that into 66 if it has reported anything.
}

TEST(PollerDeathTest, AnInjectedRaceIsReported) {
#ifdef ATOLL_TSAN
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(RaceOnPurpose(), ::testing::ExitedWithCode(66), "data race");
#else
  (void)&RaceOnPurpose;
  GTEST_SKIP() << "needs the tsan preset: this build has no ThreadSanitizer";
#endif
}

}  // namespace
}  // namespace atoll::rpc
