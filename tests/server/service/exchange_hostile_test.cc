// Exchange under callers who mean no good, or whose connection ends anywhere: whatever bytes come,
// the generated parser's judgement holds, others are served, and nothing is left behind.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <google/protobuf/unknown_field_set.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/impl/codegen/sync_stream.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "rpc/status.h"
#include "server/service/operation_batch.h"
#include "tests/support/cache_nodes.h"

namespace atoll::service {
namespace {

constexpr char kMethod[] = "/atoll.v1.CacheService/Exchange";

// A stream whose messages are given as bytes.
class RawCaller {
 public:
  explicit RawCaller(const std::shared_ptr<grpc::Channel>& channel)
      : method_(kMethod, grpc::internal::RpcMethod::BIDI_STREAMING, channel) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    stream_.reset(
        grpc::internal::ClientReaderWriterFactory<grpc::ByteBuffer, grpc::ByteBuffer>::Create(
            channel.get(), method_, &context_));
  }

  bool Write(const std::string& bytes) {
    const grpc::Slice slice(bytes);
    return stream_->Write(grpc::ByteBuffer(&slice, 1));
  }
  // One more message of results; false at the end.
  bool Read(v1::ExchangeResponse* response) {
    grpc::ByteBuffer bytes;
    return stream_->Read(&bytes) &&
           grpc::SerializationTraits<v1::ExchangeResponse>::Deserialize(&bytes, response).ok();
  }
  // Sends no more and reads to the end: how often each id was answered.
  absl::Status Finish(std::map<uint64_t, int>* answers) {
    stream_->WritesDone();
    v1::ExchangeResponse response;
    while (Read(&response)) {
      for (const v1::OperationResult& result : response.results()) ++(*answers)[result.id()];
    }
    return rpc::FromGrpc(stream_->Finish());
  }

