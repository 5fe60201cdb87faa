#include "server/admin/http_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>

#include "absl/strings/str_cat.h"

namespace atoll::admin {
namespace {

// The whole answer, as bytes.
std::string Ask(uint16_t port, const std::string& request) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
      send(fd, request.data(), request.size(), MSG_NOSIGNAL) > 0) {
    char piece[4096];
    for (ssize_t got; (got = recv(fd, piece, sizeof(piece), 0)) > 0;) {
      answer.append(piece, static_cast<size_t>(got));
    }
  }
  close(fd);
  return answer;
}

std::string Get(uint16_t port, const std::string& path) {
  return Ask(port, absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: x\r\n\r\n"));
}

class HttpServerTest : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<std::unique_ptr<HttpServer>> server = HttpServer::Start(
        {.address = "127.0.0.1:0",
         .node_name = "n1",
         .version = "0.1.0",
         .figures = [] { return NodeFigures{.reads = 42}; },
         .ready =
             [this] { return ready_ ? absl::OkStatus() : absl::UnavailableError("draining"); }});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  std::atomic<bool> ready_{true};
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, ServesMetricsLivenessAndReadiness) {
  const std::string metrics = Get(server_->port(), "/metrics");
  EXPECT_TRUE(metrics.starts_with("HTTP/1.1 200 OK\r\n")) << metrics;
  EXPECT_NE(metrics.find("\natoll_operations_total{kind=\"read\"} 42\n"), std::string::npos);
  EXPECT_TRUE(Get(server_->port(), "/livez").ends_with("\r\n\r\nok\n"));
  EXPECT_TRUE(Get(server_->port(), "/readyz").ends_with("\r\n\r\nok\n"));
}

TEST_F(HttpServerTest, SaysWhyTheNodeDoesNotServe) {
  ready_ = false;
  const std::string answer = Get(server_->port(), "/readyz");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 503 ")) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\ndraining\n")) << answer;
  EXPECT_TRUE(Get(server_->port(), "/livez").starts_with("HTTP/1.1 200 "));
}

TEST_F(HttpServerTest, RefusesOtherPathsAndMethods) {
  EXPECT_TRUE(Get(server_->port(), "/").starts_with("HTTP/1.1 404 "));
  EXPECT_TRUE(Get(server_->port(), "/metrics/more").starts_with("HTTP/1.1 404 "));
  EXPECT_TRUE(Ask(server_->port(), "DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                  .starts_with("HTTP/1.1 405 "));
}

TEST_F(HttpServerTest, ABoundAddressIsRefusedByName) {
  const std::string address = absl::StrCat("127.0.0.1:", server_->port());
  const absl::Status status = HttpServer::Start({.address = address}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(std::string(status.message()).find(address), std::string::npos) << status;
}

TEST(AnonymousBytesOfThisProcess, IsThatOfARunningProgram) {
  EXPECT_GT(AnonymousBytesOfThisProcess(), uint64_t{100'000});
}

}  // namespace
}  // namespace atoll::admin
