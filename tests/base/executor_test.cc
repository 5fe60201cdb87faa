#include "base/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>

#include "absl/synchronization/notification.h"

namespace atoll::base {
namespace {

TEST(Executor, RunsEverythingThatItTookBeforeStopReturns) {
  std::atomic<int> ran{0};
  Executor executor(4, 1000);
  int taken = 0;
  for (int i = 0; i < 1000; ++i) {
    taken += executor.TrySubmit([&ran] { ++ran; }) ? 1 : 0;
  }
  executor.Stop();
  EXPECT_EQ(ran.load(), taken);
  EXPECT_GT(taken, 0);
}

TEST(Executor, RefusesWhatDoesNotFitInTheQueue) {
  absl::Notification started;
  absl::Notification go;
  Executor executor(1, 2);
  ASSERT_TRUE(executor.TrySubmit([&] {
    started.Notify();
    go.WaitForNotification();
  }));
  started.WaitForNotification();
  EXPECT_TRUE(executor.TrySubmit([] {}));
  EXPECT_TRUE(executor.TrySubmit([] {}));
  EXPECT_FALSE(executor.TrySubmit([] {}));
  go.Notify();
}

TEST(Executor, RefusesAfterStopAndMayBeStoppedTwice) {
  Executor executor(2, 8);
  executor.Stop();
  executor.Stop();
  EXPECT_FALSE(executor.TrySubmit([] {}));
}

TEST(Executor, ATaskMaySubmitAnother) {
  absl::Notification done;
  Executor executor(1, 8);
  ASSERT_TRUE(executor.TrySubmit([&] { executor.TrySubmit([&] { done.Notify(); }); }));
  EXPECT_TRUE(done.WaitForNotificationWithTimeout(absl::Seconds(10)));
}

}  // namespace
}  // namespace atoll::base
