#include "client/include/atoll/value.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

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

}  // namespace
}  // namespace atoll
