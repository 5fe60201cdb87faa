#include "bench/replay_look_aside.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

namespace atoll::bench {
namespace {

// Keeps everything, or refuses it.
class MapTarget final : public LookAsideTarget {
 public:
  absl::StatusOr<std::vector<std::optional<std::string>>> GetMany(
      absl::Span<const std::string> keys) override {
    batches.push_back(keys.size());
    std::vector<std::optional<std::string>> values(keys.size());
    for (size_t i = 0; i < keys.size(); ++i) {
      const auto found = entries_.find(keys[i]);
      if (found != entries_.end()) values[i] = found->second;
    }
    return values;
  }
  absl::StatusOr<uint64_t> SetMany(absl::Span<const PeerItem> items) override {
    if (refuse) return items.size();
    for (const PeerItem& item : items) {
      entries_[std::string(item.key)] = corrupt ? "other" : std::string(item.value);
    }
    return 0;
  }

  bool refuse = false;
  bool corrupt = false;
  std::vector<size_t> batches;

 private:
  std::map<std::string, std::string> entries_;
};

std::vector<TraceRequest> Keys(std::initializer_list<uint64_t> keys) {
  std::vector<TraceRequest> trace;
  trace.reserve(keys.size());
  for (const uint64_t key : keys) trace.push_back({.key = key, .size = 50});
  return trace;
}

TEST(LookAside, MissesWhatOneRequestAfterTheOtherWouldMiss) {
  MapTarget target;
  const auto result = LookAside(Keys({1, 2, 1, 3, 3, 2, 4, 4}), {.batch = 3}, target);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->requests, 8u);
  EXPECT_EQ(result->misses, 4u);
  EXPECT_EQ(result->late_requests, 4u);
  EXPECT_EQ(result->late_misses, 1u);
  EXPECT_EQ(result->wrong, 0u);
  EXPECT_EQ(target.batches, (std::vector<size_t>{2, 2, 3, 1}))
      << "a batch goes on past a key that it has already, or ends too early";
}

TEST(LookAside, CountsWhatIsRefusedAndWhatComesBackWrong) {
  MapTarget refusing;
  refusing.refuse = true;
  auto result = LookAside(Keys({1, 1, 1}), {}, refusing);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->misses, 3u);
  EXPECT_EQ(result->refused, 3u);
  MapTarget corrupting;
  corrupting.corrupt = true;
  result = LookAside(Keys({1, 1, 1}), {}, corrupting);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->wrong, 2u);
}

// A cache that takes `fixed` MiB more than 1.25 times its limit.
uint64_t Best(uint64_t goal_mib, uint64_t least_mib, uint64_t fixed) {
  LimitSearch search(goal_mib << 20, least_mib);
  uint64_t best = 0;
  int tries = 0;
  while (!search.done()) {
    const uint64_t limit = search.next_mib();
    if (search.Tried(((limit * 5 / 4) + fixed) << 20)) best = limit;
    EXPECT_LT(++tries, 10);
  }
  return best;
}

TEST(LimitSearch, FindsTheLargestLimitThatKeepsToTheGoal) {
  EXPECT_EQ(Best(64, 8, 0), 51u);
  EXPECT_EQ(Best(64, 8, 10), 43u);
  EXPECT_EQ(Best(100, 8, 3), 79u);
}

TEST(LimitSearch, EndsAtTheLeastThatACacheTakes) { EXPECT_EQ(Best(64, 64, 10), 64u); }

TEST(LimitSearch, GoesUpWhereACacheTakesLessThanItsLimit) {
  LimitSearch search(uint64_t{64} << 20, 8);
  ASSERT_EQ(search.next_mib(), 64u);
  EXPECT_TRUE(search.Tried(uint64_t{60} << 20));
  EXPECT_GT(search.next_mib(), 64u);
}

}  // namespace
}  // namespace atoll::bench
