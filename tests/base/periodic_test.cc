#include "base/periodic.h"

#include <gtest/gtest.h>

#include <atomic>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "base/clock.h"

namespace atoll::base {
namespace {

TEST(Periodic, CallsAgainAndAgain) {
  absl::Notification third;
  int calls = 0;
  Periodic periodic(absl::Milliseconds(1), [&] {
    if (++calls == 3) {
      third.Notify();
    }
  });
  EXPECT_TRUE(third.WaitForNotificationWithTimeout(absl::Seconds(10)));
  periodic.Stop();
  EXPECT_GE(calls, 3);
}

TEST(Periodic, StopDoesNotWaitForTheInterval) {
  const absl::Duration start = Clock::Real().BootTime();
  std::atomic<int> calls{0};
  Periodic periodic(absl::Hours(1), [&] { ++calls; });
  periodic.Stop();
  periodic.Stop();
  EXPECT_LT(Clock::Real().BootTime() - start, absl::Minutes(1));
  EXPECT_EQ(calls.load(), 0);
}

TEST(Periodic, WakeCallsAtOnce) {
  absl::Notification called;
  Periodic periodic(absl::Hours(1), [&] { called.Notify(); });
  periodic.Wake();
  EXPECT_TRUE(called.WaitForNotificationWithTimeout(absl::Seconds(10)));
}

}  // namespace
}  // namespace atoll::base
