#include "rpc/thread_demand.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace atoll::rpc {
namespace {

class ThreadDemandTest : public testing::Test {
 protected:
  // The first window began with the clock.
  void SetUp() override { After(1, 0.5); }

  // Windows in which the threads were so busy together, and the first one waited so much.
  int After(int windows, double busy, double crowd = 0) {
    for (int i = 0; i < windows; ++i) {
      now_ += ThreadDemand::kWindow;
      cpu_ += ThreadDemand::kWindow * busy;
      waited_ += ThreadDemand::kWindow * crowd;
      EXPECT_TRUE(demand_.Due(now_));
      demand_.Observe(now_, cpu_, waited_);
    }
    return demand_.threads();
  }

  ThreadDemand demand_{1, 3};
  absl::Duration now_ = absl::Seconds(1000);
  absl::Duration cpu_ = absl::ZeroDuration();
  absl::Duration waited_ = absl::ZeroDuration();
};

constexpr int kEnough = ThreadDemand::kWindows;

TEST_F(ThreadDemandTest, OneThreadIsEnoughWhileItHasTimeLeft) {
  EXPECT_EQ(After(100, 0.0), 1);
  EXPECT_EQ(After(100, 0.9), 1);
}

TEST_F(ThreadDemandTest, AnOverworkedThreadGetsHelp) {
  EXPECT_EQ(After(kEnough - 1, 1.0), 1);
  EXPECT_EQ(After(1, 1.0), 2);
}

TEST_F(ThreadDemandTest, ABurstCallsNobody) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(After(kEnough - 1, 1.0), 1);
    EXPECT_EQ(After(1, 0.5), 1);
  }
}

TEST_F(ThreadDemandTest, NeverMoreThanThereAre) { EXPECT_EQ(After(1000, 3.0), 3); }

TEST_F(ThreadDemandTest, HelpersGoOnlyOnceTheRestHasTimeToSpare) {
  ASSERT_EQ(After(1000, 3.0), 3);
  EXPECT_EQ(After(100, 1.6), 3);
  EXPECT_EQ(After(kEnough, 1.4), 2);
  EXPECT_EQ(After(100, 0.8), 2);
  EXPECT_EQ(After(kEnough, 0.7), 1);
  EXPECT_EQ(After(100, 0.0), 1);
}

TEST_F(ThreadDemandTest, HelpersForWhomThereIsNoProcessorGo) {
  ASSERT_EQ(After(kEnough, 1.0), 2);
  EXPECT_EQ(After(kEnough - 1, 1.2, 0.3), 2);
  EXPECT_EQ(After(1, 1.2, 0.3), 1);
  // Waiting alone takes nobody away where nobody was added.
  EXPECT_EQ(After(100, 0.5, 0.5), 1);
}

TEST_F(ThreadDemandTest, WhileTheMachineIsCrowdedHelpersAreCalledLessAndLessOften) {
  // In each turn: until the helper comes, and until it goes.
  int before = 0;
  for (int turn = 0; turn < 12; ++turn) {
    int windows = 0;
    while (After(1, 1.0) == 1) ASSERT_LE(++windows, ThreadDemand::kLongestPause);
    EXPECT_GE(windows, std::min(before * 3 / 2, ThreadDemand::kLongestPause - 1)) << turn;
    before = windows;
    ASSERT_EQ(After(kEnough, 1.2, 0.3), 1);
  }
  EXPECT_GE(before, ThreadDemand::kLongestPause - 1);
}

TEST_F(ThreadDemandTest, AHelperThatDoesMuchStaysThoughAllWaitForProcessors) {
  ASSERT_EQ(After(kEnough, 1.0), 2);
  EXPECT_EQ(After(100, 1.7, 0.15), 2);
  EXPECT_EQ(After(kEnough, 1.2, 0.15), 1);
}

TEST_F(ThreadDemandTest, AHelperThatWentForWantOfWorkComesBackAtOnce) {
  ASSERT_EQ(After(kEnough, 1.0), 2);
  ASSERT_EQ(After(kEnough, 1.2, 0.3), 1);
  ASSERT_EQ(After(ThreadDemand::kFirstPause, 1.0), 2);
  ASSERT_EQ(After(kEnough, 0.5), 1);
  EXPECT_EQ(After(kEnough, 1.0), 2);
}

TEST_F(ThreadDemandTest, ThoseThatAreAlwaysThereStay) {
  ThreadDemand demand(2, 3);
  EXPECT_EQ(demand.threads(), 2);
  for (int i = 1; i < 100; ++i) demand.Observe(now_ + i * ThreadDemand::kWindow, cpu_);
  EXPECT_EQ(demand.threads(), 2);
}

TEST_F(ThreadDemandTest, AWindowIsDueWhenItIsOver) {
  After(1, 0.5);
  EXPECT_FALSE(demand_.Due(now_));
  EXPECT_FALSE(demand_.Due(now_ + ThreadDemand::kWindow / 2));
  EXPECT_TRUE(demand_.Due(now_ + ThreadDemand::kWindow));
}

}  // namespace
}  // namespace atoll::rpc
