#include "bench/trace.h"

#include <gtest/gtest.h>

#include <fstream>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"

namespace atoll::bench {
namespace {

std::string Write(const std::string& name, const std::string& bytes) {
  std::string path = absl::StrCat(testing::TempDir(), "/", name);
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

TEST(ReadTrace, Web07HasTheKeysThatItsReadmeSays) {
  const auto trace = ReadTrace(ATOLL_TRACES "/cache2k_web07.trace.xz");
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(trace->size(), 76'118u);
  absl::flat_hash_set<uint64_t> keys;
  for (const TraceRequest& request : *trace) keys.insert(request.key);
  EXPECT_EQ(keys.size(), 20'484u);
}

TEST(ReadTrace, ReadsKeysAndRecordsInTheirByteOrder) {
  const auto keys = ReadTrace(Write("small.trace", std::string("\0\0\1\2", 4)));
  ASSERT_TRUE(keys.ok()) << keys.status();
  ASSERT_EQ(keys->size(), 1u);
  EXPECT_EQ((*keys)[0].key, 258u);

  const auto records =
      ReadTrace(Write("small.bin", std::string("\1\0\0\0\0\0\0\2\x10\1\0\0\0\0\0\0", 16)));
  ASSERT_TRUE(records.ok()) << records.status();
  EXPECT_EQ((*records)[0].key, 0x0200000000000001u);
  EXPECT_EQ((*records)[0].size, 272u);
}

TEST(ReadTrace, RefusesWhatIsNoTrace) {
  EXPECT_EQ(ReadTrace("/nowhere/x.trace").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadTrace(Write("odd.trace", "12345")).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadTrace(Write("damaged.trace.xz", "not xz at all")).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadTrace(Write("empty.trace", "")).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace atoll::bench
