// CacheService as plain generated stubs call it, on one node and on two.
#pragma once

#include <grpcpp/impl/codegen/client_unary_call.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>

#include "rpc/status.h"
#include "tests/support/cache_nodes.h"

namespace atoll::service {

// Every call with a deadline, and its status as ours.
class Stub {
 public:
  explicit Stub(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(v1::CacheService::NewStub(channel)) {}
  v1::CacheService::Stub* operator->() { return stub_.get(); }

  template <typename Request, typename Response>
  absl::Status Call(grpc::Status (v1::CacheService::Stub::*method)(grpc::ClientContext*,
                                                                   const Request&, Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    return rpc::FromGrpc((stub_.get()->*method)(&context, request, response));
  }

  absl::Status Set(const std::string& key, const std::string& value,
                   v1::SetResponse* response = nullptr) {
    v1::SetRequest request;
    request.set_key(key);
    request.set_value(value);
    v1::SetResponse ignored;
    return Call(&v1::CacheService::Stub::Set, request, response != nullptr ? response : &ignored);
  }

  v1::GetResponse Get(const std::string& key) {
    v1::GetRequest request;
    request.set_key(key);
    v1::GetResponse response;
    const absl::Status status = Call(&v1::CacheService::Stub::Get, request, &response);
    EXPECT_TRUE(status.ok()) << status;
    return response;
  }

 private:
  std::unique_ptr<v1::CacheService::Stub> stub_;
};

using S = v1::CacheService::Stub;

// One node, or a key's owner asked through another node: the answers must not differ.
class CacheServiceTest : public ::testing::TestWithParam<bool> {
 protected:
  CacheServiceTest()
      : nodes_({.nodes = GetParam() ? 2 : 1}),
        stub_(nodes_.channel(0)),
        owner_(GetParam() ? 1 : 0) {}

  std::string Key(int salt = 0) const { return nodes_.KeyOf(owner_, salt); }

  test::CacheNodes nodes_;
  Stub stub_;
  const int owner_;
};

}  // namespace atoll::service
