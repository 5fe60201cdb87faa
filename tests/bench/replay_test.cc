#include "bench/replay.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "base/mutex.h"

namespace atoll::bench {
namespace {

// Keeps everything, and can be told to go wrong.
class MapTarget final : public ReplayTarget {
 public:
  absl::StatusOr<std::optional<std::string>> Get(std::string_view key) override {
    base::MutexLock lock(mu_);
    if (fail) return absl::UnavailableError("down");
    const auto found = entries_.find(std::string(key));
    if (found == entries_.end()) return std::nullopt;
    return found->second;
  }
  absl::Status Set(std::string_view key, std::string_view value) override {
    base::MutexLock lock(mu_);
    std::string stored(value);
    if (corrupt) stored[0] = static_cast<char>(stored[0] ^ 1);
    entries_[std::string(key)] = stored;
    return absl::OkStatus();
  }

  bool corrupt = false;
  bool fail = false;

 private:
  base::Mutex mu_;
  std::map<std::string, std::string> entries_ ABSL_GUARDED_BY(mu_);
};

std::vector<TraceRequest> Keys(std::initializer_list<uint64_t> keys) {
  std::vector<TraceRequest> trace;
  for (const uint64_t key : keys) trace.push_back({.key = key});
  return trace;
}

TEST(Replay, CountsHitsAndMissesLookAside) {
  MapTarget target;
  const ReplayResult result = Replay(Keys({1, 2, 1, 1, 3, 2}), {.threads = 1}, target);
  EXPECT_EQ(result.requests, 6u);
  EXPECT_EQ(result.hits, 3u);
  EXPECT_EQ(result.misses, 3u);
  EXPECT_EQ(result.wrong, 0u);
  EXPECT_EQ(result.gets.count(), 6u);
  EXPECT_EQ(result.sets.count(), 3u);
}

TEST(Replay, NoticesAValueThatIsNotWhatWasStored) {
  MapTarget target;
  target.corrupt = true;
  EXPECT_EQ(Replay(Keys({1, 1}), {.threads = 1}, target).wrong, 1u);
}

TEST(Replay, CountsErrorsAndKeepsTheFirst) {
  MapTarget target;
  target.fail = true;
  const ReplayResult result = Replay(Keys({1, 2}), {.threads = 1}, target);
  EXPECT_EQ(result.errors, 2u);
  EXPECT_EQ(result.first_error.message(), "down");
  EXPECT_EQ(result.hit_ratio(), 0);
}

TEST(Replay, ManyThreadsReplayEachRequestOnce) {
  MapTarget target;
  std::vector<TraceRequest> trace;
  for (uint64_t i = 0; i < 5000; ++i) trace.push_back({.key = i % 100});
  const ReplayResult result = Replay(trace, {.threads = 8}, target);
  EXPECT_EQ(result.requests, 5000u);
  EXPECT_EQ(result.hits + result.misses, 5000u);
  EXPECT_GE(result.misses, 100u);
}

TEST(ReplayValue, DependsOnTheKeyAlone) {
  EXPECT_EQ(ReplayValue(7, 100), ReplayValue(7, 100));
  EXPECT_NE(ReplayValue(7, 100), ReplayValue(8, 100));
  EXPECT_EQ(ReplayValue(7, 13).size(), 13u);
}

}  // namespace
}  // namespace atoll::bench
