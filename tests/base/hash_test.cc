#include "base/hash.h"

#include <gtest/gtest.h>

#include <string>

namespace atoll::base {
namespace {

// A wire contract: the values were confirmed with `xxhsum -H3` over the same bytes, e.g.
// `printf '\007defaulta'`.
TEST(Hash, GoldenValues) {
  EXPECT_EQ(HashKey("default", "a"), 0x8b5eec818525d272u);
  EXPECT_EQ(HashKey("default", "user:42"), 0x9a0e64db584f3b0cu);
  EXPECT_EQ(HashKey("default", std::string("\0\xff", 2)), 0xebd562a691eb25b9u);
  EXPECT_EQ(HashKey("default", std::string(1024, 'k')), 0x84bf450dacc9e444u);
}

TEST(Hash, InputBeyondTheLimitsHashesAlike) {
  EXPECT_EQ(HashKey("default", std::string(5000, 'k')), 0x704f99c6b6e277a3u);
}

TEST(Hash, TheNamespaceIsKeptApartFromTheKey) {
  EXPECT_NE(HashKey("ab", "c"), HashKey("a", "bc"));
  EXPECT_NE(HashKey("", "abc"), HashKey("abc", ""));
}

TEST(Hash, ThePartitionIsTheTopTwelveBits) {
  EXPECT_EQ(PartitionOfHash(0), PartitionId(0));
  EXPECT_EQ(PartitionOfHash(~uint64_t{0}), PartitionId(4095));
  EXPECT_EQ(PartitionOfHash(0x8b5eec818525d272u), PartitionId(0x8b5));
}

}  // namespace
}  // namespace atoll::base