 private:
  const grpc::internal::RpcMethod method_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>> stream_;
};

// A message with an operation of each kind.
v1::ExchangeRequest OneOfEach() {
  v1::ExchangeRequest request;
  uint64_t id = 100;
  const auto add = [&] {
    request.add_operations()->set_id(++id);
    return request.mutable_operations(request.operations_size() - 1);
  };
  add()->mutable_get()->set_key("a");
  v1::SetRequest& set = *add()->mutable_set();
  set.set_namespace_("default");
  set.set_key("b");
  set.set_value("value");
  set.set_ttl_ms(60'000);
  add()->mutable_delete_()->set_key("c");
  v1::MultiGetRequest& gets = *add()->mutable_multi_get();
  gets.add_keys("a");
  gets.add_keys("b");
  v1::MultiSetEntry& entry = *add()->mutable_multi_set()->add_entries();
  entry.set_key("e");
  entry.set_value("v");
  add()->mutable_increment()->set_key("f");
  request.set_refuse_wrong_owner(true);
  request.GetReflection()->MutableUnknownFields(&request)->AddFixed64(2000, 1);
  return request;
}

class Hostile : public ::testing::Test {
 protected:
  ~Hostile() override {
    // Whoever behaves is served, and nothing is left of those who did not.
    v1::ExchangeRequest request;
    request.add_operations()->mutable_get()->set_key("a");
    RawCaller caller(nodes_.channel(0));
    EXPECT_TRUE(caller.Write(request.SerializeAsString()));
    std::map<uint64_t, int> answers;
    EXPECT_TRUE(caller.Finish(&answers).ok());
    EXPECT_EQ(answers.size(), 1u);
    EXPECT_TRUE(nodes_.handler(0).Drain(absl::Seconds(20)));
    EXPECT_EQ(nodes_.handler(0).under_way(), 0);
    EXPECT_EQ(nodes_.budget(0).used(), 0u);
  }

  // Sends the bytes as a stream's only message.
  absl::Status Send(const std::string& bytes, std::map<uint64_t, int>* answers) {
    RawCaller caller(nodes_.channel(0));
    caller.Write(bytes);
    return caller.Finish(answers);
  }

  test::CacheNodes nodes_;
};

TEST_F(Hostile, AMessageCutAnywhereIsWhatTheGeneratedParserMakesOfIt) {
  const std::string whole = OneOfEach().SerializeAsString();
  for (size_t size = 0; size <= whole.size(); ++size) {
    SCOPED_TRACE(size);
    const std::string cut = whole.substr(0, size);
    v1::ExchangeRequest parsed;
    const bool legal = parsed.ParseFromString(cut);
    std::map<uint64_t, int> answers;
    const absl::Status status = Send(cut, &answers);
    if (!legal) {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
      EXPECT_EQ(base::Reason(status), base::reason::kBadArgument);
      EXPECT_TRUE(answers.empty()) << "nothing of a malformed message is carried out";
      continue;
    }
    EXPECT_TRUE(status.ok()) << status;
    std::map<uint64_t, int> wanted;
    for (const v1::Operation& operation : parsed.operations()) ++wanted[operation.id()];
    EXPECT_EQ(answers, wanted);
  }
}

TEST_F(Hostile, LengthsThatLieAndTypesThatDoNotFitEndTheStream) {
  const std::pair<const char*, std::string> messages[] = {
      {"an operation longer than the message", std::string("\x0a\x7f\x08\x01", 4)},
      {"of 2 GiB", std::string("\x0a\xff\xff\xff\xff\x07\x08\x01", 8)},
      {"of 2^63 bytes", std::string("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x08", 11)},
      {"a length that never ends", "\x0a" + std::string(20, '\xff')},
      {"a get longer than its operation", std::string("\x0a\x04\x08\x01\x1a\x10", 6)},
      {"a key longer than its get", std::string("\x0a\x07\x08\x01\x1a\x03\x12\x20k", 9)},
      {"a key whose operation ends before it", std::string("\x0a\x05\x1a\x0a\x12\x08k", 7)},
      {"field number 0", std::string("\x02\x01x", 3)},
      {"wire type 7", std::string("\x0f\x01", 2)},
      {"a group without an end", std::string("\x0b\x08\x01", 3)},
      {"an end without a group", std::string("\x0c", 1)},
      {"an id of eleven bytes", "\x0a\x0c\x08" + std::string(10, '\x80') + "\x01"},
      {"a namespace that is not UTF-8", std::string("\x0a\x07\x1a\x05\x0a\x03\xff\xfe\xfd", 9)},
  };
  for (const auto& [what, bytes] : messages) {
    SCOPED_TRACE(what);
    v1::ExchangeRequest parsed;
    EXPECT_FALSE(parsed.ParseFromString(bytes));
    std::map<uint64_t, int> answers;
    const absl::Status status = Send(bytes, &answers);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_TRUE(answers.empty());
  }
}

TEST_F(Hostile, EachOperationIsAnsweredUnderItsIdThoughThatIsThereTwice) {
  v1::ExchangeRequest request;
  for (int i = 0; i < 100; ++i) {
    v1::Operation& operation = *request.add_operations();
    operation.set_id(7);
    if (i % 2 == 0) {
      operation.mutable_get()->set_key("a");
    } else {
      operation.mutable_append()->set_key("a");
    }
  }
  std::map<uint64_t, int> answers;
  EXPECT_TRUE(Send(request.SerializeAsString(), &answers).ok());
  EXPECT_EQ(answers, (std::map<uint64_t, int>{{7, 100}}));
}

// An operation of no kind: five or six bytes.
void AddEmpty(uint64_t id, std::string* message) {
  v1::ExchangeRequest request;
  request.add_operations()->set_id(id);
  message->append(request.SerializeAsString());
}

TEST_F(Hostile, AMillionIdsInOneMessageAreMalformed) {
  std::string message;
  for (uint64_t id = 0; id < 1'000'000 && message.size() < (4u << 20) - 100; ++id) {
    AddEmpty(id, &message);
  }
  std::map<uint64_t, int> answers;
  const absl::Status status = Send(message, &answers);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(status.message(), ::testing::HasSubstr("operations: "));
  EXPECT_TRUE(answers.empty());
}

TEST_F(Hostile, AMillionIdsInManyMessagesAreAnswered) {
  constexpr uint64_t kIds = 1'000'000;
  RawCaller caller(nodes_.channel(0));
  std::thread writer([&] {
    for (uint64_t id = 0; id < kIds;) {
      std::string message;
      for (int i = 0; i < 20'000; ++i, ++id) {
        v1::ExchangeRequest request;
        request.add_operations()->set_id(id);
        request.mutable_operations(0)->mutable_get()->set_key("a");
        message.append(request.SerializeAsString());
      }
      ASSERT_TRUE(caller.Write(message));
    }
  });
  std::vector<bool> seen(kIds);
  uint64_t count = 0;
  v1::ExchangeResponse response;
  while (count < kIds && caller.Read(&response)) {
    for (const v1::OperationResult& result : response.results()) {
      ASSERT_LT(result.id(), kIds);
      ASSERT_FALSE(seen[result.id()]);
      seen[result.id()] = true;
      ++count;
    }
  }
  writer.join();
  EXPECT_EQ(count, kIds);
  std::map<uint64_t, int> answers;
  EXPECT_TRUE(caller.Finish(&answers).ok());
}

// A small message may ask for a large answer: the node makes no more of it than the caller takes.
TEST_F(Hostile, AnAnswerThatIsMuchLargerThanItsMessageIsMadeAsItIsTaken) {
  constexpr uint64_t kGets = 12'000;
  v1::ExchangeRequest request;
  v1::SetRequest& set = *request.add_operations()->mutable_set();
  set.set_key("a");
  set.set_value(std::string(8000, 'v'));
  RawCaller caller(nodes_.channel(0));
  ASSERT_TRUE(caller.Write(request.SerializeAsString()));
  v1::ExchangeResponse response;
  ASSERT_TRUE(caller.Read(&response));
  request.Clear();
  for (uint64_t id = 1; id <= kGets; ++id) {
    request.add_operations()->set_id(id);
    request.mutable_operations(static_cast<int>(id - 1))->mutable_get()->set_key("a");
  }
  ASSERT_TRUE(caller.Write(request.SerializeAsString()));
  uint64_t next = 1;
  while (next <= kGets && caller.Read(&response)) {
    EXPECT_LT(response.ByteSizeLong(), OperationBatch::kMessageBytes + 10'000);
    for (const v1::OperationResult& result : response.results()) {
      ASSERT_EQ(result.id(), next++);
      ASSERT_EQ(result.get().value().size(), 8000u);
    }
  }
  EXPECT_EQ(next, kGets + 1);
  EXPECT_GE(nodes_.handler(0).counters().paused.load(), 1u);
  // And one who takes nothing, and goes.
  {
    RawCaller rude(nodes_.channel(0));
    ASSERT_TRUE(rude.Write(request.SerializeAsString()));
    while (nodes_.handler(0).counters().paused.load() < 2) std::this_thread::yield();
  }
  std::map<uint64_t, int> answers;
  EXPECT_TRUE(caller.Finish(&answers).ok());
}

// Fields that are split across the slices in which gRPC hands a message over.
TEST_F(Hostile, AMessageInPiecesIsTheSameMessage) {
  class Owner final : public OperationBatch::Owner {
   public:
    void OnFull() override {}
    bool HasRoom() override { return true; }
    void OnFailed(const absl::Status&) override {}
    void StartOther(std::unique_ptr<v1::Operation> operation) override {
      others.push_back(operation->ShortDebugString());
    }
    void OnLate(OperationBatch::Late*, replication::OperationResult) override { FAIL(); }
    std::vector<std::string> others;
  };
  const std::string whole = OneOfEach().SerializeAsString();
  const auto run = [&](const std::vector<size_t>& cuts) {
    std::vector<grpc::Slice> slices;
    size_t from = 0;
    for (const size_t cut : cuts) {
      slices.emplace_back(whole.substr(from, cut - from));
      from = cut;
    }
    slices.emplace_back(whole.substr(from));
    OperationBatch batch(&nodes_.handler(0));
    grpc::ByteBuffer message(slices.data(), slices.size());
    batch.input().buffer()->Swap(&message);
    EXPECT_TRUE(batch.Decode().ok());
    EXPECT_TRUE(batch.refuse_wrong_owner());
    wire::Output output;
    Owner owner;
    CallInfo info;
    EXPECT_TRUE(batch.Run(info, &output, &owner));
    EXPECT_TRUE(batch.Leave());
    grpc::ByteBuffer answer = output.Finish();
    v1::ExchangeResponse response;
    EXPECT_TRUE(
        grpc::SerializationTraits<v1::ExchangeResponse>::Deserialize(&answer, &response).ok());
    return std::pair(response.results_size(), owner.others);
  };
  const auto as_one = run({});
  EXPECT_EQ(as_one.first + static_cast<int>(as_one.second.size()), 6);
  std::vector<size_t> every;
  for (size_t cut = 1; cut < whole.size(); ++cut) {
    SCOPED_TRACE(cut);
    EXPECT_EQ(run({cut}), as_one);
    every.push_back(cut);
  }
  EXPECT_EQ(run(every), as_one);
}

int Connect(const std::string& address) {
  const size_t colon = address.rfind(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(colon + 1))));
  inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
  return fd;
}

// What a caller's connection says to a node, in both directions passed on, until it ends.
std::string Record(const std::string& node, const std::function<void(const std::string&)>& call) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(bind(listener, reinterpret_cast<const sockaddr*>(&at), sizeof(at)), 0);
  EXPECT_EQ(listen(listener, 1), 0);
  socklen_t size = sizeof(at);
  getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size);
  std::string said;
  std::thread relay([&] {
    const int caller = accept(listener, nullptr, nullptr);
    const int server = Connect(node);
    pollfd fds[2] = {{caller, POLLIN, 0}, {server, POLLIN, 0}};
    char bytes[4096];
    for (;;) {
      if (poll(fds, 2, -1) < 0) break;
      const ssize_t out = fds[0].revents != 0 ? read(caller, bytes, sizeof(bytes)) : -1;
      if (fds[0].revents != 0 && out <= 0) break;
      if (out > 0) {
        said.append(bytes, static_cast<size_t>(out));
        EXPECT_EQ(write(server, bytes, static_cast<size_t>(out)), out);
      }
      const ssize_t back = fds[1].revents != 0 ? read(server, bytes, sizeof(bytes)) : -1;
      if (fds[1].revents != 0 && back <= 0) break;
      if (back > 0) {
        EXPECT_EQ(write(caller, bytes, static_cast<size_t>(back)), back);
      }
    }
    close(caller);
    close(server);
  });
  call("127.0.0.1:" + std::to_string(ntohs(at.sin_port)));
  relay.join();
  close(listener);
  return said;
}

