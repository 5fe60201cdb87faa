#include "client/waiter.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "client/include/atoll/value.h"

namespace atoll::client {
namespace {

TEST(Waiter, ReturnsAtOnceWhenItWasWokenBefore) {
  Waiter waiter;
  waiter.Wake();
  waiter.Wait();
}

TEST(Waiter, SeesWhatWasDoneBeforeItsWakeUpAndMayBeGoneAfterwards) {
  // Two threads wake each other; each waiter lives for one turn.
  constexpr int kTurns = 3000;
  struct Turn {
    Waiter waiter;
    int written = 0;
  };
  std::vector<std::unique_ptr<Turn>> turns;
  for (int i = 0; i < 2 * kTurns; ++i) turns.push_back(std::make_unique<Turn>());
  const auto play = [&](int first) {
    for (int i = first; i < 2 * kTurns; i += 2) {
      if (i > 0) {
        std::unique_ptr<Turn>& before = turns[static_cast<size_t>(i - 1)];
        before->waiter.Wait();
        ASSERT_EQ(before->written, i - 1);
        before.reset();
      }
      Turn& mine = *turns[static_cast<size_t>(i)];
      mine.written = i;
      mine.waiter.Wake();
    }
  };
  std::thread other([&] { play(1); });
  play(0);
  other.join();
}

TEST(Value, TwoOfOneBlockShareNoBytes) {
  const auto block = std::make_shared<const std::string>("onetwo");
  const std::string_view bytes(*block);
  const Value one(block, bytes.substr(0, 3));
  const Value two(block, bytes.substr(3));
  EXPECT_FALSE(one.SharesWith(two));
  EXPECT_TRUE(one.SharesWith(Value(one)));
  EXPECT_FALSE(one == two);
  EXPECT_FALSE(Value().SharesWith(Value()));
}

}  // namespace
}  // namespace atoll::client
