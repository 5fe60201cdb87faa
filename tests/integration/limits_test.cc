// Plain stubs, as any language has them, against a real node: limits and the texts of refusals.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "atoll/v1/cache.grpc.pb.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/support/test_cluster.h"

namespace atoll {
namespace {

using test::TestCluster;

class LimitsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto cluster = TestCluster::Start({.standalone = true, .data_folders = false});
    if (cluster.ok()) {
      cluster_ = cluster->release();
    }
  }
  static void TearDownTestSuite() {
    delete cluster_;
    cluster_ = nullptr;
  }
  void SetUp() override {
    ASSERT_NE(cluster_, nullptr);
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(16 << 20);
    channel_ = grpc::CreateCustomChannel(cluster_->address(0), grpc::InsecureChannelCredentials(),
                                         arguments);
    stub_ = v1::CacheService::NewStub(channel_);
  }

  static void SetDeadline(grpc::ClientContext& context) {
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  }
  grpc::Status Set(const v1::SetRequest& request) {
    grpc::ClientContext context;
    SetDeadline(context);
    v1::SetResponse response;
    return stub_->Set(&context, request, &response);
  }
  grpc::Status Get(const v1::GetRequest& request, v1::GetResponse* response = nullptr) {
    grpc::ClientContext context;
    SetDeadline(context);
    v1::GetResponse ignored;
    return stub_->Get(&context, request, response != nullptr ? response : &ignored);
  }
  static std::string ReasonOf(const grpc::Status& status) {
    google::rpc::Status details;
    details.ParseFromString(status.error_details());
    for (const google::protobuf::Any& detail : details.details()) {
      google::rpc::ErrorInfo info;
      if (detail.UnpackTo(&info) && info.domain() == "atoll") {
        return info.reason();
      }
    }
    return "";
  }
  static void ExpectRefused(const grpc::Status& status, const std::string& text) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
    EXPECT_EQ(status.error_message(), text);
    EXPECT_EQ(ReasonOf(status), "BAD_ARGUMENT");
  }

  static TestCluster* cluster_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::CacheService::Stub> stub_;
};
TestCluster* LimitsTest::cluster_ = nullptr;

TEST_F(LimitsTest, KeysHaveOneTo1024Bytes) {
  v1::SetRequest set;
  set.set_key(std::string(1300, 'k'));
  ExpectRefused(Set(set), "key: 1300 bytes, limit 1024");
  set.set_key("");
  const grpc::Status empty = Set(set);
  EXPECT_EQ(empty.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(empty.error_message(), testing::StartsWith("key: "));
  set.set_key(std::string(1024, 'k'));
  EXPECT_TRUE(Set(set).ok());
  v1::GetRequest get;
  get.set_key(std::string(1025, 'k'));
  ExpectRefused(Get(get), "key: 1025 bytes, limit 1024");
}

TEST_F(LimitsTest, ANegativeTimeToLiveIsRefused) {
  v1::SetRequest set;
  set.set_key("k");
  set.set_ttl_ms(-1);
  const grpc::Status status = Set(set);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), testing::StartsWith("ttl_ms: -1"));
}

TEST_F(LimitsTest, AnUnknownNamespaceIsNamed) {
  v1::GetRequest get;
  get.set_key("k");
  get.set_namespace_("nowhere");
  const grpc::Status status = Get(get);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), testing::HasSubstr("nowhere"));
  EXPECT_EQ(ReasonOf(status), "UNKNOWN_NAMESPACE");
  get.set_namespace_("Not Valid");
  EXPECT_FALSE(Get(get).ok());
}

