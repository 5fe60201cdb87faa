// The streams against a node that writes its answers otherwise than ours do: whatever generated
// code could read is read, and the rest breaks the stream and nothing else.
#include <grpcpp/channel.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "atoll/v1/cache.pb.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "rpc/batch_stream.h"
#include "rpc/channel.h"
#include "rpc/completion_queue.h"
#include "rpc/lone_stream.h"
#include "rpc/timers.h"
#include "rpc/value_block.h"
#include "rpc/wire/messages.h"
#include "tests/support/notification.h"

namespace atoll::rpc {
namespace {

// What is sent back for a message: bytes, cut into slices of `slice` (0: one).
struct Answer {
  std::string bytes;
  size_t slice = 0;
};
using Answerer = std::function<Answer(const v1::ExchangeRequest&)>;

class ScriptedNode final : public grpc::CallbackGenericService {
 public:
  ScriptedNode() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterCallbackGenericService(this);
    server_ = builder.BuildAndStart();
    address = "127.0.0.1:" + std::to_string(port);
  }
  ~ScriptedNode() override { server_->Shutdown(std::chrono::system_clock::now()); }

  void Set(Answerer answerer) {
    base::MutexLock lock(mu_);
    answerer_ = std::move(answerer);
  }

  std::string address;

 private:
  class Stream final : public grpc::ServerGenericBidiReactor {
   public:
    // gRPC orders these calls, each of which may be another thread's; ThreadSanitizer is told so.
    explicit Stream(ScriptedNode* node) : node_(node) {
      ReleaseToGrpc(this);
      StartRead(&in_);
    }
    void OnReadDone(bool ok) override {
      AcquireFromGrpc(this);
      if (!ok) {
        ReleaseToGrpc(this);
        return Finish(grpc::Status::OK);
      }
      std::vector<grpc::Slice> slices;
      std::string bytes;
      if (in_.Dump(&slices).ok()) {
        for (const grpc::Slice& slice : slices) {
          bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
        }
      }
      v1::ExchangeRequest request;
      EXPECT_TRUE(request.ParseFromString(bytes));
      const Answer answer = node_->AnswerOf(request);
      std::vector<grpc::Slice> out;
      const size_t step = answer.slice == 0 ? answer.bytes.size() : answer.slice;
      for (size_t at = 0; at < answer.bytes.size(); at += step) {
        out.emplace_back(answer.bytes.substr(at, step));
      }
      out_ = grpc::ByteBuffer(out.data(), out.size());
      ReleaseToGrpc(this);
      StartWrite(&out_);
    }
    void OnWriteDone(bool ok) override {
      AcquireFromGrpc(this);
      ReleaseToGrpc(this);
      if (ok) StartRead(&in_);
    }
    void OnDone() override {
      AcquireFromGrpc(this);
      delete this;
    }

   private:
    ScriptedNode* const node_;
    grpc::ByteBuffer in_;
    grpc::ByteBuffer out_;
  };

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* /*context*/) override {
    return new Stream(this);
  }
  Answer AnswerOf(const v1::ExchangeRequest& request) {
    base::MutexLock lock(mu_);
    return answerer_(request);
  }

  base::Mutex mu_;
  Answerer answerer_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<grpc::Server> server_;
};

v1::ExchangeResponse Good(const v1::ExchangeRequest& request) {
  v1::ExchangeResponse response;
  for (const v1::Operation& operation : request.operations()) {
    v1::OperationResult* const result = response.add_results();
    result->set_id(operation.id());
    result->mutable_get()->set_outcome(v1::OUTCOME_OK);
    result->mutable_get()->set_value("value of " + operation.get().key());
  }
  return response;
}

// A get that keeps its end and its value.
class KeptGet final : public BatchOperation {
 public:
  explicit KeptGet(const std::string& key) : key_(key) {
    v1::Operation operation;
    operation.mutable_get()->set_key(key);
    bytes_ = EncodeOperation(operation);
    head = *bytes_;
    deadline = base::Clock::Real().BootTime() + absl::Seconds(60);
  }
  void ExpectValue() {
    ended.Wait();
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(value.bytes, "value of " + key_);
    EXPECT_EQ(ends, 1);
  }

  absl::Status status;
  Fate fate = Fate::kNotSent;
  ValueBlock::Copy value;
  int ends = 0;
  test::Notification ended;

 private:
  void OnEnd(BatchEnd& end) override {
    ++ends;
    status = end.status;
    fate = end.fate;
    if (end.result != nullptr) value = end.values->Take(end.result->get.value);
    if (end.message != nullptr) {
      value = end.values->Take({.bytes = end.message->get().value(), .pieces = {}});
    }
    ended.Notify();
  }

  const std::string key_;
  OperationBytes bytes_;
};

