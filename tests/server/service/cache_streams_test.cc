// CacheService's streams through plain generated stubs: large values, and Exchange.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <thread>

#include "base/status.h"
#include "tests/server/service/cache_stub.h"

namespace atoll::service {
namespace {

using ::testing::HasSubstr;

class CacheStreams : public CacheServiceTest {};

INSTANTIATE_TEST_SUITE_P(Nodes, CacheStreams, ::testing::Bool(),
                         [](const auto& nodes) { return nodes.param ? "Forwarded" : "Local"; });

std::string Pattern(size_t size) {
  std::string out(size, '\0');
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<char>(i * 31 + i / 251);
  return out;
}

absl::Status SetByStream(Stub& stub, const std::string& key, const std::string& value,
                         uint64_t announced, v1::SetStreamResponse* response) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  auto writer = stub->SetStream(&context, response);
  v1::SetStreamRequest message;
  message.mutable_header()->mutable_set()->set_key(key);
  message.mutable_header()->set_size(announced);
  writer->Write(message);
  for (size_t i = 0; i < value.size(); i += 200'000) {
    message.set_chunk(value.substr(i, 200'000));
    if (!writer->Write(message)) break;
  }
  writer->WritesDone();
  return rpc::FromGrpc(writer->Finish());
}

absl::Status GetByStream(Stub& stub, const std::string& key, v1::GetResponse* header,
                         std::string* value) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  v1::GetStreamRequest request;
  request.mutable_get()->set_key(key);
  auto reader = stub->GetStream(&context, request);
  v1::GetStreamResponse message;
  value->clear();
  while (reader->Read(&message)) {
    if (message.has_header()) {
      *header = message.header();
    } else {
      EXPECT_LE(message.chunk().size(), 256u << 10);
      value->append(message.chunk());
    }
  }
  return rpc::FromGrpc(reader->Finish());
}

TEST_P(CacheStreams, LargeValuesPassInChunksBothWays) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{100'000}, size_t{5'000'000}}) {
    SCOPED_TRACE(size);
    const std::string value = Pattern(size);
    v1::SetStreamResponse stored;
    const absl::Status set = SetByStream(stub_, Key(), value, size, &stored);
    ASSERT_TRUE(set.ok()) << set;
    EXPECT_EQ(stored.result().outcome(), v1::OUTCOME_OK);
    v1::GetResponse header;
    std::string found;
    const absl::Status got = GetByStream(stub_, Key(), &header, &found);
    ASSERT_TRUE(got.ok()) << got;
    EXPECT_EQ(header.outcome(), v1::OUTCOME_OK);
    EXPECT_EQ(header.size(), size);
    EXPECT_EQ(header.version(), stored.result().version());
    EXPECT_TRUE(found == value);
    EXPECT_EQ(stub_.Get(Key()).outcome(),
              size > (1 << 20) ? v1::OUTCOME_USE_STREAM : v1::OUTCOME_OK);
    EXPECT_EQ(stub_.Get(Key()).size(), size);
  }
  v1::GetResponse header;
  std::string nothing;
  ASSERT_TRUE(GetByStream(stub_, Key(1), &header, &nothing).ok());
  EXPECT_EQ(header.outcome(), v1::OUTCOME_MISS);
}

TEST_P(CacheStreams, AStreamOfAnotherSizeThanAnnouncedStoresNothing) {
  ASSERT_TRUE(stub_.Set(Key(), "old").ok());
  const v1::GetResponse before = stub_.Get(Key());
  v1::SetStreamResponse response;
  for (const uint64_t announced : {uint64_t{500'000}, uint64_t{900'000}}) {
    const absl::Status status =
        SetByStream(stub_, Key(), std::string(700'000, 'x'), announced, &response);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    const v1::GetResponse after = stub_.Get(Key());
    EXPECT_EQ(after.value(), "old");
    EXPECT_EQ(after.version(), before.version());
  }
  const absl::Status large = SetByStream(stub_, Key(), "x", uint64_t{1} << 40, &response);
  EXPECT_THAT(std::string(large.message()), HasSubstr("value: 1099511627776 bytes, limit "));
}

// --- Exchange ---

TEST_P(CacheStreams, AnExchangeStreamAnswersEveryOperationById) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  auto stream = stub_->Exchange(&context);
  v1::ExchangeRequest request;
  for (uint64_t i = 0; i < 200; ++i) {
    auto* operation = request.add_operations();
    operation->set_id(i);
    operation->mutable_set()->set_key("x" + std::to_string(i));
    operation->mutable_set()->set_value(std::to_string(i * i));
  }
  ASSERT_TRUE(stream->Write(request));
  std::map<uint64_t, v1::OperationResult> results;
  v1::ExchangeResponse response;
  while (results.size() < 200 && stream->Read(&response)) {
    for (const auto& result : response.results()) {
      EXPECT_TRUE(results.emplace(result.id(), result).second);
    }
  }
  request.Clear();
  for (uint64_t i = 0; i < 200; ++i) {
    auto* operation = request.add_operations();
    operation->set_id(1000 + i);
    operation->mutable_get()->set_key("x" + std::to_string(i));
  }
  request.add_operations()->set_id(5000);
  ASSERT_TRUE(stream->Write(request));
  stream->WritesDone();
  while (stream->Read(&response)) {
    for (const auto& result : response.results()) {
      EXPECT_TRUE(results.emplace(result.id(), result).second);
    }
  }
  EXPECT_TRUE(stream->Finish().ok());
  ASSERT_EQ(results.size(), 401u);
  for (uint64_t i = 0; i < 200; ++i) {
    EXPECT_EQ(results[i].set().outcome(), v1::OUTCOME_OK);
    EXPECT_EQ(results[1000 + i].get().value(), std::to_string(i * i));
  }
  EXPECT_EQ(results[5000].error().code(), static_cast<int>(absl::StatusCode::kInvalidArgument));
}

TEST_P(CacheStreams, AnExchangeStreamSendsLargeValuesAnotherWay) {
  ASSERT_TRUE(stub_.Set(Key(), std::string(100'000, 'x')).ok());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  auto stream = stub_->Exchange(&context);
  v1::ExchangeRequest request;
  request.add_operations()->mutable_get()->set_key(Key());
  ASSERT_TRUE(stream->Write(request));
  v1::ExchangeResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.results(0).get().outcome(), v1::OUTCOME_USE_STREAM);
  EXPECT_EQ(response.results(0).get().size(), 100'000u);
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

// --- One node is enough for these ---

TEST(CacheStreamsLimits, MoreThanIsAdmittedIsRefusedAndNotQueued) {
  test::CacheNodes nodes({.nodes = 2, .rpc_bytes = 3 << 20, .max_operations = 100});
  Stub stub(nodes.channel(0));
  v1::SetStreamResponse response;
  // Announced, and never sent: the memory is taken.
  grpc::ClientContext context;
  auto writer = stub->SetStream(&context, &response);
  v1::SetStreamRequest message;
  message.mutable_header()->mutable_set()->set_key("k");
  message.mutable_header()->set_size(2'900'000);
  ASSERT_TRUE(writer->Write(message));
  while (nodes.budget(0).used() < 2'900'000) std::this_thread::yield();
  const absl::Status refused =
      SetByStream(stub, "k", std::string(700'000, 'x'), 700'000, &response);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted) << refused;
  EXPECT_EQ(base::Reason(refused), base::reason::kOverload);
  context.TryCancel();
  writer->Finish();
  while (nodes.budget(0).used() > 0) std::this_thread::yield();
  EXPECT_TRUE(SetByStream(stub, "k", std::string(700'000, 'x'), 700'000, &response).ok());
  EXPECT_EQ(nodes.handler(0).counters().refused.load(), 1u);
}

}  // namespace
}  // namespace atoll::service
