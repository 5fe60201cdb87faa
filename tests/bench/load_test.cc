#include "bench/load.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "absl/container/flat_hash_set.h"
#include "base/mutex.h"

namespace atoll::bench {
namespace {

// Remembers keys, answers at once, and counts what is under way.
class SetTarget final : public LoadTarget {
 public:
  Answer Read(absl::Span<const std::string> keys) override {
    base::MutexLock lock(mu_);
    Answer answer{.keys = static_cast<uint32_t>(keys.size())};
    for (const std::string& key : keys) answer.hits += stored_.contains(key) ? 1 : 0;
    if (refuse) answer.status = absl::ResourceExhaustedError("full");
    return answer;
  }
  Answer Write(absl::Span<const std::string> keys, std::string_view) override {
    base::MutexLock lock(mu_);
    stored_.insert(keys.begin(), keys.end());
    return {.keys = static_cast<uint32_t>(keys.size())};
  }
  // Answered by a thread of its own: an answer within the call would nest without end.
  void ReadAsync(absl::Span<const std::string> keys, Done done) override {
    Later(Read(keys), std::move(done));
  }
  void WriteAsync(absl::Span<const std::string> keys, std::string_view value, Done done) override {
    Later(Write(keys, value), std::move(done));
  }
  void Later(Answer answer, Done done) {
    most = std::max<int>(most.load(), ++under_way);
    std::thread([this, answer, done = std::move(done)]() mutable {
      --under_way;
      done(answer);
    }).detach();
  }

  std::atomic<int> under_way{0};
  std::atomic<int> most{0};
  bool refuse = false;

 private:
  base::Mutex mu_;
  absl::flat_hash_set<std::string> stored_ ABSL_GUARDED_BY(mu_);
};

LoadOptions Short() {
  LoadOptions options;
  options.workload.keys = 500;
  options.outstanding = 4;
  options.warmup = absl::ZeroDuration();
  options.duration = absl::Milliseconds(50);
  return options;
}

TEST(RunLoad, AFilledCacheAnswersEveryReadWithAHit) {
  SetTarget target;
  const LoadOptions options = Short();
  ASSERT_TRUE(Fill(options.workload, target, nullptr).ok());
  for (const bool async : {false, true}) {
    SCOPED_TRACE(async);
    LoadOptions each = options;
    each.async = async;
    const LoadResult result = RunLoad(each, target);
    EXPECT_GT(result.reads, 0u);
    EXPECT_EQ(result.hits, result.reads);
    EXPECT_EQ(result.errors, 0u);
    EXPECT_EQ(result.read_latency.count() + result.write_latency.count(), result.operations);
  }
}

TEST(RunLoad, AsynchronousCallersStayWithinTheirNumber) {
  SetTarget target;
  LoadOptions options = Short();
  options.async = true;
  RunLoad(options, target);
  // An answer starts its successor before it is signed off itself.
  EXPECT_LE(target.most.load(), 8);
  EXPECT_GE(target.most.load(), 2);
}

TEST(RunLoad, TheOpenLoopStartsWhatItsRateSays) {
  SetTarget target;
  LoadOptions options = Short();
  options.async = true;
  options.outstanding = 1000;
  options.rate = 1000;
  options.duration = absl::Milliseconds(200);
  const LoadResult result = RunLoad(options, target);
  // Appointments, not answers, make the number: at most 200, however slow the machine is.
  EXPECT_LE(result.operations, 201u);
  EXPECT_GT(result.operations, 0u);
}

TEST(RunLoad, BatchesCountTheirKeysAndRefusalsAreErrors) {
  SetTarget target;
  LoadOptions options = Short();
  options.workload.batch = 10;
  options.workload.read_share = 1;
  LoadResult result = RunLoad(options, target);
  EXPECT_EQ(result.keys, result.operations * 10);
  target.refuse = true;
  result = RunLoad(options, target);
  EXPECT_EQ(result.refused, result.operations);
  EXPECT_EQ(result.first_error.message(), "full");
}

TEST(LoadOptions, ARateNeedsAsynchronousCallers) {
  LoadOptions options = Short();
  options.rate = 10;
  EXPECT_FALSE(options.Validate().ok());
  options.async = true;
  EXPECT_TRUE(options.Validate().ok());
}

}  // namespace
}  // namespace atoll::bench
