// A client of three fake nodes.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "base/hash.h"
#include "client/include/atoll/client.h"
#include "tests/support/door.h"
#include "tests/support/fake_cache_node.h"

namespace atoll {

inline constexpr absl::Duration kLong = absl::Seconds(60);

using test::Door;

class ClientTest : public testing::Test {
 protected:
  ClientTest() {
    for (const char* name : {"n1", "n2", "n3"}) {
      nodes_.push_back(std::make_unique<test::FakeCacheNode>(&cluster_, name));
      nodes_.back()->Start();
    }
    SetOwners({0, 1, 2}, 1);
  }
  ~ClientTest() override { client_.reset(); }

  void SetOwners(const std::vector<size_t>& owners, uint64_t version, bool announce = true) {
    std::vector<test::FakeCacheNode*> nodes;
    for (const size_t owner : owners) nodes.push_back(nodes_[owner].get());
    cluster_.SetMap(test::MapOf(nodes, version), announce);
  }

  Client& Connect(ClientOptions options = {}) {
    if (options.endpoints.empty()) options.endpoints = {nodes_[0]->address()};
    if (options.timeout == absl::Seconds(1)) options.timeout = kLong;
    auto client = Client::Create(std::move(options));
    EXPECT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
    EXPECT_TRUE(client_->WaitUntilReady(absl::Now() + kLong).ok());
    return *client_;
  }

  // A key of the partition whose owner, with `nodes` of them, is the given one.
  static std::string KeyOf(size_t owner, size_t nodes = 3, int salt = 0) {
    for (int i = 0;; ++i) {
      std::string key = "key" + std::to_string(salt) + "." + std::to_string(i);
      if (base::PartitionOfHash(base::HashKey("default", key)).value() % nodes == owner) return key;
    }
  }

  int64_t Operations() const {
    int64_t sum = 0;
    for (const auto& node : nodes_) sum += node->operations();
    return sum;
  }

  test::FakeCacheCluster cluster_;
  std::vector<std::unique_ptr<test::FakeCacheNode>> nodes_;
  std::unique_ptr<Client> client_;
};

}  // namespace atoll
