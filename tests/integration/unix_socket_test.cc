// A node on the same host by a unix socket: an endpoint like any other, and what the map hands to
// who comes in by it.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/include/atoll/client.h"
#include "tests/support/child_process.h"

namespace atoll {
namespace {

class UnixSocketTest : public testing::Test {
 protected:
  void SetUp() override {
    // Short: the path of a socket has 107 bytes.
    char folder[] = "/tmp/atoll-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
    const std::string ports = folder_ + "/ports";
    auto node = test::ChildProcess::Start(
        {ATOLL_BIN_FOLDER "/atolld", "--listen=client=127.0.0.1:0", "--listen=local=" + Socket(),
         "--listen=peer=127.0.0.1:0", "--listen=admin=127.0.0.1:0", "--ports-file=" + ports,
         "--memory=64MiB"},
        folder_ + "/log");
    ASSERT_TRUE(node.ok()) << node.status();
    node_ = *std::move(node);
    ASSERT_TRUE(test::WaitUntil([&] { return std::filesystem::exists(ports); }, absl::Seconds(60)))
        << test::TailOf(node_->log_path());
    const std::string content = test::ContentOf(ports);
    const size_t at = content.find("client=");
    ASSERT_NE(at, std::string::npos) << content;
    tcp_ = content.substr(at + 7, content.find('\n', at) - at - 7);
  }
  void TearDown() override {
    node_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::string Socket() const { return absl::StrCat("unix:", folder_, "/socket"); }
  static std::unique_ptr<Client> Connect(const std::string& endpoint) {
    auto client = Client::Create({.endpoints = {endpoint}, .timeout = absl::Seconds(20)});
    EXPECT_TRUE(client.ok()) << client.status();
    const absl::Status ready = (*client)->WaitUntilReady(absl::Now() + absl::Seconds(60));
    EXPECT_TRUE(ready.ok()) << ready;
    return *std::move(client);
  }

  std::string folder_;
  std::string tcp_;
  std::unique_ptr<test::ChildProcess> node_;
};

TEST_F(UnixSocketTest, CarriesEveryWayThatAClientSends) {
  const auto local = Connect(Socket());
  const auto tcp = Connect(tcp_);
  ASSERT_TRUE(local->Set("key", "value").ok());
  // Often enough for a caller who is alone to have a stream of its own.
  for (int i = 0; i < 100; ++i) {
    const auto got = local->Get("key");
    ASSERT_TRUE(got.ok()) << got.status();
    ASSERT_EQ(got->value.view(), "value");
  }
  EXPECT_EQ(tcp->Get("key")->value.view(), "value");
  const std::string large(3 << 20, 'x');
  ASSERT_TRUE(local->Set("large", large).ok());
  const auto got = local->Get("large");
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_TRUE(got->value.view() == large);
  const auto many = local->MultiGet({{"key", "large", "none"}});
  ASSERT_EQ(many.size(), 3u);
  for (const auto& one : many) ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_TRUE(many[1]->value.view() == large);
  EXPECT_FALSE(many[2]->found());
  // By its owner and not by way of another: the map named the socket.
  EXPECT_EQ(local->stats().through_others, 0u);
  EXPECT_EQ(local->stats().wrong_owner, 0u);
}

TEST_F(UnixSocketTest, ANodeThatIsGoneIsAnErrorInTime) {
  const auto local = Connect(Socket());
  ASSERT_TRUE(local->Set("a", "1").ok());
  node_->Kill();
  // The file of the socket is still there.
  const auto got = local->Get("a", {.timeout = absl::Milliseconds(300)});
  EXPECT_FALSE(got.ok());
}

}  // namespace
}  // namespace atoll
