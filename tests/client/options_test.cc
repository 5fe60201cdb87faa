#include "client/include/atoll/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "client/include/atoll/admin.h"
#include "client/include/atoll/client.h"

namespace atoll {
namespace {

TEST(ClientOptions, ValidateNamesTheFieldAndTheLimit) {
  struct Case {
    std::string name;
    void (*change)(ClientOptions&);
    std::string message;  // empty: valid
  };
  const std::vector<Case> cases = {
      {"a name", [](ClientOptions&) {}, ""},
      {"unix", [](ClientOptions& o) { o.endpoints = {"unix:/run/atoll.sock"}; }, ""},
      {"IPv6", [](ClientOptions& o) { o.endpoints = {"[::1]:7850"}; }, ""},
      {"no endpoint", [](ClientOptions& o) { o.endpoints.clear(); }, "endpoints: empty"},
      {"no port", [](ClientOptions& o) { o.endpoints = {"host"}; },
       "endpoints: host, limit host:port or unix:/path"},
      {"no host", [](ClientOptions& o) { o.endpoints = {":7850"}; },
       "endpoints: :7850, limit host:port or unix:/path"},
      {"bad namespace", [](ClientOptions& o) { o.default_namespace = "A"; },
       "default_namespace: A, limit [a-z0-9][a-z0-9._-]{0,62}"},
      {"no time", [](ClientOptions& o) { o.timeout = absl::ZeroDuration(); },
       "timeout: not positive"},
      {"threads", [](ClientOptions& o) { o.io_threads = 65; }, "io_threads: 65, limit 1-64"},
      {"attempts", [](ClientOptions& o) { o.max_attempts = 0; }, "max_attempts: 0, limit 1-10"},
      {"key alone", [](ClientOptions& o) { o.credentials.key_file = "k"; },
       "credentials: certificate_file and key_file come together, or neither"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    ClientOptions options;
    options.endpoints = {"host:7850"};
    c.change(options);
    const absl::Status status = options.Validate();
    EXPECT_EQ(std::string(status.message()), c.message);
    EXPECT_EQ(status.ok(), c.message.empty());
  }
}

TEST(ClientOptions, ComeFromTheEnvironment) {
  ::unsetenv("ATOLL_ENDPOINTS");
  EXPECT_THAT(ClientOptions::FromEnvironment()->endpoints, testing::ElementsAre("127.0.0.1:7850"));
  ::setenv("ATOLL_ENDPOINTS", "a:1, b:2", 1);
  ::setenv("ATOLL_NAMESPACE", "web", 1);
  ::setenv("ATOLL_TIMEOUT", "250ms", 1);
  const auto options = ClientOptions::FromEnvironment();
  ASSERT_TRUE(options.ok());
  EXPECT_THAT(options->endpoints, testing::ElementsAre("a:1", "b:2"));
  EXPECT_EQ(options->default_namespace, "web");
  EXPECT_EQ(options->timeout, absl::Milliseconds(250));
  ::setenv("ATOLL_TIMEOUT", "soon", 1);
  EXPECT_EQ(std::string(ClientOptions::FromEnvironment().status().message()),
            "ATOLL_TIMEOUT: soon, limit such as 500ms or 2s");
  ::unsetenv("ATOLL_ENDPOINTS");
  ::unsetenv("ATOLL_NAMESPACE");
  ::unsetenv("ATOLL_TIMEOUT");
}

TEST(Client, CreateNamesAFileThatCannotBeRead) {
  ClientOptions options;
  options.endpoints = {"127.0.0.1:1"};
  options.credentials.tls = true;
  options.credentials.ca_file = "/nowhere/ca.pem";
  EXPECT_EQ(Client::Create(options).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(AdminClient::Create(options).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Client::Create({}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Client, SaysWhyItIsNotReady) {
  ClientOptions options;
  options.endpoints = {"127.0.0.1:1"};
  const auto client = Client::Create(options);
  ASSERT_TRUE(client.ok());
  std::string message;
  for (int i = 0; i < 100 && message.find('(') == std::string::npos; ++i) {
    const absl::Status status = (*client)->WaitUntilReady(absl::Now() + absl::Milliseconds(100));
    EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
    message = std::string(status.message());
  }
  EXPECT_THAT(message, testing::HasSubstr("no placement map yet ("));
  EXPECT_EQ((*client)->Get("k").status().code(), absl::StatusCode::kUnavailable);
}

TEST(Value, SharesItsBytes) {
  Value copy;
  {
    const Value value(std::string("bytes"));
    copy = value;
    EXPECT_TRUE(copy.SharesWith(value));
  }
  EXPECT_EQ(copy.view(), "bytes");
  EXPECT_FALSE(copy.SharesWith(Value(std::string("bytes"))));
  EXPECT_TRUE(copy == Value(std::string("bytes")));
}

}  // namespace
}  // namespace atoll
