#include "client/retry_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/status.h"

namespace atoll::client {
namespace {

constexpr absl::Duration kLong = absl::Hours(1);

absl::Status With(absl::Status status, std::string_view reason) {
  return base::WithReason(std::move(status), reason);
}

Attempts Tried(RetryRule rule, bool write) {
  Attempts attempts;
  attempts.rule = rule;
  attempts.write = write;
  attempts.tries = 1;
  return attempts;
}

TEST(RetryPolicy, WhatABrokenTryLeadsTo) {
  struct Case {
    std::string name;
    absl::Status status;
    rpc::Fate fate;
    RetryRule rule;
    bool write;
    bool again;
    bool may_be_applied;
  };
  const absl::Status broken = absl::UnavailableError("broken");
  const absl::Status late = absl::DeadlineExceededError("late");
  const absl::Status given_up = absl::CancelledError("given up");
  const absl::Status full = absl::ResourceExhaustedError("full");
  using enum rpc::Fate;
  using enum RetryRule;
  const std::vector<Case> cases = {
      {"a read, sent", broken, kSent, kAlways, false, true, false},
      {"a read, not sent", broken, kNotSent, kAlways, false, true, false},
      {"a set, sent", broken, kSent, kOnlyUnapplied, true, false, true},
      {"a set, not sent", broken, kNotSent, kOnlyUnapplied, true, true, false},
      {"an increment, sent", broken, kSent, kAlways, true, true, true},
      {"a time-out, sent", late, kSent, kAlways, true, false, true},
      {"a time-out, not sent", late, kNotSent, kAlways, true, false, false},
      {"a link given up", given_up, kNotSent, kOnlyUnapplied, true, true, false},
      {"a full queue", full, kNotSent, kAlways, false, false, false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    RetryPolicy policy(3, 0.1);
    Attempts attempts = Tried(c.rule, c.write);
    const Decision decision = policy.AfterBreak(attempts, c.status, c.fate, false, kLong);
    EXPECT_EQ(decision.end.ok(), c.again) << decision.end;
    EXPECT_EQ(attempts.may_be_applied, c.may_be_applied);
    EXPECT_EQ(attempts.through_another, c.again);
    EXPECT_EQ(policy.retries(), c.again ? 1u : 0u);
  }
}

TEST(RetryPolicy, AClosedClientTriesNothingAgain) {
  RetryPolicy policy(3, 0.1);
  Attempts attempts = Tried(RetryRule::kAlways, false);
  const Decision decision = policy.AfterBreak(attempts, absl::CancelledError("closed"),
                                              rpc::Fate::kNotSent, /*closed=*/true, kLong);
  EXPECT_EQ(decision.end.code(), absl::StatusCode::kCancelled);
}

TEST(RetryPolicy, FollowingTheMapIsNoRetryAndEnds) {
  RetryPolicy policy(1, 0);
  Attempts attempts;
  const absl::Status wrong =
      With(absl::FailedPreconditionError("not mine"), base::reason::kWrongOwner);
  for (int i = 1; i <= RetryPolicy::kMaxRedirects; ++i) {
    ++attempts.tries;
    const Decision decision = policy.AfterRefusal(attempts, wrong, /*mended=*/true, kLong);
    EXPECT_TRUE(decision.end.ok()) << decision.end;
    EXPECT_EQ(decision.pause, absl::ZeroDuration());
    EXPECT_EQ(attempts.tries, 0);
    EXPECT_EQ(attempts.through_another, i == RetryPolicy::kMaxRedirects);
  }
  EXPECT_EQ(policy.AfterRefusal(attempts, wrong, true, kLong).end.code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(policy.retries(), 0u);
}

TEST(RetryPolicy, ARefusalThatMendsNothingGoesThroughAnother) {
  RetryPolicy policy(3, 0.1);
  Attempts attempts = Tried(RetryRule::kAlways, false);
  const absl::Status wrong =
      With(absl::FailedPreconditionError("not mine"), base::reason::kWrongOwner);
  EXPECT_EQ(policy.AfterRefusal(attempts, wrong, false, kLong).pause, absl::ZeroDuration());
  EXPECT_TRUE(attempts.through_another);
  ++attempts.tries;
  EXPECT_GT(policy.AfterRefusal(attempts, wrong, false, kLong).pause, absl::ZeroDuration());
}

TEST(RetryPolicy, APrimaryOnItsWayIsWaitedForUntilTheDeadline) {
  RetryPolicy policy(1, 0);
  Attempts attempts = Tried(RetryRule::kOnlyUnapplied, true);
  const absl::Status none = With(absl::UnavailableError("takeover"), base::reason::kNoPrimary);
  for (int i = 0; i < 100; ++i) {
    const Decision decision = policy.AfterRefusal(attempts, none, false, kLong);
    EXPECT_TRUE(decision.end.ok());
    EXPECT_GT(decision.pause, absl::ZeroDuration());
    EXPECT_LT(decision.pause, absl::Milliseconds(250));
    ++attempts.tries;
  }
  EXPECT_FALSE(policy.AfterRefusal(attempts, none, false, absl::Milliseconds(1)).end.ok());
  EXPECT_EQ(policy.retries(), 0u);
}

TEST(RetryPolicy, ANodeThatStopsIsPassedBy) {
  RetryPolicy policy(3, 0.1);
  Attempts attempts = Tried(RetryRule::kOnlyUnapplied, true);
  const absl::Status draining = With(absl::UnavailableError("stops"), base::reason::kDraining);
  EXPECT_TRUE(policy.AfterRefusal(attempts, draining, false, kLong).end.ok());
  EXPECT_TRUE(attempts.through_another);
  EXPECT_FALSE(attempts.may_be_applied);
}

TEST(RetryPolicy, EndsAtItsTriesItsDeadlineAndItsBudget) {
  const absl::Status busy = absl::UnavailableError("busy");
  RetryPolicy policy(3, 0.1);
  Attempts attempts = Tried(RetryRule::kAlways, false);
  EXPECT_FALSE(policy.AfterRefusal(attempts, busy, false, absl::ZeroDuration()).end.ok());
  attempts.tries = 3;
  EXPECT_FALSE(policy.AfterRefusal(attempts, busy, false, kLong).end.ok());
  EXPECT_EQ(policy.retries(), 0u);
  attempts.tries = 1;
  for (int64_t i = 0; i < RetryBudget::kReserve; ++i) {
    EXPECT_TRUE(policy.AfterRefusal(attempts, busy, false, kLong).end.ok());
  }
  EXPECT_FALSE(policy.AfterRefusal(attempts, busy, false, kLong).end.ok());
  for (int i = 0; i < 10; ++i) policy.Earn();
  EXPECT_TRUE(policy.AfterRefusal(attempts, busy, false, kLong).end.ok());
}

TEST(RetryPolicy, WhatAnEarlierTryMayHaveDoneIsNotUndoneByALaterRefusal) {
  Attempts attempts = Tried(RetryRule::kAlways, true);
  const absl::Status busy = absl::UnavailableError("busy");
  EXPECT_EQ(RetryPolicy::Final(attempts, busy).code(), absl::StatusCode::kUnavailable);
  attempts.may_be_applied = true;
  const absl::Status ambiguous = RetryPolicy::Final(attempts, busy);
  EXPECT_EQ(ambiguous.code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(base::HasReason(ambiguous, base::reason::kAmbiguous));
  // These say so themselves.
  EXPECT_EQ(RetryPolicy::Final(attempts, absl::DeadlineExceededError("late")).code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(RetryPolicy::Final(attempts, absl::CancelledError("closed")).code(),
            absl::StatusCode::kCancelled);
  attempts.write = false;
  EXPECT_EQ(RetryPolicy::Final(attempts, busy).code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace atoll::client
