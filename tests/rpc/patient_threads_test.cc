#include "rpc/patient_threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "rpc/completion_queue.h"
#include "tests/support/notification.h"

namespace atoll::rpc {
namespace {

class Task final : public Tag {
 public:
  explicit Task(std::function<void()> run) : run_(std::move(run)) {}
  void PushTo(PatientThreads& threads) { threads.Push({.tag = Arm(), .ok = true}); }
  void Proceed(bool ok) override {
    EXPECT_TRUE(ok);
    run_();
  }

 private:
  const std::function<void()> run_;
};

TEST(PatientThreads, CarryOutWhatIsPushedInItsOrder) {
  PatientThreads threads("test", 1);
  threads.Start();
  test::Notification may_go_on;
  std::vector<int> ran;
  Task first([&] {
    may_go_on.Wait();
    ran.push_back(1);
  });
  Task second([&] { ran.push_back(2); });
  Task third([&] { ran.push_back(3); });
  first.PushTo(threads);
  second.PushTo(threads);
  third.PushTo(threads);
  EXPECT_FALSE(threads.empty());
  may_go_on.Notify();
  threads.Stop();
  EXPECT_TRUE(threads.empty());
  EXPECT_EQ(ran, (std::vector{1, 2, 3}));
  threads.Stop();
}

TEST(PatientThreads, AnotherThreadTakesOverWhileTheFirstDoesNotComeBack) {
  PatientThreads threads("test", 2);
  threads.Start();
  test::Notification second_ran;
  Task first([&] { second_ran.Wait(); });
  Task second([&] { second_ran.Notify(); });
  first.PushTo(threads);
  second.PushTo(threads);
  second_ran.Wait();
  threads.Stop();
}

TEST(PatientThreads, WithoutAThreadWhatWasPushedIsCarriedOutAtTheEnd) {
  PatientThreads threads("test", 2);
  bool ran = false;
  Task task([&] { ran = true; });
  task.PushTo(threads);
  threads.Stop();
  EXPECT_TRUE(ran);
}

TEST(PatientThreads, WhatComesWhileTheyAreAtWorkIsDoneBeforeTheyStop) {
  constexpr int kTasks = 1000;
  std::atomic<int> ran{0};
  std::vector<std::unique_ptr<Task>> tasks;
  for (int i = 0; i < kTasks; ++i) tasks.push_back(std::make_unique<Task>([&] { ++ran; }));
  PatientThreads threads("test", 3);
  threads.Start();
  std::thread other([&] {
    for (int i = 0; i < kTasks / 2; ++i) tasks[static_cast<size_t>(i)]->PushTo(threads);
  });
  for (int i = kTasks / 2; i < kTasks; ++i) tasks[static_cast<size_t>(i)]->PushTo(threads);
  other.join();
  threads.Stop();
  EXPECT_EQ(ran, kTasks);
}

}  // namespace
}  // namespace atoll::rpc
