#include "bench/load.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "absl/functional/function_ref.h"
#include "base/mutex.h"
#include "bench/nanos.h"

namespace atoll::bench {
namespace {

// Remembers keys, answers at once, and counts what is under way.
class SetTarget final : public LoadTarget {
 public:
  // Who brings the answer of an asynchronous operation.
  enum class By : uint8_t { kOtherThread, kCaller };

  Answer Read(absl::Span<const std::string_view> keys) override {
    base::MutexLock lock(mu_);
    Answer answer{.keys = static_cast<uint32_t>(keys.size())};
    for (const std::string_view key : keys) answer.hits += stored_.contains(key) ? 1 : 0;
    if (refuse) answer.status = absl::ResourceExhaustedError("full");
    if (fail) answer.status = absl::UnavailableError("away");
    return answer;
  }
  Answer Write(absl::Span<const std::string_view> keys, std::string_view value) override {
    base::MutexLock lock(mu_);
    stored_.insert(keys.begin(), keys.end());
    least_value = std::min<size_t>(least_value.load(), value.size());
    most_value = std::max<size_t>(most_value.load(), value.size());
    return {.keys = static_cast<uint32_t>(keys.size())};
  }
  void ReadAsync(absl::Span<const std::string_view> keys, Completion done) override {
    Tell(Read(keys), done);
  }
  void WriteAsync(absl::Span<const std::string_view> keys, std::string_view value,
                  Completion done) override {
    Tell(Write(keys, value), done);
  }

  std::atomic<int> under_way{0};
  std::atomic<int> most{0};
  std::atomic<size_t> least_value{~size_t{0}};
  std::atomic<size_t> most_value{0};
  std::atomic<int> depth{0};
  std::atomic<int> deepest{0};
  By by = By::kOtherThread;
  bool refuse = false;
  bool fail = false;

 private:
  void Tell(Answer answer, Completion done) {
    if (by == By::kCaller) {
      deepest = std::max<int>(deepest.load(), ++depth);
      done(answer);
      --depth;
      return;
    }
    most = std::max<int>(most.load(), ++under_way);
    std::thread([this, answer, done] {
      --under_way;
      done(answer);
    }).detach();
  }

