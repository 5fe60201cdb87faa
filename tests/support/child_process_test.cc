#include "tests/support/child_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/support/etcd_process.h"

namespace atoll::test {
namespace {

using testing::HasSubstr;

TEST(ChildProcess, GivesItsExitCodeAndOutput) {
  const std::string folder = FreshFolder("child process");
  const auto process = ChildProcess::Start({"sh", "-c", "echo out; echo err $X >&2; exit 7"},
                                           folder + "/log", {"X=with blank"});
  ASSERT_TRUE(process.ok()) << process.status();
  const auto code = (*process)->Wait(absl::Seconds(20));
  ASSERT_TRUE(code.ok()) << code.status();
  EXPECT_EQ(*code, 7);
  EXPECT_FALSE((*process)->Running());
  EXPECT_EQ(ContentOf(folder + "/log"), "out\nerr with blank\n");
}

TEST(ChildProcess, WhatRunsOnIsKilled) {
  const auto process =
      ChildProcess::Start({"sleep", "1000"}, FreshFolder("child process") + "/log");
  ASSERT_TRUE(process.ok()) << process.status();
  EXPECT_TRUE((*process)->Running());
  EXPECT_TRUE(absl::IsDeadlineExceeded((*process)->Wait(absl::Milliseconds(1)).status()));
  (*process)->Kill();
  EXPECT_EQ(*(*process)->Wait(absl::Seconds(1)), 128 + SIGKILL);
}

TEST(ChildProcess, AProgramThatIsNotThereIsNamed) {
  const auto process =
      ChildProcess::Start({"no-such-program"}, FreshFolder("child process") + "/log");
  EXPECT_TRUE(absl::IsNotFound(process.status()));
  EXPECT_THAT(process.status().ToString(), HasSubstr("no-such-program"));
}

TEST(EtcdProcess, KeepsItsEndpointOverARestart) {
  const auto etcd = EtcdProcess::Start(FreshFolder("etcd process"));
  ASSERT_TRUE(etcd.ok()) << etcd.status();
  const std::string endpoint = (*etcd)->endpoint();
  EXPECT_THAT(endpoint, HasSubstr("127.0.0.1:"));
  const absl::Status restarted = (*etcd)->Restart();
  ASSERT_TRUE(restarted.ok()) << restarted;
  EXPECT_EQ((*etcd)->endpoint(), endpoint);
}

}  // namespace
}  // namespace atoll::test
