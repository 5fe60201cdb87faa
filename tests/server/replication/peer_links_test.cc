// Links between real sockets: order, batching, reconnection, and whom a hello is refused.
#include "server/replication/peer_links.h"

#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "atoll/internal/v1/peer.grpc.pb.h"
#include "rpc/completion_queue.h"
#include "rpc/status.h"
#include "rpc/wire/peer_codec.h"
#include "tests/support/fake_cluster_view.h"

namespace atoll::replication {
namespace {

class Inbox : public Receiver {
 public:
  void OnItems(base::Incarnation, absl::Span<const wire::PeerItem> items) override {
    base::MutexLock lock(mu_);
    for (const wire::PeerItem& item : items) {
      got_.push_back(item.append.committed);
      for (const wire::ReceivedRecord& record : item.append.records) {
        bytes_ += record.record.value.size();
      }
    }
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
  bool WaitForMessages(size_t count, absl::Duration patience = absl::Seconds(20)) {
    return WaitFor([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return got_.size() >= count; }, patience);
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
  bool WaitFor(const std::function<bool()>& ready, absl::Duration patience = absl::Seconds(20)) {
    const auto until = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(patience);
    base::MutexLock lock(mu_);
    while (!ready()) {
      if (std::chrono::steady_clock::now() > until) return false;
      changed_.WaitFor(mu_, std::min(patience, absl::Milliseconds(100)));
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
      wire::Input input;
      const std::string bytes = request.SerializeAsString();
      const grpc::Slice slice(bytes);
      *input.buffer() = grpc::ByteBuffer(&slice, 1);
      if (!sink_->OnMessages(base::Incarnation(hello.from_incarnation()), input).ok()) break;
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
  explicit End(base::Incarnation self, absl::Duration patience = absl::Milliseconds(10))
      : links({.self = self, .queue = poller.queue(), .patience = patience}), service(&links) {
    poller.Start();
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
  rpc::Poller poller{"links"};
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

// To the second node, an Append that is known by its commit point; with a record if it has bytes.
void SendNumbered(PeerLinks& links, uint64_t number, size_t bytes = 0) {
  std::vector<wire::EncodedRecord> records;
  if (bytes > 0) {
    const std::string value(bytes, 'x');
    wire::Record record{.effect = wire::Effect::kPut};
    record.value.bytes = value;
    const size_t size = wire::Size(record);
    auto encoded = std::make_shared_for_overwrite<char[]>(size);
    wire::Write(record, reinterpret_cast<uint8_t*>(encoded.get()));
    records.push_back({.bytes = {encoded.get(), size}, .owner = std::move(encoded)});
  }
  links.SendAppend(test::NodeId(1), {.committed = number, .records = records});
}

TEST(PeerLinks, MessagesArriveInOrderAndGatherInBatches) {
  End a(test::NodeId(0));
  End b(test::NodeId(1));
  b.Serve(0);
  a.links.OnMap(MapOf(1, b.port));
  ASSERT_TRUE(a.inbox.WaitForUps(1));
  constexpr uint64_t kCount = 20'000;
  for (uint64_t n = 0; n < kCount; ++n) SendNumbered(a.links, n);
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
  for (uint64_t n = 0; n < 100; ++n) SendNumbered(a.links, n);
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
        SendNumbered(a.links, n);
        SendNumbered(a.links, n);
        if (t > 0) a.links.Release();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(b.inbox.WaitForMessages(size_t{8} * kRounds));
}

TEST(PeerLinks, TheLargestRecordPasses) {
  End a(test::NodeId(0));
  End b(test::NodeId(1));
  b.Serve(0);
  a.links.OnMap(MapOf(1, b.port));
  ASSERT_TRUE(a.inbox.WaitForUps(1));
  SendNumbered(a.links, 1, store::kMaxValueBytes);
  SendNumbered(a.links, 2);
  // Nobody answers the first: what waits behind it goes when somebody looks, as ticks do.
  for (int looks = 0; looks < 1000 && !b.inbox.WaitForMessages(2, absl::Milliseconds(20));
       ++looks) {
    a.links.Hold();
    a.links.Release();
  }
  EXPECT_EQ(b.inbox.got().size(), 2u);
  EXPECT_GE(b.inbox.bytes(), store::kMaxValueBytes);
}

TEST(PeerLinks, WhileAMessageWithRecordsIsUnansweredWhatFollowsGathers) {
  End a(test::NodeId(0), absl::InfiniteDuration());
  End b(test::NodeId(1));
  a.Serve(0);
  b.Serve(0);
  // Both ways, for answers.
  ring::PlacementMap map = *MapOf(1, b.port);
  map.members[0].listeners = {{"peer", absl::StrCat("127.0.0.1:", a.port)}};
  const auto both = std::make_shared<const ring::PlacementMap>(std::move(map));
  a.links.OnMap(both);
  b.links.OnMap(both);
  ASSERT_TRUE(a.inbox.WaitForUps(1));
  ASSERT_TRUE(b.inbox.WaitForUps(1));
  SendNumbered(a.links, 1, 10);
  ASSERT_TRUE(b.inbox.WaitForMessages(1));
  for (uint64_t n = 2; n <= 50; ++n) SendNumbered(a.links, n, 10);
  EXPECT_EQ(a.links.written(), 1u);
  // Any message from there tells that the first has come.
  b.links.SendAck(test::NodeId(0), {.partition = 1});
  EXPECT_TRUE(b.inbox.WaitForMessages(50));
  EXPECT_EQ(a.links.written(), 2u);
}

internal::v1::PeerMessage Hints(int count) {
  internal::v1::PeerMessage message;
  for (int i = 0; i < count; ++i) {
    message.mutable_warm_hints()->add_key_hashes(static_cast<uint64_t>(i));
    message.mutable_warm_hints()->add_versions(1);
  }
  return message;
}

TEST(PeerLinks, WhatGoesAlongMakesNothingLeaveEarlyAndIsDroppedWhereMuchWaits) {
  End a(test::NodeId(0), absl::InfiniteDuration());
  End b(test::NodeId(1));
  b.Serve(0);
  EXPECT_FALSE(a.links.SendAlong(test::NodeId(1), Hints(1))) << "to nobody";
  a.links.OnMap(MapOf(1, b.port));
  ASSERT_TRUE(a.inbox.WaitForUps(1));
  EXPECT_TRUE(a.links.SendAlong(test::NodeId(1), Hints(1)));
  ASSERT_TRUE(b.inbox.WaitForMessages(1)) << "an idle link waits for nothing";
  SendNumbered(a.links, 1, 10);
  ASSERT_TRUE(b.inbox.WaitForMessages(2));
  // Nobody answers: what follows waits, and this with it.
  EXPECT_TRUE(a.links.SendAlong(test::NodeId(1), Hints(4096)));
  SendNumbered(a.links, 2, 10);
  EXPECT_EQ(a.links.written(), 2u);
  EXPECT_FALSE(a.links.SendAlong(test::NodeId(1), Hints(20'000))) << "more than may wait";
  EXPECT_EQ(a.links.dropped(), 0u) << "counts what is missed";
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
  SendNumbered(a.links, 5);
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
  SendNumbered(a.links, 1);
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
  SendNumbered(a.links, 1);
  EXPECT_EQ(a.links.dropped(), 1u);
}

// Senders go on meanwhile: they look for links that are let go of.
TEST(PeerLinks, OfAPeerThatRestartsOftenNoEarlierLinkIsKept) {
  End a(test::NodeId(0));
  std::atomic<bool> stop{false};
  std::thread sender([&] {
    for (uint64_t n = 0; !stop; ++n) SendNumbered(a.links, n);
  });
  constexpr uint64_t kRestarts = 30;
  for (uint64_t n = 1; n <= kRestarts; ++n) {
    // Every third one is the one that is sent to.
    End b(n % 3 == 0 ? test::NodeId(1) : base::Incarnation(1000 + n));
    b.Serve(0);
    ring::PlacementMap map = *MapOf(n, b.port);
    if (n % 3 != 0) map.members[1].incarnation = base::Incarnation(1000 + n);
    a.links.OnMap(std::make_shared<const ring::PlacementMap>(std::move(map)));
    ASSERT_TRUE(a.inbox.WaitForUps(static_cast<int>(n)));
  }
  stop = true;
  sender.join();
  ring::PlacementMap map = *MapOf(kRestarts + 1, 1);
  map.members[1].state = ring::MemberState::kDown;
  const auto gone = std::make_shared<const ring::PlacementMap>(std::move(map));
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (a.links.kept() > 1 && std::chrono::steady_clock::now() < until) {
    a.links.OnMap(gone);
    std::this_thread::yield();
  }
  EXPECT_EQ(a.links.kept(), 1u) << "the table of no links";
}

}  // namespace
}  // namespace atoll::replication
