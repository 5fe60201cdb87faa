// Asking the controller over gRPC, against a server that answers as told.

#include "server/cluster/peer_caller.h"

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "atoll/internal/v1/peer.grpc.pb.h"
#include "base/mutex.h"
#include "base/status.h"
#include "gtest/gtest.h"
#include "rpc/completion_queue.h"
#include "rpc/status.h"

namespace atoll::cluster {
namespace {

using internal::v1::AskControllerRequest;
using internal::v1::AskControllerResponse;

class Controller final : public internal::v1::PeerService::Service {
 public:
  grpc::Status AskController(grpc::ServerContext* context, const AskControllerRequest* request,
                             AskControllerResponse* response) override {
    if (request->drain_node() == "hang") {
      base::Mutex mu;
      base::CondVar never;
      base::MutexLock lock(mu);
      while (!context->IsCancelled()) never.WaitFor(mu, absl::Milliseconds(10));
      return grpc::Status::CANCELLED;
    }
    if (request->drain_node() == "refuse") {
      return rpc::ToGrpc(
          base::WithReason(absl::FailedPreconditionError("not me"), base::reason::kNotController));
    }
    response->set_map_version(request->from_incarnation() + 1);
    return grpc::Status::OK;
  }
};

class PeerCallerTest : public ::testing::Test {
 protected:
  PeerCallerTest() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    address_ = absl::StrCat("127.0.0.1:", port);
    poller_.Start();
  }
  ~PeerCallerTest() override {
    caller_->Stop();
    server_->Shutdown();
  }

  void Call(const std::string& address, const AskControllerRequest& request,
            absl::Duration timeout = absl::Seconds(10)) {
    caller_->AskController(address, request, timeout,
                           [this](absl::StatusOr<AskControllerResponse> response) {
                             base::MutexLock lock(mu_);
                             answer_ = std::move(response);
                             answered_.SignalAll();
                           });
  }
  absl::StatusOr<AskControllerResponse> Answer() {
    base::MutexLock lock(mu_);
    while (!answer_) answered_.Wait(mu_);
    return *answer_;
  }

  Controller service_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
  rpc::Poller poller_{"test"};
  std::unique_ptr<PeerCaller> caller_ = MakeGrpcPeerCaller(poller_.queue());
  base::Mutex mu_;
  base::CondVar answered_;
  std::optional<absl::StatusOr<AskControllerResponse>> answer_ ABSL_GUARDED_BY(mu_);
};

TEST_F(PeerCallerTest, TheAnswerComesBack) {
  AskControllerRequest request;
  request.set_from_incarnation(41);
  Call(address_, request);
  const auto answer = Answer();
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->map_version(), 42u);
}

TEST_F(PeerCallerTest, ARefusalKeepsItsReason) {
  AskControllerRequest request;
  request.set_drain_node("refuse");
  Call(address_, request);
  EXPECT_TRUE(base::HasReason(Answer().status(), base::reason::kNotController));
}

TEST_F(PeerCallerTest, NobodyThereIsUnavailable) {
  Call("127.0.0.1:1", {});
  EXPECT_EQ(Answer().status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(PeerCallerTest, SilenceEndsByTheTimeout) {
  AskControllerRequest request;
  request.set_drain_node("hang");
  Call(address_, request, absl::Milliseconds(100));
  EXPECT_EQ(Answer().status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(PeerCallerTest, AStopEndsCallsUnderWayAndRefusesNewOnes) {
  AskControllerRequest request;
  request.set_drain_node("hang");
  Call(address_, request, absl::Hours(1));
  caller_->Stop();
  EXPECT_FALSE(Answer().ok());
  {
    base::MutexLock lock(mu_);
    answer_.reset();
  }
  Call(address_, {});
  EXPECT_EQ(Answer().status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace atoll::cluster
