#include "server/store/extent_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "tests/server/store/store_test_util.h"

namespace atoll::store {
namespace {

TEST(ExtentPool, RunsDoNotOverlapAndAllGoBack) {
  std::mt19937_64 random(TestSeed());
  const auto arena = *Arena::Create(kMinMemoryBytes, 0);
  const uint64_t before = arena->UsedBytes();
  ExtentPool pool(arena.get());
  struct Run {
    char* at;
    uint32_t lines;
    char fill;
  };
  std::vector<Run> runs;
  uint64_t lines_held = 0;
  const auto check_and_free = [&](size_t i) {
    const Run run = runs[i];
    const std::string expected(run.lines * ExtentPool::kLineBytes, run.fill);
    ASSERT_EQ(std::memcmp(run.at, expected.data(), expected.size()), 0);
    pool.Free(run.at, run.lines);
    lines_held -= run.lines;
    runs[i] = runs.back();
    runs.pop_back();
  };
  for (int i = 0; i < 200'000 && !testing::Test::HasFailure(); ++i) {
    if (runs.size() > 4000 || (random() % 3 == 0 && !runs.empty())) {
      check_and_free(random() % runs.size());
      continue;
    }
    const auto lines = static_cast<uint32_t>(1 + random() % ExtentPool::kMaxLines);
    auto* const at = static_cast<char*>(pool.Allocate(lines));
    ASSERT_NE(at, nullptr);
    ASSERT_EQ((at - arena->At(0)) % ExtentPool::kLineBytes, 0);
    runs.push_back({at, lines, static_cast<char>(random())});
    std::memset(at, runs.back().fill, lines * ExtentPool::kLineBytes);
    lines_held += lines;
  }
  // Holes are used up.
  EXPECT_LE(arena->UsedBytes() - before, lines_held * ExtentPool::kLineBytes * 5 / 4);
  while (!runs.empty() && !testing::Test::HasFailure()) check_and_free(runs.size() - 1);
  EXPECT_EQ(arena->UsedBytes(), before);
}

TEST(ExtentPool, WithoutASegmentLeftThereIsNone) {
  const auto arena = *Arena::Create(kMinMemoryBytes, 0);
  ExtentPool pool(arena.get());
  std::vector<void*> runs;
  while (void* const at = pool.Allocate(ExtentPool::kMaxLines)) runs.push_back(at);
  EXPECT_EQ(arena->Available(), 0u);
  EXPECT_LE(arena->UsedBytes(), kMinMemoryBytes);
  EXPECT_NE(pool.Allocate(1), nullptr) << "between the others";
  pool.Free(runs.back(), ExtentPool::kMaxLines);
  EXPECT_EQ(pool.Allocate(ExtentPool::kMaxLines), runs.back());
}

}  // namespace
}  // namespace atoll::store