class ForeignAnswersTest : public testing::Test {
 protected:
  ForeignAnswersTest() : poller_("test"), timers_(poller_.queue()) {
    poller_.Start();
    stream_ = std::make_unique<BatchStream>(MakeChannel(node_.address), poller_.queue(), &timers_,
                                            BatchStreamOptions{.paced = true});
  }
  ~ForeignAnswersTest() override {
    stream_->Stop();
    timers_.Stop();
    poller_.Stop();
  }
  // Twenty gets, answered so, all find their values.
  void ExpectValues(Answerer answerer) {
    node_.Set(std::move(answerer));
    std::vector<std::unique_ptr<KeptGet>> gets;
    for (int i = 0; i < 20; ++i) {
      gets.push_back(std::make_unique<KeptGet>("k" + std::to_string(i)));
      stream_->Start(gets.back().get());
    }
    for (const auto& get : gets) get->ExpectValue();
    EXPECT_EQ(stream_->outstanding(), 0u);
  }

  ScriptedNode node_;
  Poller poller_;
  Timers timers_;
  std::unique_ptr<BatchStream> stream_;
};

// A field that no version knows yet: number 1000, varint.
const std::string kUnknownField = "\xc0\x3e\x07";

TEST_F(ForeignAnswersTest, ReadsWhatOursWrite) {
  ExpectValues([](const auto& request) -> Answer { return {Good(request).SerializeAsString()}; });
}

TEST_F(ForeignAnswersTest, ReadsAnswersInAnyNumberOfSlices) {
  ExpectValues([](const auto& request) -> Answer {
    return {Good(request).SerializeAsString(), 3};
  });
}

TEST_F(ForeignAnswersTest, ReadsUnknownFieldsOfTheMessageWhereverTheyAre) {
  ExpectValues([](const auto& request) -> Answer {
    return {kUnknownField + Good(request).SerializeAsString()};
  });
  // Behind results that have been handed out already.
  ExpectValues([](const auto& request) -> Answer {
    return {Good(request).SerializeAsString() + kUnknownField};
  });
}

TEST_F(ForeignAnswersTest, ReadsUnknownFieldsOfAResult) {
  ExpectValues([](const auto& request) -> Answer {
    v1::ExchangeResponse response = Good(request);
    for (v1::OperationResult& result : *response.mutable_results()) {
      result.MergeFromString(kUnknownField);
    }
    return {response.SerializeAsString()};
  });
}

TEST_F(ForeignAnswersTest, AnswersOnceWhatIsAnsweredTwiceAndIgnoresWhatItNeverAsked) {
  ExpectValues([](const auto& request) -> Answer {
    v1::ExchangeResponse response = Good(request);
    response.MergeFrom(Good(request));
    v1::OperationResult stray = response.results(0);
    for (const uint64_t id : {uint64_t{0}, uint64_t{1}, ~uint64_t{0}}) {
      stray.set_id(id);
      *response.add_results() = stray;
    }
    return {response.SerializeAsString()};
  });
}

TEST_F(ForeignAnswersTest, AnErrorWithoutACodeIsAnError) {
  node_.Set([](const auto& request) -> Answer {
    v1::ExchangeResponse response;
    for (const v1::Operation& operation : request.operations()) {
      v1::OperationResult* const result = response.add_results();
      result->set_id(operation.id());
      result->mutable_error();
    }
    return {response.SerializeAsString()};
  });
  KeptGet get("k");
  stream_->Start(&get);
  get.ended.Wait();
  EXPECT_EQ(get.status.code(), absl::StatusCode::kInternal) << get.status;
  EXPECT_EQ(get.fate, Fate::kAnswered);
}

TEST_F(ForeignAnswersTest, WhatCannotBeReadBreaksTheStreamAndNothingElse) {
  node_.Set([](const auto&) -> Answer { return {"\x0a\xff\xff\xff\xff\x7fgarbage"}; });
  KeptGet get("k");
  stream_->Start(&get);
  get.ended.Wait();
  EXPECT_EQ(get.status.code(), absl::StatusCode::kUnavailable) << get.status;
  EXPECT_EQ(get.fate, Fate::kSent);
  node_.Set([](const auto& request) -> Answer { return {Good(request).SerializeAsString()}; });
  for (;;) {
    KeptGet again("k");
    stream_->Start(&again);
    again.ended.Wait();
    if (again.status.ok()) break;
    std::this_thread::yield();
  }
}

TEST_F(ForeignAnswersTest, TheLoneStreamReadsOursAndGivesUpOnTheRest) {
  node_.Set([](const auto& request) -> Answer { return {Good(request).SerializeAsString(), 5}; });
  LoneStream lone(MakeChannel(node_.address), {});
  KeptGet first("a");
  while (!lone.Run(&first)) std::this_thread::yield();
  first.ExpectValue();
  node_.Set([](const auto& request) -> Answer {
    return {Good(request).SerializeAsString() + kUnknownField};
  });
  KeptGet foreign("b");
  EXPECT_TRUE(lone.Run(&foreign));
  foreign.ExpectValue();
  node_.Set([](const auto&) -> Answer { return {"\x0a\xff\xff\xff\xff\x7fgarbage"}; });
  KeptGet garbage("c");
  while (!lone.Run(&garbage)) std::this_thread::yield();
  EXPECT_EQ(garbage.status.code(), absl::StatusCode::kUnavailable) << garbage.status;
  EXPECT_EQ(garbage.fate, Fate::kSent);
}

}  // namespace
}  // namespace atoll::rpc
