// Links between real sockets: order, batching, reconnection, and whom a hello is refused.
#include "server/replication/peer_links.h"

#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "atoll/internal/v1/peer.grpc.pb.h"
#include "rpc/status.h"
#include "tests/support/fake_cluster_view.h"

namespace atoll::replication {
namespace {

class Inbox : public Receiver {
 public:
  void OnMessage(base::Incarnation, const internal::v1::PeerMessage& message) override {
    base::MutexLock lock(mu_);
    got_.push_back(message.append().committed());
    bytes_ += message.ByteSizeLong();
    changed_.SignalAll();
  }
  void OnLinkUp(base::Incarnation) override {
    base::MutexLock lock(mu_);
    ++ups_;
    changed_.SignalAll();
  }
  bool WaitForUps(int ups) {
    return WaitFor([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return ups_ >= ups; });
  }
  bool WaitForMessages(size_t count) {
    return WaitFor([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return got_.size() >= count; });
  }
  std::vector<uint64_t> got() {
    base::MutexLock lock(mu_);
    return got_;
  }
  uint64_t bytes() {
    base::MutexLock lock(mu_);
    return bytes_;
  }

 private:
  bool WaitFor(const std::function<bool()>& ready) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    base::MutexLock lock(mu_);
    while (!ready()) {
      if (std::chrono::steady_clock::now() > until) return false;
      changed_.WaitFor(mu_, absl::Milliseconds(100));
    }
    return true;
  }
  base::Mutex mu_;
  base::CondVar changed_;
  std::vector<uint64_t> got_ ABSL_GUARDED_BY(mu_);
  uint64_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
  int ups_ ABSL_GUARDED_BY(mu_) = 0;
};

// The serving end, with gRPC's synchronous service for brevity.
class Service : public internal::v1::PeerService::Service {
 public:
  explicit Service(LinkSink* sink) : sink_(sink) {}
  grpc::Status Link(grpc::ServerContext*,
                    grpc::ServerReaderWriter<internal::v1::LinkResponse, internal::v1::LinkRequest>*
                        stream) override {
    internal::v1::LinkRequest request;
    if (!stream->Read(&request)) return grpc::Status::OK;
    const internal::v1::LinkHello hello = request.hello();
    if (absl::Status status = sink_->OnHello(hello); !status.ok()) {
      ++refused;
      return rpc::ToGrpc(status);
    }
    stream->Write({});
    do {
      ++requests;
      sink_->OnMessages(base::Incarnation(hello.from_incarnation()), request);
    } while (stream->Read(&request));
    return grpc::Status::OK;
  }
  std::atomic<int> refused{0};
  std::atomic<int> requests{0};

 private:
  LinkSink* const sink_;
};

class End {
 public:
  explicit End(base::Incarnation self) : links({.self = self}), service(&links) {
    links.SetReceiver(&inbox);
  }
  ~End() {
    StopServing();
    links.Stop();
  }
  void Serve(int at) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(absl::StrCat("127.0.0.1:", at), grpc::InsecureServerCredentials(),
                             &port);
    builder.SetMaxReceiveMessageSize(kMaxLinkMessageBytes);
    builder.RegisterService(&service);
    server = builder.BuildAndStart();
  }
  void StopServing() {
    if (server != nullptr) {
      server->Shutdown(std::chrono::system_clock::now());
      server->Wait();
    }
    server = nullptr;
  }
  Inbox inbox;
  PeerLinks links;
  Service service;
  int port = 0;
  std::unique_ptr<grpc::Server> server;
};

cluster::MapPtr MapOf(uint64_t version, int port_b) {
  ring::PlacementMap map = test::MakeSimpleMap({.version = version, .nodes = 2});
  map.members[0].listeners = {{"peer", "127.0.0.1:1"}};
  map.members[1].listeners = {{"peer", absl::StrCat("127.0.0.1:", port_b)}};
  return std::make_shared<const ring::PlacementMap>(std::move(map));
}

internal::v1::PeerMessage Numbered(uint64_t number, size_t bytes = 0) {
  internal::v1::PeerMessage message;
  message.mutable_append()->set_committed(number);
  if (bytes > 0) {
    message.mutable_append()->add_records()->mutable_put()->set_value(std::string(bytes, 'x'));
  }
  return message;
}

