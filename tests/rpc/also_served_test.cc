#include "rpc/also_served.h"

#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "rpc/completion_queue.h"
#include "rpc/poller_pool.h"
#include "tests/support/notification.h"

namespace atoll::rpc {
namespace {

// What runs when an operation of gRPC is done.
class Done final : public Tag {
 public:
  void Proceed(bool ok) override {
    ok_ = ok;
    done_.Notify();
  }
  bool Wait() {
    done_.Wait();
    return ok_;
  }

 private:
  bool ok_ = false;
  test::Notification done_;
};

class AlsoServedTest : public testing::Test {
 protected:
  AlsoServedTest() : poller_("caller") {
    one_pool_ = std::make_unique<PollerPool>(PollerPool::Options{.name = "one"},
                                             one_builder_.AddCompletionQueue());
    // The other server's own queue is hardly looked at.
    other_pool_ = std::make_unique<PollerPool>(
        PollerPool::Options{.name = "other", .rare = kSeldom}, other_builder_.AddCompletionQueue());
    other_builder_.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    AlsoServedBy(one_pool_->queue(), other_builder_);
    poller_.Start();
  }

  void Start() {
    one_ = one_builder_.BuildAndStart();
    other_ = other_builder_.BuildAndStart();
    ASSERT_NE(other_, nullptr);
    ASSERT_NE(port_, 0);
    one_pool_->Start();
    other_pool_->Start();
  }
  void TearDown() override {
    poller_.Stop();
    other_->Shutdown();
    one_->Shutdown();
    other_pool_->Stop();
    other_.reset();
    one_pool_->Stop();
  }

  // A call of the other server, to its end.
  grpc::Status Call() {
    grpc::GenericStub stub(
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", port_), grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    grpc::ByteBuffer answer;
    grpc::Status status;
    const auto call =
        stub.PrepareUnaryCall(&context, "/any/Method", grpc::ByteBuffer(), poller_.queue());
    call->StartCall();
    Done done;
    call->Finish(&answer, &status, done.Arm());
    done.Wait();
    return status;
  }

  static constexpr absl::Duration kSeldom = absl::Milliseconds(50);

  Poller poller_;
  grpc::ServerBuilder one_builder_;
  grpc::ServerBuilder other_builder_;
  int port_ = 0;
  std::unique_ptr<PollerPool> one_pool_;
  std::unique_ptr<PollerPool> other_pool_;
  std::unique_ptr<grpc::Server> one_;
  std::unique_ptr<grpc::Server> other_;
};

// Answers one call with a status of its own.
class Answer final : public Tag {
 public:
  Answer(grpc::AsyncGenericService& service, grpc::ServerCompletionQueue* queue) {
    service.RequestCall(&context_, &stream_, queue, queue, Arm());
  }
  void Proceed(bool ok) override {
    if (!ok || answered_) return ended_.Notify();
    answered_ = true;
    stream_.Finish(grpc::Status(grpc::StatusCode::DATA_LOSS, "here"), Arm());
  }
  bool answered() const { return answered_; }
  void WaitForEnd() { ended_.Wait(); }

 private:
  grpc::GenericServerContext context_;
  grpc::GenericServerAsyncReaderWriter stream_{&context_};
  bool answered_ = false;
  test::Notification ended_;
};

TEST_F(AlsoServedTest, CallsComeOnTheOthersQueue) {
  grpc::AsyncGenericService service;
  other_builder_.RegisterAsyncGenericService(&service);
  Start();
  Answer answer(service, one_pool_->queue());
  EXPECT_EQ(Call().error_message(), "here");
  other_->Shutdown();
  answer.WaitForEnd();
  EXPECT_TRUE(answer.answered());
}

TEST_F(AlsoServedTest, CallsThatAreAskedForEndWithTheServer) {
  grpc::AsyncGenericService service;
  other_builder_.RegisterAsyncGenericService(&service);
  Start();
  Answer answer(service, one_pool_->queue());
  other_->Shutdown();
  answer.WaitForEnd();
  EXPECT_FALSE(answer.answered());
}

TEST_F(AlsoServedTest, WhatNobodyServesIsAnsweredByItsOwnQueue) {
  Start();
  EXPECT_EQ(Call().error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

}  // namespace
}  // namespace atoll::rpc
