#include "rpc/thread_demand.h"

#include <gtest/gtest.h>

namespace atoll::rpc {
namespace {

class ThreadDemandTest : public testing::Test {
 protected:
  // The first window began with the clock.
  void SetUp() override { After(1, 0.5); }

  // Windows in which the threads were so busy together.
  int After(int windows, double busy) {
    for (int i = 0; i < windows; ++i) {
      now_ += ThreadDemand::kWindow;
      cpu_ += ThreadDemand::kWindow * busy;
      EXPECT_TRUE(demand_.Due(now_));
      demand_.Observe(now_, cpu_);
    }
    return demand_.threads();
  }

  ThreadDemand demand_{1, 3};
  absl::Duration now_ = absl::Seconds(1000);
  absl::Duration cpu_ = absl::ZeroDuration();
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
