#include "base/copy.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace atoll::base {
namespace {

TEST(CopyBytes, CopiesAllOfItAndNothingBeside) {
  std::string from(80, '\0');
  for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<char>('0' + i % 75);
  for (size_t size = 0; size < 70; ++size) {
    std::vector<uint8_t> to(size + 2, 0xee);
    uint8_t* const end = CopyBytes(std::string_view(from).substr(1, size), to.data() + 1);
    EXPECT_EQ(end, to.data() + 1 + size);
    EXPECT_EQ(std::string(to.begin() + 1, to.end() - 1), from.substr(1, size)) << size;
    EXPECT_EQ(to.front(), 0xee) << size;
    EXPECT_EQ(to.back(), 0xee) << size;
  }
  const uint8_t* const nowhere = CopyBytes({}, nullptr);
  EXPECT_EQ(nowhere, nullptr);
}

}  // namespace
}  // namespace atoll::base
