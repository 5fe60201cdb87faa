#include "rpc/poller_pool.h"

#include <grpcpp/alarm.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "rpc/completion_queue.h"
#include "tests/support/notification.h"

namespace atoll::rpc {
namespace {

// An alarm for it is in the queue when Set returns; one for now goes off within some milliseconds.
constexpr std::chrono::system_clock::time_point kAtOnce;

// A pool on the queue of a server that serves nothing.
class PollerPoolTest : public testing::Test {
 protected:
  PollerPool& Make(PollerPool::Options options) {
    grpc::ServerBuilder builder;
    pool_ = std::make_unique<PollerPool>(std::move(options), builder.AddCompletionQueue());
    server_ = builder.BuildAndStart();
    return *pool_;
  }
  void TearDown() override { Stop(); }
  void Stop() {
    server_->Shutdown();
    pool_->Stop();
  }

  std::unique_ptr<PollerPool> pool_;
  std::unique_ptr<grpc::Server> server_;
};

class Task final : public Tag {
 public:
  explicit Task(std::function<void()> run) : run_(std::move(run)) {}
  void Start(PollerPool& pool) { alarm_.Set(pool.queue(), kAtOnce, Arm()); }
  void Proceed(bool /*ok*/) override { run_(); }

 private:
  const std::function<void()> run_;
  grpc::Alarm alarm_;
};

TEST_F(PollerPoolTest, AnotherThreadTakesOverWhileTheFirstDoesNotComeBack) {
  PollerPool& pool = Make({.name = "test", .threads = 2});
  test::Notification first_began;
  test::Notification second_ran;
  Task first([&] {
    first_began.Notify();
    second_ran.Wait();
  });
  Task second([&] { second_ran.Notify(); });
  pool.Start();
  first.Start(pool);
  first_began.Wait();
  second.Start(pool);
  second_ran.Wait();
  Stop();
  EXPECT_EQ(pool.wanted(), 1);
}

TEST_F(PollerPoolTest, ThreadsThatAreAlwaysThereRunAtTheSameTime) {
  PollerPool& pool = Make({.name = "test", .threads = 3, .always = 3});
  std::atomic<int> inside{0};
  test::Notification all_inside;
  const auto meet = [&] {
    if (++inside == 3) all_inside.Notify();
    all_inside.Wait();
  };
  Task tasks[] = {Task(meet), Task(meet), Task(meet)};
  pool.Start();
  for (Task& task : tasks) task.Start(pool);
  all_inside.Wait();
  Stop();
}

// Takes a thread's whole time until told to stop.
class Burner final : public Tag {
 public:
  explicit Burner(PollerPool& pool) : pool_(pool) {}
  void Start() { alarm_.Set(pool_.queue(), kAtOnce, Arm()); }
  void Proceed(bool /*ok*/) override {
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(100);
    while (std::chrono::steady_clock::now() < end) {
    }
    if (stop_) {
      stopped_.Notify();
    } else {
      Start();
    }
  }
  void Stop() {
    stop_ = true;
    stopped_.Wait();
  }

 private:
  PollerPool& pool_;
  std::atomic<bool> stop_{false};
  test::Notification stopped_;
  grpc::Alarm alarm_;
};

bool WantedBecomes(const PollerPool& pool, int wanted) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (pool.wanted() != wanted && std::chrono::steady_clock::now() < end) {
    std::this_thread::yield();
  }
  return pool.wanted() == wanted;
}

TEST_F(PollerPoolTest, AThreadThatHelpedSleepsWhenNothingComesAnyMore) {
  PollerPool& pool = Make({.name = "test", .threads = 2});
  Burner burners[] = {Burner(pool), Burner(pool), Burner(pool)};
  pool.Start();
  for (Burner& burner : burners) burner.Start();
  const bool helped = WantedBecomes(pool, 2);
  for (Burner& burner : burners) burner.Stop();
  const bool slept = WantedBecomes(pool, 1);
  Stop();
  if (!helped) GTEST_SKIP() << "this machine is too busy to give a thread nearly all of a core";
  EXPECT_TRUE(slept);
}

// What a client asks: notes the thread that carries it out.
class Patient final : public Tag {
 public:
  Work work() const override { return Work::kClients; }
  std::thread::id Run(PollerPool& pool) {
    ran_.emplace();
    alarm_.Set(pool.queue(), kAtOnce, Arm());
    ran_->Wait();
    return thread_;
  }
  void Proceed(bool /*ok*/) override {
    thread_ = std::this_thread::get_id();
    ran_->Notify();
  }

 private:
  std::optional<test::Notification> ran_;
  std::thread::id thread_;
  grpc::Alarm alarm_;
};

TEST_F(PollerPoolTest, WhereTheQueueHasNoRestWhatIsPatientGoesToAnotherThread) {
  PollerPool& pool = Make({.name = "test", .patient = 1});
  pool.Start();
  std::thread::id first;
  test::Notification began;
  Task task([&] {
    first = std::this_thread::get_id();
    began.Notify();
  });
  task.Start(pool);
  began.Wait();
  Patient patient;
  std::thread::id thread;
  const auto run_until = [&](bool on_first) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    do {
      thread = patient.Run(pool);
    } while ((thread == first) != on_first && std::chrono::steady_clock::now() < end);
    return (thread == first) == on_first;
  };
  EXPECT_TRUE(run_until(/*on_first=*/true)) << "there is nothing else to do";
  {
    // While one of them runs the others wait.
    Burner burners[] = {Burner(pool), Burner(pool), Burner(pool), Burner(pool)};
    for (Burner& burner : burners) burner.Start();
    EXPECT_TRUE(run_until(/*on_first=*/false));
    for (Burner& burner : burners) burner.Stop();
  }
  EXPECT_TRUE(run_until(/*on_first=*/true)) << "nothing waits any more";
  Stop();
}

TEST_F(PollerPoolTest, WhatComesRarelyComes) {
  PollerPool& pool = Make({.name = "test", .rare = absl::Milliseconds(20)});
  test::Notification ran;
  Task task([&] { ran.Notify(); });
  pool.Start();
  task.Start(pool);
  ran.Wait();
  Stop();
  Stop();
}

TEST_F(PollerPoolTest, StopsWithoutEverHavingStarted) { Make({.name = "test", .threads = 2}); }

}  // namespace
}  // namespace atoll::rpc
