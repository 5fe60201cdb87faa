#include "rpc/poller_pool.h"

#include <grpcpp/alarm.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
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