TEST(PeerLinks, MessagesArriveInOrderAndGatherInBatches) {
  End a(test::NodeId(0));
  End b(test::NodeId(1));
  b.Serve(0);
  a.links.OnMap(MapOf(1, b.port));
  ASSERT_TRUE(a.inbox.WaitForUps(1));
  constexpr uint64_t kCount = 20'000;
  for (uint64_t n = 0; n < kCount; ++n) a.links.Send(test::NodeId(1), Numbered(n));
  ASSERT_TRUE(b.inbox.WaitForMessages(kCount));
  const std::vector<uint64_t> got = b.inbox.got();
  for (uint64_t n = 0; n < kCount; ++n) ASSERT_EQ(got[n], n);
  EXPECT_LT(b.service.requests, static_cast<int>(kCount));
  EXPECT_EQ(a.links.dropped(), 0u);
}

TEST(PeerLinks, WhatIsSentWhileSomebodyHoldsIsOneMessage) {
  End a(test::NodeId(0));
  End b(test::NodeId(1));
  b.Serve(0);
  a.links.OnMap(MapOf(1, b.port));
  ASSERT_TRUE(a.inbox.WaitForUps(1));
  // Without it the first would leave at once.
  a.links.Hold();
  for (uint64_t n = 0; n < 100; ++n) a.links.Send(test::NodeId(1), Numbered(n));
  EXPECT_EQ(a.links.written(), 0u);
  a.links.Release();
  ASSERT_TRUE(b.inbox.WaitForMessages(100));
  EXPECT_EQ(a.links.written(), 1u);
  EXPECT_EQ(b.service.requests, 2) << "the hello, and all";
}

TEST(PeerLinks, SeveralWhoHoldLeaveNothingBehind) {
  End a(test::NodeId(0));
  End b(test::NodeId(1));
  b.Serve(0);
  a.links.OnMap(MapOf(1, b.port));
  ASSERT_TRUE(a.inbox.WaitForUps(1));
  constexpr uint64_t kRounds = 2000;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t n = 0; n < kRounds; ++n) {
        if (t > 0) a.links.Hold();
        a.links.Send(test::NodeId(1), Numbered(n));
        a.links.Send(test::NodeId(1), Numbered(n));
        if (t > 0) a.links.Release();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(b.inbox.WaitForMessages(4 * 2 * kRounds));
}

TEST(PeerLinks, TheLargestRecordPasses) {
  End a(test::NodeId(0));
  End b(test::NodeId(1));
  b.Serve(0);
  a.links.OnMap(MapOf(1, b.port));
  ASSERT_TRUE(a.inbox.WaitForUps(1));
  a.links.Send(test::NodeId(1), Numbered(1, store::kMaxValueBytes));
  a.links.Send(test::NodeId(1), Numbered(2));
  ASSERT_TRUE(b.inbox.WaitForMessages(2));
  EXPECT_GE(b.inbox.bytes(), store::kMaxValueBytes);
}

TEST(PeerLinks, ABrokenLinkIsMadeAnewAndSaidToBe) {
  End a(test::NodeId(0));
  End b(test::NodeId(1));
  b.Serve(0);
  a.links.OnMap(MapOf(1, b.port));
  ASSERT_TRUE(a.inbox.WaitForUps(1));
  b.StopServing();
  b.Serve(b.port);
  ASSERT_TRUE(a.inbox.WaitForUps(2));
  a.links.Send(test::NodeId(1), Numbered(5));
  EXPECT_TRUE(b.inbox.WaitForMessages(1));
}

TEST(PeerLinks, ALaterProcessAtTheAddressIsNotTakenForTheEarlier) {
  End a(test::NodeId(0));
  End stranger(test::NodeId(7));
  stranger.Serve(0);
  a.links.OnMap(MapOf(1, stranger.port));
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (stranger.service.refused < 2 && std::chrono::steady_clock::now() < until) {
    std::this_thread::yield();
  }
  EXPECT_GE(stranger.service.refused, 2);
  EXPECT_EQ(a.links.up(), 0);
  a.links.Send(test::NodeId(1), Numbered(1));
  EXPECT_EQ(a.links.dropped(), 1u);
}

TEST(PeerLinks, ANodeThatIsGoneFromTheMapIsLetGo) {
  End a(test::NodeId(0));
  End b(test::NodeId(1));
  b.Serve(0);
  a.links.OnMap(MapOf(1, b.port));
  ASSERT_TRUE(a.inbox.WaitForUps(1));
  ring::PlacementMap map = *MapOf(2, b.port);
  map.members[1].state = ring::MemberState::kDown;
  a.links.OnMap(std::make_shared<const ring::PlacementMap>(std::move(map)));
  EXPECT_EQ(a.links.up(), 0);
  a.links.Send(test::NodeId(1), Numbered(1));
  EXPECT_EQ(a.links.dropped(), 1u);
}

}  // namespace
}  // namespace atoll::replication
