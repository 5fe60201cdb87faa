#include "client/breaker.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace atoll::client {
namespace {

constexpr absl::Duration kSecond = absl::Seconds(1);

TEST(Breakers, OpenOnErrorsInARowOrOnHalfOfTheLastTwenty) {
  struct Case {
    std::string name;
    std::string answers;  // '.' good, 'x' error
    bool out;
  };
  const std::vector<Case> cases = {
      {"nothing yet", "", false},
      {"four in a row", "xxxx", false},
      {"five in a row", "xxxxx", true},
      {"five with one good between", "xxx.xx", false},
      {"five in a row after good ones", "..........xxxxx", true},
      {"half of twenty", "x.x.x.x.x.x.x.x.x.x.x", true},
      {"nine of twenty", "x.x.x.x.x.x.x.x.x....x", false},
      {"half of fewer than twenty", ".x.x.x.x.x.x", false},
      {"old errors leave the window", "xxx.xxx.xxx.........x........", false},
      {"good again", "xxxxx.", false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Breakers breakers;
    for (const char answer : c.answers) breakers.Record("n", answer == '.', kSecond, 3);
    EXPECT_EQ(breakers.IsOut("n", kSecond), c.out);
    EXPECT_EQ(breakers.Allows("n", kSecond), !c.out);
  }
}

void Break(Breakers& breakers, const std::string& node, absl::Duration now, size_t nodes) {
  for (int i = 0; i < 5; ++i) breakers.Record(node, false, now, nodes);
}

TEST(Breakers, LetOneTrialThroughAndDoubleTheTimeWhenItFails) {
  Breakers breakers;
  absl::Duration now = 10 * kSecond;
  Break(breakers, "n", now, 3);
  for (const int out : {1, 2, 4, 8, 16, 30, 30}) {
    SCOPED_TRACE(out);
    EXPECT_FALSE(breakers.Allows("n", now + out * kSecond - absl::Milliseconds(1)));
    now += out * kSecond;
    EXPECT_TRUE(breakers.Allows("n", now));
    EXPECT_FALSE(breakers.Allows("n", now)) << "one trial at a time";
    breakers.Record("n", false, now, 3);
  }
  now += 30 * kSecond;
  EXPECT_TRUE(breakers.Allows("n", now));
  breakers.Record("n", true, now, 3);
  EXPECT_TRUE(breakers.Allows("n", now));
  EXPECT_TRUE(breakers.Allows("n", now));
  // From the beginning.
  Break(breakers, "n", now, 3);
  EXPECT_TRUE(breakers.Allows("n", now + kSecond));
}

TEST(Breakers, LateErrorsOfWhatWasSentBeforeDoNotCount) {
  Breakers breakers;
  Break(breakers, "n", kSecond, 3);
  EXPECT_TRUE(breakers.Allows("n", 2 * kSecond));
  breakers.Record("n", false, 2 * kSecond, 3);  // The trial: out for two more.
  for (int i = 0; i < 100; ++i) breakers.Record("n", false, 2 * kSecond, 3);
  EXPECT_TRUE(breakers.Allows("n", 4 * kSecond));
}

TEST(Breakers, ALostTrialDoesNotShutANodeOutForGood) {
  Breakers breakers;
  Break(breakers, "n", kSecond, 3);
  EXPECT_TRUE(breakers.Allows("n", 2 * kSecond));
  EXPECT_FALSE(breakers.Allows("n", 2 * kSecond + absl::Milliseconds(999)));
  EXPECT_TRUE(breakers.Allows("n", 3 * kSecond));
}

TEST(Breakers, NeverMoreThanHalfOfTheNodesAreOut) {
  for (const size_t nodes : {1u, 2u, 3u, 4u, 5u, 10u}) {
    SCOPED_TRACE(nodes);
    Breakers breakers;
    for (size_t i = 0; i < nodes; ++i) Break(breakers, std::to_string(i), kSecond, nodes);
    size_t out = 0;
    for (size_t i = 0; i < nodes; ++i) out += breakers.IsOut(std::to_string(i), kSecond) ? 1 : 0;
    EXPECT_EQ(out, nodes / 2);
  }
}

TEST(Breakers, ForgetANodeThatLeft) {
  Breakers breakers;
  Break(breakers, "a", kSecond, 3);
  breakers.Forget("a");
  EXPECT_TRUE(breakers.Allows("a", kSecond));
  Break(breakers, "b", kSecond, 3);
  EXPECT_TRUE(breakers.IsOut("b", kSecond));
}

}  // namespace
}  // namespace atoll::client