TEST_F(LimitsTest, AMultiCallTakesTenThousandKeys) {
  v1::MultiGetRequest request;
  for (int i = 0; i < 10'001; ++i) {
    request.add_keys("k");
  }
  grpc::ClientContext context;
  SetDeadline(context);
  v1::MultiGetResponse response;
  ExpectRefused(stub_->MultiGet(&context, request, &response), "keys: 10001, limit 10000");
  request.mutable_keys()->RemoveLast();
  grpc::ClientContext again;
  SetDeadline(again);
  EXPECT_TRUE(stub_->MultiGet(&again, request, &response).ok());
  EXPECT_EQ(response.results_size(), 10'000);
}

TEST_F(LimitsTest, AValueAboveTheLimitIsRefusedBeforeItIsSent) {
  // An eighth of --memory, 64 MiB.
  grpc::ClientContext context;
  SetDeadline(context);
  v1::SetStreamResponse response;
  auto writer = stub_->SetStream(&context, &response);
  v1::SetStreamRequest first;
  first.mutable_header()->mutable_set()->set_key("k");
  first.mutable_header()->set_size((8 << 20) + 1);
  writer->Write(first);
  writer->WritesDone();
  ExpectRefused(writer->Finish(), "value: 8388609 bytes, limit 8388608");
}

TEST_F(LimitsTest, AStreamThatCarriesAnotherSumIsRefusedAndStoresNothing) {
  v1::SetRequest set;
  set.set_key("sum");
  set.set_value("old");
  v1::SetResponse stored;
  {
    grpc::ClientContext context;
    SetDeadline(context);
    ASSERT_TRUE(stub_->Set(&context, set, &stored).ok());
  }
  for (const int chunk : {99, 101}) {
    grpc::ClientContext context;
    SetDeadline(context);
    v1::SetStreamResponse response;
    auto writer = stub_->SetStream(&context, &response);
    v1::SetStreamRequest message;
    message.mutable_header()->mutable_set()->set_key("sum");
    message.mutable_header()->set_size(100);
    writer->Write(message);
    message.set_chunk(std::string(chunk, 'x'));
    writer->Write(message);
    writer->WritesDone();
    EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT) << chunk;
    v1::GetRequest get;
    get.set_key("sum");
    v1::GetResponse got;
    ASSERT_TRUE(Get(get, &got).ok());
    EXPECT_EQ(got.value(), "old");
    EXPECT_EQ(got.version(), stored.version());
  }
}

TEST_F(LimitsTest, AUnaryGetOfALargeValueSaysToUseAStream) {
  const std::string value(3 << 20, 'v');
  v1::SetRequest set;
  set.set_key("large");
  set.set_value(value);
  ExpectRefused(Set(set), "value: 3145728 bytes, limit 1048576");
  {
    grpc::ClientContext context;
    SetDeadline(context);
    v1::SetStreamResponse response;
    auto writer = stub_->SetStream(&context, &response);
    v1::SetStreamRequest message;
    message.mutable_header()->mutable_set()->set_key("large");
    message.mutable_header()->set_size(value.size());
    writer->Write(message);
    for (size_t at = 0; at < value.size(); at += 256 << 10) {
      message.set_chunk(value.substr(at, 256 << 10));
      writer->Write(message);
    }
    writer->WritesDone();
    const grpc::Status stored = writer->Finish();
    ASSERT_TRUE(stored.ok()) << stored.error_message();
  }
  v1::GetRequest get;
  get.set_key("large");
  v1::GetResponse got;
  ASSERT_TRUE(Get(get, &got).ok());
  EXPECT_EQ(got.outcome(), v1::OUTCOME_USE_STREAM);
  EXPECT_EQ(got.size(), value.size());
  EXPECT_TRUE(got.value().empty());

  grpc::ClientContext context;
  SetDeadline(context);
  v1::GetStreamRequest request;
  *request.mutable_get() = get;
  auto reader = stub_->GetStream(&context, request);
  v1::GetStreamResponse part;
  ASSERT_TRUE(reader->Read(&part));
  EXPECT_EQ(part.header().outcome(), v1::OUTCOME_OK);
  EXPECT_EQ(part.header().size(), value.size());
  std::string received;
  while (reader->Read(&part)) {
    EXPECT_LE(part.chunk().size(), size_t{1} << 20);
    received += part.chunk();
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(received, value);
}

TEST_F(LimitsTest, ADeadlineThatHasPassedIsNotWorkedOn) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() - std::chrono::seconds(1));
  v1::GetRequest get;
  get.set_key("k");
  v1::GetResponse response;
  EXPECT_EQ(stub_->Get(&context, get, &response).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(LimitsTest, HealthIsServed) {
  auto health = grpc::health::v1::Health::NewStub(channel_);
  grpc::ClientContext context;
  SetDeadline(context);
  grpc::health::v1::HealthCheckResponse response;
  ASSERT_TRUE(health->Check(&context, {}, &response).ok());
  EXPECT_EQ(response.status(), grpc::health::v1::HealthCheckResponse::SERVING);
}

}  // namespace
}  // namespace atoll