  base::Mutex mu_;
  std::set<std::string, std::less<>> stored_ ABSL_GUARDED_BY(mu_);
};

LoadOptions Short() {
  LoadOptions options;
  options.workload.keys = 500;
  options.outstanding = 4;
  options.warmup = absl::ZeroDuration();
  options.duration = absl::Milliseconds(50);
  return options;
}

// A busy machine may leave so short a run without its share of time: it gets more, up to 13 s.
LoadResult RunUntil(LoadOptions options, SetTarget& target,
                    absl::FunctionRef<bool(const LoadResult&)> enough) {
  LoadResult result = RunLoad(options, target);
  while (!enough(result) && options.duration < absl::Seconds(10)) {
    options.duration *= 2;
    result = RunLoad(options, target);
  }
  return result;
}

TEST(RunLoad, AFilledCacheAnswersEveryReadWithAHit) {
  SetTarget target;
  const LoadOptions options = Short();
  ASSERT_TRUE(Fill(options.workload, target, nullptr).ok());
  for (const bool async : {false, true}) {
    SCOPED_TRACE(async);
    LoadOptions each = options;
    each.async = async;
    const LoadResult result =
        RunUntil(each, target, [](const LoadResult& so_far) { return so_far.reads > 0; });
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
  RunUntil(options, target, [&target](const LoadResult&) { return target.most.load() >= 2; });
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
  EXPECT_TRUE(result.first_error.ok()) << result.first_error;
}

TEST(RunLoad, ErrorsThatAreNoRefusalsAreNamed) {
  SetTarget target;
  target.fail = true;
  LoadOptions options = Short();
  options.workload.read_share = 1;
  const LoadResult result =
      RunUntil(options, target, [](const LoadResult& so_far) { return so_far.errors > 0; });
  EXPECT_EQ(result.errors, result.operations);
  EXPECT_EQ(result.refused, 0u);
  EXPECT_EQ(result.first_error.message(), "away");
  EXPECT_EQ(result.keys, 0u);
  EXPECT_EQ(result.read_latency.count(), 0u);
}

TEST(RunLoad, AnswersWithinTheCallDoNotNest) {
  SetTarget target;
  target.by = SetTarget::By::kCaller;
  LoadOptions options = Short();
  options.async = true;
  for (const double rate : {0.0, 2000.0}) {
    SCOPED_TRACE(rate);
    options.rate = rate;
    const LoadResult result =
        RunUntil(options, target, [](const LoadResult& so_far) { return so_far.operations > 0; });
    EXPECT_GT(result.operations, 0u);
    EXPECT_EQ(target.deepest.load(), 1);
  }
}

TEST(RunLoad, WhatIsNotTimedCountsAllTheSame) {
  SetTarget target;
  target.by = SetTarget::By::kCaller;
  LoadOptions options = Short();
  options.async = true;
  options.time_every = 16;
  ASSERT_TRUE(Fill(options.workload, target, nullptr).ok());
  const LoadResult result =
      RunUntil(options, target, [](const LoadResult& so_far) { return so_far.operations > 100; });
  const uint64_t timed = result.read_latency.count() + result.write_latency.count();
  EXPECT_GE((timed + 1) * 16, result.operations);
  EXPECT_LE((timed - 1) * 16, result.operations);
  EXPECT_EQ(result.hits, result.reads);
}

// Stops once, for a while, as a server may.
class StallingTarget final : public LoadTarget {
 public:
  static constexpr absl::Duration kStall = absl::Milliseconds(100);

  Answer Read(absl::Span<const std::string_view>) override {
    base::MutexLock lock(mu_);
    if (++calls_ == 20) std::this_thread::sleep_for(absl::ToChronoMilliseconds(kStall));
    return {.keys = 1, .hits = 1};
  }
  Answer Write(absl::Span<const std::string_view> keys, std::string_view) override {
    return Read(keys);
  }
  void ReadAsync(absl::Span<const std::string_view> keys, Completion done) override {
    done(Read(keys));
  }
  void WriteAsync(absl::Span<const std::string_view> keys, std::string_view,
                  Completion done) override {
    done(Read(keys));
  }

 private:
  base::Mutex mu_;
  int calls_ ABSL_GUARDED_BY(mu_) = 0;
};

TEST(RunLoad, TheOpenLoopCountsAStallAgainstEveryOperationThatWasDueInIt) {
  for (const bool async : {false, true}) {
    SCOPED_TRACE(async);
    StallingTarget target;
    LoadOptions options = Short();
    options.async = async;
    options.outstanding = 1;
    options.rate = 1000;
    options.duration = absl::Milliseconds(400);
    const LoadResult result = RunLoad(options, target);
    Histogram latency = result.read_latency;
    latency.Merge(result.write_latency);
    // About 100 of 400 were due during the stall, half of those in its first half. A load that
    // waits for the answer and then goes on, as if nothing had been due, would count one.
    EXPECT_GE(latency.Quantile(0.9), StallingTarget::kStall / 4);
    EXPECT_GE(latency.max(), StallingTarget::kStall);
  }
}

TEST(RunLoad, WhatFoundNoPlaceBeforeTheEndIsCountedAsNotStarted) {
  StallingTarget target;
  LoadOptions options = Short();
  options.outstanding = 1;
  options.rate = 1000;
  options.duration = absl::Milliseconds(60);  // ends within the stall
  const LoadResult result = RunLoad(options, target);
  EXPECT_GT(result.not_started, 0u);
  EXPECT_EQ(result.not_started + result.operations, 60u);
  EXPECT_GE(result.elapsed, absl::Milliseconds(100));
}

// Answers nothing until it is told to, and then everything at once.
class HoldingTarget final : public LoadTarget {
 public:
  Answer Read(absl::Span<const std::string_view>) override { return {.keys = 1, .hits = 1}; }
  Answer Write(absl::Span<const std::string_view> keys, std::string_view) override {
    return Read(keys);
  }
  void ReadAsync(absl::Span<const std::string_view> keys, Completion done) override {
    base::MutexLock lock(mu_);
    if (answers_) return done(Read(keys));
    EXPECT_FALSE(held_.has_value()) << "one at most";
    answer_ = Read(keys);
    held_ = done;
  }
  void WriteAsync(absl::Span<const std::string_view> keys, std::string_view,
                  Completion done) override {
    ReadAsync(keys, done);
  }
  void AnswerNow() {
    std::optional<Completion> held;
    Answer answer;
    {
      base::MutexLock lock(mu_);
      answer = answer_;
      held.swap(held_);
      answers_ = true;
    }
    if (held.has_value()) (*held)(answer);
  }

 private:
  base::Mutex mu_;
  std::optional<Completion> held_ ABSL_GUARDED_BY(mu_);
  Answer answer_ ABSL_GUARDED_BY(mu_);
  bool answers_ ABSL_GUARDED_BY(mu_) = false;
};

TEST(RunLoad, WhatFindsNoPlaceIsDroppedWhereThatIsAsked) {
  HoldingTarget target;
  LoadOptions options = Short();
  options.async = true;
  options.outstanding = 1;
  options.rate = 1000;
  options.drop_late = true;
  options.warmup = absl::ZeroDuration();
  options.duration = absl::Milliseconds(400);
  // Told every tenth of a second.
  options.progress = [&target](double done) {
    if (done > 0.4) target.AnswerNow();
  };
  const LoadResult result = RunLoad(options, target);
  // Otherwise they had all started as soon as the place was free.
  EXPECT_GT(result.not_started, 0u);
  EXPECT_GT(result.operations, 0u);
  EXPECT_EQ(result.elapsed, options.duration);
}

TEST(RunLoad, WhatComesDueWithinAGrainStartsTogetherAndCountsFromWhenItWasDue) {
  SetTarget target;
  LoadOptions options = Short();
  options.async = true;
  options.rate = 1000;
  options.start_grain = absl::Milliseconds(40);
  options.duration = absl::Milliseconds(400);
  const LoadResult result = RunLoad(options, target);
  EXPECT_EQ(result.not_started + result.operations, 400u);
  Histogram latency = result.read_latency;
  latency.Merge(result.write_latency);
  // The first of each forty is the whole grain late, the last not at all.
  EXPECT_GE(latency.Quantile(0.5), absl::Milliseconds(10));
}

TEST(RunLoad, TellsWhenTheMeasuredPartBeginsAndEnds) {
  SetTarget target;
  LoadOptions options = Short();
  options.warmup = absl::Milliseconds(20);
  int64_t begin = 0;
  int64_t end = 0;
  options.at_begin = [&] { begin = NowNanos(); };
  options.at_end = [&] { end = NowNanos(); };
  const int64_t start = NowNanos();
  RunLoad(options, target);
  EXPECT_GE(begin - start, 20'000'000);
  EXPECT_GE(end - start, 70'000'000);
  EXPECT_LT(begin, end);
}

TEST(RunLoad, ValuesHaveEverySizeOfTheirRange) {
  SetTarget target;
  LoadOptions options = Short();
  options.workload.value_bytes = 10;
  options.workload.max_value_bytes = 14;
  options.workload.read_share = 0;
  RunLoad(options, target);
  EXPECT_EQ(target.least_value.load(), 10u);
  EXPECT_EQ(target.most_value.load(), 14u);
}

TEST(LoadOptions, ValidateNamesTheOptionAndItsLimit) {
  LoadOptions options = Short();
  options.outstanding = 1025;
  EXPECT_EQ(options.Validate().message(), "outstanding: 1025, 1-1024 for blocking callers");
  options.async = true;
  EXPECT_TRUE(options.Validate().ok());
  options.rate = -1;
  EXPECT_FALSE(options.Validate().ok());
  options.rate = 0;
  options.time_every = 0;
  EXPECT_EQ(options.Validate().message(), "time every: 0, at least 1");
}

}  // namespace
}  // namespace atoll::bench
