// A caller of CacheService.Exchange who sends messages and takes answers as a test says.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "atoll/v1/cache.grpc.pb.h"
#include "rpc/status.h"

namespace atoll::service {

using Results = std::map<uint64_t, v1::OperationResult>;

// A stream of a node's, and what came back on it.
class Caller {
 public:
  explicit Caller(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(v1::CacheService::NewStub(channel)) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    stream_ = stub_->Exchange(&context_);
  }

  bool Send(const v1::ExchangeRequest& request) { return stream_->Write(request); }
  // So many answers.
  Results Take(size_t count) {
    Results results;
    v1::ExchangeResponse response;
    while (results.size() < count && stream_->Read(&response)) {
      std::vector<size_t>& values = messages_.emplace_back();
      for (const v1::OperationResult& result : response.results()) {
        values.push_back(result.get().value().size());
      }
      for (v1::OperationResult& result : *response.mutable_results()) {
        const uint64_t id = result.id();
        EXPECT_TRUE(results.emplace(id, std::move(result)).second) << id;
      }
    }
    return results;
  }

  // Sends a message, and waits for one answer to each of its operations.
  Results Call(const v1::ExchangeRequest& request) {
    EXPECT_TRUE(Send(request));
    return Take(static_cast<size_t>(request.operations_size()));
  }

  // Of each answering message: the sizes of its values.
  const std::vector<std::vector<size_t>>& messages() const { return messages_; }

  absl::Status Finish() {
    stream_->WritesDone();
    v1::ExchangeResponse response;
    while (stream_->Read(&response)) {
    }
    return rpc::FromGrpc(stream_->Finish());
  }

 private:
  const std::unique_ptr<v1::CacheService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::ExchangeRequest, v1::ExchangeResponse>> stream_;
  std::vector<std::vector<size_t>> messages_;
};

inline std::unique_ptr<grpc::ClientContext> Context() {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  return context;
}

inline void Store(v1::CacheService::Stub& stub, const std::string& key, const std::string& value) {
  v1::SetRequest set;
  set.set_key(key);
  set.set_value(value);
  v1::SetResponse stored;
  EXPECT_TRUE(stub.Set(Context().get(), set, &stored).ok());
  EXPECT_EQ(stored.outcome(), v1::OUTCOME_OK);
}

}  // namespace atoll::service
