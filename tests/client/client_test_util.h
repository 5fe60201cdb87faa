// A client of three fake nodes, and a door at which calls are held up.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "base/hash.h"
#include "base/mutex.h"
#include "client/include/atoll/client.h"
#include "tests/support/fake_cache_node.h"

namespace atoll {

inline constexpr absl::Duration kLong = absl::Seconds(60);

// Blocks whoever passes until it is opened.
class Door {
 public:
  ~Door() { Open(); }
  void Open() {
    base::MutexLock lock(mu_);
    open_ = true;
    changed_.SignalAll();
  }
  void Pass() {
    base::MutexLock lock(mu_);
    ++arrived_;
    changed_.SignalAll();
    while (!open_) changed_.Wait(mu_);
  }
  void WaitForArrivals(int count) {
    base::MutexLock lock(mu_);
    while (arrived_ < count) changed_.Wait(mu_);
  }

 private:
  base::Mutex mu_;
  base::CondVar changed_;
  bool open_ ABSL_GUARDED_BY(mu_) = false;
  int arrived_ ABSL_GUARDED_BY(mu_) = 0;
};

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
