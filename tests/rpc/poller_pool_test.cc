#include "rpc/poller_pool.h"

#include <grpcpp/alarm.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "rpc/completion_queue.h"
#include "tests/support/notification.h"

namespace atoll::rpc {
namespace {

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
  void Start(PollerPool& pool) {
    alarm_.Set(pool.queue(), std::chrono::system_clock::now(), Arm());
  }
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
  void Start() { alarm_.Set(pool_.queue(), std::chrono::system_clock::now(), Arm()); }
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

TEST_F(PollerPoolTest, WhatComesRarelyComes) {
  PollerPool& pool = Make({.name = "test", .rare = true});
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
