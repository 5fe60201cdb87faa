#include "base/gate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"

namespace atoll::base {
namespace {

TEST(Gate, RefusesAfterClose) {
  Gate gate;
  EXPECT_TRUE(gate.Enter());
  EXPECT_EQ(gate.inside(), 1);
  gate.Close();
  EXPECT_TRUE(gate.closed());
  EXPECT_FALSE(gate.Enter());
  EXPECT_EQ(gate.inside(), 1);
}

TEST(Gate, DrainOfAnEmptyGateReturnsAtOnce) {
  Gate gate;
  gate.Close();
  gate.Close();
  EXPECT_TRUE(gate.Drain(absl::ZeroDuration()));
}

TEST(Gate, DrainGivesUpAtItsTimeout) {
  Gate gate;
  ASSERT_TRUE(gate.Enter());
  gate.Close();
  EXPECT_FALSE(gate.Drain(absl::Milliseconds(1)));
  gate.Leave();
  EXPECT_TRUE(gate.Drain(absl::ZeroDuration()));
}

TEST(Gate, DrainWaitsForTheLastToLeave) {
  Gate gate;
  ASSERT_TRUE(gate.Enter());
  std::atomic<bool> left{false};
  gate.Close();
  std::thread leaver([&] {
    left = true;
    gate.Leave();
  });
  EXPECT_TRUE(gate.Drain(absl::Seconds(10)));
  EXPECT_TRUE(left.load());
  leaver.join();
}

TEST(Gate, MayBeDestroyedOnceDrained) {
  for (int round = 0; round < 200; ++round) {
    auto gate = std::make_unique<Gate>();
    std::vector<std::thread> users;
    std::atomic<int> started{0};
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(gate->Enter());
      users.emplace_back([&started, raw = gate.get()] {
        ++started;
        raw->Leave();
      });
    }
    gate->Close();
    ASSERT_TRUE(gate->Drain(absl::Seconds(10)));
    gate.reset();
    for (std::thread& user : users) {
      user.join();
    }
  }
}

}  // namespace
}  // namespace atoll::base
