#include "server/store/bytes.h"

#include <gtest/gtest.h>

#include <string>

namespace atoll::store {
namespace {

TEST(Bytes, CopiesJustSoMany) {
  std::string from;
  for (int i = 0; i < 400; ++i) from += static_cast<char>(i * 7 + i / 256);
  for (size_t size = 0; size <= 300; ++size) {
    std::string to(size + 2, '#');
    CopyBytes(to.data() + 1, from.data(), size);
    EXPECT_EQ(to, "#" + from.substr(0, size) + "#") << size;
  }
}

TEST(Bytes, EqualMeansEachByte) {
  for (size_t size = 0; size <= 300; ++size) {
    const std::string a(size, 'a');
    std::string b = a;
    EXPECT_TRUE(EqualBytes(a.data(), b.data(), size)) << size;
    for (char& byte : b) {
      byte = static_cast<char>(byte ^ 0x40);
      EXPECT_FALSE(EqualBytes(a.data(), b.data(), size)) << size << " at " << &byte - b.data();
      byte = static_cast<char>(byte ^ 0x40);
    }
  }
}

}  // namespace
}  // namespace atoll::store
