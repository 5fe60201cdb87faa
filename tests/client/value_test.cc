#include "client/include/atoll/value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "client/received_pieces.h"

namespace atoll {
namespace {

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

// What is received stays until nobody can want it.
class PiecesTest : public testing::Test {
 protected:
  std::vector<std::string_view> Views() const { return {(*received_)[0], (*received_)[1]}; }

  std::shared_ptr<const std::vector<std::string>> received_ =
      std::make_shared<const std::vector<std::string>>(std::vector<std::string>{"one", "two"});
  const std::weak_ptr<const void> alive_ = received_;
  Value value_{std::make_shared<client::ReceivedPieces>(received_, Views(), 6), 6};
};

TEST_F(PiecesTest, AreJoinedOnceForAllCopiesAndThenLetGo) {
  received_.reset();
  const Value copy = value_;
  EXPECT_EQ(value_.size(), 6u);
  EXPECT_FALSE(value_.empty());
  EXPECT_TRUE(value_.SharesWith(copy));
  EXPECT_FALSE(alive_.expired());
  const std::string_view joined = value_.view();
  EXPECT_EQ(joined, "onetwo");
  EXPECT_EQ(copy.view().data(), joined.data());
  EXPECT_TRUE(alive_.expired());
  EXPECT_THAT(copy.pieces(), testing::ElementsAre("onetwo"));
  EXPECT_EQ(copy.ToString(), "onetwo");
  EXPECT_TRUE(copy == Value("onetwo"));
}

TEST_F(PiecesTest, ThatWereGivenOutStayWhenTheyAreJoined) {
  const std::vector<std::string_view> pieces = value_.pieces();
  EXPECT_THAT(pieces, testing::ElementsAre("one", "two"));
  EXPECT_EQ(pieces[0].data(), (*received_)[0].data());  // not copied
  received_.reset();
  EXPECT_EQ(value_.view(), "onetwo");
  EXPECT_FALSE(alive_.expired());
  value_ = Value();
  EXPECT_TRUE(alive_.expired());
}

TEST_F(PiecesTest, SeveralThreadsSeeTheSameBytes) {
  std::vector<std::string_view> seen(4);
  std::vector<std::thread> threads;
  threads.reserve(seen.size());
  for (std::string_view& view : seen) {
    threads.emplace_back([&view, copy = value_] { view = copy.view(); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string_view view : seen) {
    EXPECT_EQ(view, "onetwo");
    EXPECT_EQ(view.data(), seen[0].data());
  }
}

TEST(Value, InOnePieceHasOneAndOfNothingNone) {
  EXPECT_THAT(Value("one").pieces(), testing::ElementsAre("one"));
  EXPECT_TRUE(Value().pieces().empty());
}

}  // namespace
}  // namespace atoll
