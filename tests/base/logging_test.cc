#include "base/logging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace atoll::base {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Logging, ALineCannotBeForgedByItsText) {
  testing::internal::CaptureStderr();
  LogWarning("key \"a\nE forged\x01\"");
  const std::string out = testing::internal::GetCapturedStderr();
  EXPECT_THAT(out, HasSubstr(" W key \"a\\x0aE forged\\x01\""));
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 1);
}

TEST(Logging, ALongTextIsCut) {
  testing::internal::CaptureStderr();
  LogError(std::string(100'000, 'x'));
  EXPECT_LT(testing::internal::GetCapturedStderr().size(), 1200u);
}

TEST(Logging, TheLevelHoldsLesserLinesBack) {
  ASSERT_TRUE(SetLogLevel("warning").ok());
  testing::internal::CaptureStderr();
  LogInfo("quiet");
  LogWarning("loud");
  const std::string out = testing::internal::GetCapturedStderr();
  EXPECT_THAT(out, Not(HasSubstr("quiet")));
  EXPECT_THAT(out, HasSubstr("loud"));
  EXPECT_FALSE(LogEnabled(LogLevel::kInfo));
  ASSERT_TRUE(SetLogLevel("off").ok());
  EXPECT_FALSE(LogEnabled(LogLevel::kError));
  ASSERT_TRUE(SetLogLevel("info").ok());
}

TEST(Logging, AnUnknownLevelIsRefusedByName) {
  const absl::Status status = SetLogLevel("loud");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              "log-level: loud, limit one of debug, info, warning, error, off");
}

TEST(LogLimiter, LetsOnePassAnIntervalAndCountsTheRest) {
  FakeClock clock;
  LogLimiter limiter(absl::Seconds(1), clock);
  EXPECT_EQ(limiter.Pass(), 0u);
  EXPECT_EQ(limiter.Pass(), std::nullopt);
  EXPECT_EQ(limiter.Pass(), std::nullopt);
  clock.Advance(absl::Seconds(1));
  EXPECT_EQ(limiter.Pass(), 2u);
  clock.Advance(absl::Seconds(5));
  EXPECT_EQ(limiter.Pass(), 0u);
}

}  // namespace
}  // namespace atoll::base