TEST_F(Hostile, AConnectionCutAtAnyByteLeavesNothingBehind) {
  const std::string node = nodes_.view(0).map()->members[0].listeners[0].address;
  const std::string said = Record(node, [&](const std::string& address) {
    const auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
    RawCaller caller(channel);
    EXPECT_TRUE(caller.Write(OneOfEach().SerializeAsString()));
    std::map<uint64_t, int> answers;
    EXPECT_TRUE(caller.Finish(&answers).ok());
    EXPECT_EQ(answers.size(), 6u);
  });
  ASSERT_GT(said.size(), 200u);
  for (size_t cut = 0; cut <= said.size(); ++cut) {
    const int fd = Connect(node);
    ASSERT_EQ(write(fd, said.data(), cut), static_cast<ssize_t>(cut));
    // Every other one by a reset.
    const linger reset{1, 0};
    if (cut % 2 == 0) setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
  }
}

TEST_F(Hostile, TenThousandStreamsOpenedAndDroppedAreForgotten) {
  const std::string message = OneOfEach().SerializeAsString();
  for (int i = 0; i < 10'000; ++i) {
    // Dropped without a word more: cancelled.
    RawCaller caller(nodes_.channel(0));
    if (i % 4 != 0) caller.Write(message);
    v1::ExchangeResponse response;
    if (i % 4 == 1) caller.Read(&response);
  }
}

TEST(ExchangeHostile, StreamsThatAreDroppedWhileTheyForwardLeaveNothingBehind) {
  test::CacheNodes nodes({.nodes = 2});
  const auto stub = v1::CacheService::NewStub(nodes.channel(0));
  for (int i = 0; i < 300; ++i) {
    grpc::ClientContext context;
    auto stream = stub->Exchange(&context);
    v1::ExchangeRequest request;
    request.add_operations()->mutable_get()->set_key(nodes.KeyOf(i % 2, i));
    stream->Write(request);
    if (i % 3 != 0) context.TryCancel();
    if (i % 3 == 0) stream->WritesDone();
    v1::ExchangeResponse response;
    while (stream->Read(&response)) {
    }
    (void)stream->Finish();
  }
  EXPECT_TRUE(nodes.handler(0).Drain(absl::Seconds(10)));
  EXPECT_EQ(nodes.handler(0).under_way(), 0);
  EXPECT_EQ(nodes.budget(0).used(), 0u);
}

}  // namespace
}  // namespace atoll::service
