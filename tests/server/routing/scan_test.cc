// Scans take turns: bounded slices, between which their thread serves whatever else came.
#include <grpcpp/completion_queue.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/status.h"
#include "rpc/completion_queue.h"
#include "rpc/timers.h"
#include "server/routing/router.h"
#include "server/routing/scan_turns.h"
#include "server/service/cache_handler.h"
#include "tests/support/cache_listener.h"
#include "tests/support/fake_cluster_view.h"

namespace atoll::routing {
namespace {

// --- ScanTurns alone, with a thread that the test plays ---

// Takes so many steps; each of them costs so much time.
class Steps final : public ScanTurns::Walk {
 public:
  Steps(base::FakeClock* clock, int steps, absl::Duration cost)
      : clock_(clock), left_(steps), cost_(cost) {}
  bool Step() override {
    clock_->Advance(cost_);
    ++taken;
    return --left_ == 0;
  }
  void End(absl::Status status) override {
    EXPECT_FALSE(ended.has_value());
    ended = std::move(status);
  }
  int taken = 0;
  std::optional<absl::Status> ended;

 private:
  base::FakeClock* const clock_;
  int left_;
  const absl::Duration cost_;
};

class Turns : public testing::Test {
 protected:
  ScanTurns& Make(ScanLimits limits) {
    limits.clock = &clock_;
    turns_.emplace(limits, [this](ScanTurns::Task task) { tasks_.push_back(std::move(task)); });
    return *turns_;
  }
  std::shared_ptr<Steps> Walk(int steps, absl::Duration cost = absl::ZeroDuration()) {
    return std::make_shared<Steps>(&clock_, steps, cost);
  }
  // False: there is nothing to do.
  bool RunOne() {
    if (tasks_.empty()) return false;
    ScanTurns::Task task = std::move(tasks_.front());
    tasks_.pop_front();
    task();
    return true;
  }

  base::FakeClock clock_;
  std::deque<ScanTurns::Task> tasks_;
  std::optional<ScanTurns> turns_;
};

TEST_F(Turns, ASliceEndsWithItsTime) {
  ScanTurns& turns = Make({.slice = absl::Microseconds(250)});
  const auto walk = Walk(10, absl::Microseconds(100));
  turns.Add(walk, false);
  EXPECT_EQ(walk->taken, 0);  // Never on the caller's thread.
  for (const int taken : {3, 6, 9, 10}) {
    EXPECT_FALSE(walk->ended.has_value());
    ASSERT_TRUE(RunOne());
    EXPECT_EQ(walk->taken, taken);
  }
  ASSERT_TRUE(walk->ended.has_value());
  EXPECT_TRUE(walk->ended->ok());
  EXPECT_FALSE(RunOne());
}

TEST_F(Turns, ASliceEndsWithItsPagesThoughTheClockStandsStill) {
  ScanTurns& turns = Make({.pages_in_slice = 8});
  const auto walk = Walk(20);
  turns.Add(walk, false);
  for (const int taken : {8, 16, 20}) {
    ASSERT_TRUE(RunOne());
    EXPECT_EQ(walk->taken, taken);
  }
  EXPECT_TRUE(walk->ended.has_value());
}

TEST_F(Turns, AShortWalkDoesNotWaitForLongOnes) {
  ScanTurns& turns = Make({.pages_in_slice = 2, .most_active = 16});
  std::vector<std::shared_ptr<Steps>> longs;
  for (int i = 0; i < 10; ++i) {
    longs.push_back(Walk(1'000'000));
    turns.Add(longs.back(), false);
  }
  for (int i = 0; i < 25; ++i) ASSERT_TRUE(RunOne());
  const auto brief = Walk(3);
  turns.Add(brief, false);
  int turns_taken = 0;
  while (!brief->ended.has_value() && turns_taken < 1000) {
    ASSERT_TRUE(RunOne());
    ++turns_taken;
  }
  // Two slices, each behind one of every other.
  EXPECT_LE(turns_taken, 22);
  // And all of the others had as many as the next.
  const auto [least, most] = std::minmax_element(
      longs.begin(), longs.end(), [](const auto& a, const auto& b) { return a->taken < b->taken; });
  EXPECT_LE((*most)->taken - (*least)->taken, 2);
  turns.Stop();
}

TEST_F(Turns, WhatStandsInLineIsBoundedAndWhatGoesOnIsNext) {
  ScanTurns& turns = Make({.pages_in_slice = 1, .most_active = 2, .most_waiting = 2});
  std::vector<std::shared_ptr<Steps>> walks;
  for (int i = 0; i < 5; ++i) {
    walks.push_back(Walk(2));
    turns.Add(walks.back(), false);
  }
  ASSERT_TRUE(walks[4]->ended.has_value());
  EXPECT_EQ(walks[4]->ended->code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(base::HasReason(*walks[4]->ended, base::reason::kOverload));
  EXPECT_GT(std::stoi(base::ReasonMetadata(*walks[4]->ended)[std::string(base::kRetryAfterMs)]), 0);
  const auto again = Walk(1);
  turns.Add(again, true);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(RunOne());
  EXPECT_TRUE(walks[0]->ended.has_value());
  EXPECT_EQ(walks[2]->taken, 0);
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(RunOne());
  EXPECT_TRUE(again->ended.has_value());
  while (RunOne()) {
  }
  for (const auto& walk : walks) EXPECT_TRUE(walk->ended.has_value());
  EXPECT_EQ(walks[3]->taken, 2);
}

TEST_F(Turns, StopEndsWhatIsUnderWayAndWhatComesLater) {
  ScanTurns& turns = Make({.pages_in_slice = 1, .most_active = 1});
  std::vector<std::shared_ptr<Steps>> walks;
  for (int i = 0; i < 3; ++i) {
    walks.push_back(Walk(5));
    turns.Add(walks.back(), false);
  }
  ASSERT_TRUE(RunOne());
  turns.Stop();
  walks.push_back(Walk(1));
  turns.Add(walks.back(), false);
  for (const auto& walk : walks) {
    ASSERT_TRUE(walk->ended.has_value());
    EXPECT_TRUE(base::HasReason(*walk->ended, base::reason::kDraining));
  }
  while (RunOne()) {
  }
  EXPECT_EQ(walks[0]->taken, 1);
}

// --- A router whose thread the test plays ---

// Holds nothing, and says what it was asked.
class EmptyReplicator final : public replication::Replicator {
 public:
  explicit EmptyReplicator(base::FakeClock* clock) : clock_(clock) {}

  absl::StatusOr<store::ScanChunk> Scan(base::PartitionId /*partition*/, uint64_t cursor,
                                        const store::ScanOptions& /*options*/) override {
    clock_->Advance(cost);
    ++scans;
    store::ScanChunk chunk;
    chunk.done = cursor + 1 == pages_in_partition;
    chunk.next = cursor + 1;
    return chunk;
  }

  void OnMap(const cluster::MapPtr&) override {}
  void OnItems(base::Incarnation, absl::Span<const wire::PeerItem>) override {}
  void OnLinkUp(base::Incarnation) override {}
  void Execute(const replication::Operation&, replication::Done) override { std::abort(); }
  void ExecuteReads(absl::Span<const replication::Operation>, BatchDone) override { std::abort(); }
  void ReadNow(absl::Span<const store::Key>, const store::FindOptions&,
               replication::ReadSink&) override {
    std::abort();
  }
  void Write(absl::Span<const replication::Operation>, replication::WriteSink&) override {
    std::abort();
  }
  void Hold() override {}
  void Release() override {}
  void Flush(base::PartitionId, base::NamespaceId, absl::Duration,
             absl::AnyInvocable<void(absl::Status)>) override {
    std::abort();
  }
  void Tick() override {}
  absl::Status Drain(absl::Duration) override { return absl::OkStatus(); }
  replication::ReplicationStats Stats() const override { return {}; }
  uint32_t Unserved() const override { return 0; }
  std::vector<replication::CopyState> Copies() const override { return {}; }

  absl::Duration cost;
  uint64_t pages_in_partition = 1;
  std::atomic<int> scans{0};

 private:
  base::FakeClock* const clock_;
};

class ScanOnAQueue : public testing::TestWithParam<Hop> {
 protected:
  ScanOnAQueue() : view_(test::NodeId(0)) {
    view_.SetNamespace("default", 1);
    view_.SetMap(test::MakeSimpleMap({.nodes = 1, .replication_factor = 1}));
    router_.emplace(&replicator_, &view_, nullptr, &timers_, &clock_, ScanLimits{.clock = &clock_});
  }
  ~ScanOnAQueue() override {
    std::thread rest([this] {
      while (Serve()) {
      }
    });
    router_->Stop();
    timers_.Stop();
    queue_.Shutdown();
    rest.join();
  }

  struct Scanned {
    v1::ScanRequest request;
    v1::ScanResponse response;
    std::atomic<bool> cancelled{false};
    std::optional<absl::Status> status;
  };
  std::unique_ptr<Scanned> Scan(absl::Duration deadline = absl::InfiniteDuration()) {
    auto scanned = std::make_unique<Scanned>();
    router_->Scan({.request = scanned->request,
                   .ns = view_.FindNamespace("default"),
                   .hop = GetParam(),
                   .deadline = deadline,
                   .cancelled = &scanned->cancelled,
                   .response = &scanned->response},
                  [s = scanned.get()](absl::Status status) { s->status = std::move(status); });
    return scanned;
  }
  // One event of the queue, as a poller serves it.
  bool Serve() {
    void* tag = nullptr;
    bool ok = false;
    if (!queue_.Next(&tag, &ok)) return false;
    rpc::Finish(tag, ok);
    return true;
  }

  base::FakeClock clock_;
  grpc::CompletionQueue queue_;
  rpc::Timers timers_{&queue_};
  test::FakeClusterView view_;
  EmptyReplicator replicator_{&clock_};
  std::optional<Router> router_;
};

INSTANTIATE_TEST_SUITE_P(Hops, ScanOnAQueue, testing::Values(Hop::kFirst, Hop::kLast),
                         [](const auto& hop) {
                           return std::string(hop.param == Hop::kFirst ? "First" : "Last");
                         });

TEST_P(ScanOnAQueue, AScanThatFindsNothingTakesTheThreadForOneSliceAtATime) {
  // 50 us for a page of a table, 6 pages in a partition.
  replicator_.cost = absl::Microseconds(50);
  replicator_.pages_in_partition = 6;
  const auto scanned = Scan();
  EXPECT_EQ(replicator_.scans, 0);  // The thread that it came on has others to serve.
  int events = 0;
  while (!scanned->status.has_value()) {
    const int before = replicator_.scans;
    ASSERT_TRUE(Serve());
    ++events;
    EXPECT_LE(replicator_.scans - before, 5) << "250 us";
  }
  EXPECT_TRUE(scanned->status->ok()) << *scanned->status;
  // Its time was over before the last partition, and its cursor says where.
  EXPECT_GE(replicator_.scans, 4000);
  EXPECT_LT(replicator_.scans, 4100);
  EXPECT_GE(events, 800);
  EXPECT_EQ(scanned->response.entries_size(), 0);
  EXPECT_EQ(scanned->response.cursor().size(), 10u);
}

TEST_P(ScanOnAQueue, AClockThatStandsStillDoesNotMakeASliceLonger) {
  const auto scanned = Scan();
  while (!scanned->status.has_value()) {
    const int before = replicator_.scans;
    ASSERT_TRUE(Serve());
    EXPECT_LE(replicator_.scans - before, 32);
  }
  EXPECT_TRUE(scanned->status->ok()) << *scanned->status;
  EXPECT_EQ(replicator_.scans, 4096);
  EXPECT_EQ(scanned->response.cursor(), "");
}

TEST_P(ScanOnAQueue, WhoseDeadlineHasPassedIsWalkedNoFurther) {
  replicator_.cost = absl::Microseconds(100);
  const auto scanned = Scan(clock_.BootTime() + absl::Milliseconds(1));
  while (!scanned->status.has_value()) ASSERT_TRUE(Serve());
  EXPECT_EQ(scanned->status->code(), absl::StatusCode::kDeadlineExceeded) << *scanned->status;
  EXPECT_EQ(replicator_.scans, 10);
}

TEST_P(ScanOnAQueue, WhoseCallerHasGoneIsWalkedNoFurther) {
  replicator_.cost = absl::Microseconds(100);
  const auto scanned = Scan();
  while (replicator_.scans < 10) ASSERT_TRUE(Serve());
  scanned->cancelled = true;
  const int before = replicator_.scans;
  while (!scanned->status.has_value()) ASSERT_TRUE(Serve());
  EXPECT_EQ(scanned->status->code(), absl::StatusCode::kCancelled) << *scanned->status;
  EXPECT_EQ(replicator_.scans, before);
}

TEST_P(ScanOnAQueue, ManyScansShareTheThreadAndEndWithWhatTheyFoundInTheirTime) {
  replicator_.cost = absl::Microseconds(10);
  std::vector<std::unique_ptr<Scanned>> scans;
  for (int i = 0; i < 8; ++i) scans.push_back(Scan());
  const auto done = [](const auto& scanned) { return scanned->status.has_value(); };
  while (!std::all_of(scans.begin(), scans.end(), done)) {
    const int before = replicator_.scans;
    ASSERT_TRUE(Serve());
    ASSERT_LE(replicator_.scans - before, 25) << "one slice, however many scans there are";
  }
  for (const auto& scanned : scans) EXPECT_TRUE(scanned->status->ok()) << *scanned->status;
}

// Those of the last hop stand in line.
class ScanAtTheFirstHop : public ScanOnAQueue {};

INSTANTIATE_TEST_SUITE_P(Hops, ScanAtTheFirstHop, testing::Values(Hop::kFirst),
                         [](const auto& /*hop*/) { return std::string("First"); });

TEST_P(ScanAtTheFirstHop, MoreThanAreAllowedAreToldToComeAgain) {
  std::vector<std::unique_ptr<Scanned>> scans;
  for (int i = 0; i < 65; ++i) scans.push_back(Scan());
  ASSERT_TRUE(scans[64]->status.has_value());
  EXPECT_EQ(scans[64]->status->code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(base::HasReason(*scans[64]->status, base::reason::kOverload));
  for (int i = 0; i < 64; ++i) {
    while (!scans[i]->status.has_value()) ASSERT_TRUE(Serve());
    EXPECT_TRUE(scans[i]->status->ok()) << *scans[i]->status;
  }
  // Those that have ended make room.
  const auto scanned = Scan();
  while (!scanned->status.has_value()) ASSERT_TRUE(Serve());
  EXPECT_TRUE(scanned->status->ok());
}

// --- A node whose scans never end, and callers who do not wait ---

class EndlessScan : public testing::Test {
 protected:
  EndlessScan() {
    replicator_.pages_in_partition = std::numeric_limits<uint64_t>::max();
    view_.SetNamespace("default", 1);
    view_.SetMap(test::MakeSimpleMap({.nodes = 1, .replication_factor = 1}));
    router_.emplace(&replicator_, &view_, nullptr, &timers_, &clock_, ScanLimits{.clock = &clock_});
    handler_.emplace(&*router_, &budget_, &clock_, service::CacheLimits{});
    listener_.emplace(&*handler_, Hop::kFirst);
    out_.Start();
    stub_ = v1::CacheService::NewStub(listener_->channel());
  }
  ~EndlessScan() override {
    router_->Stop();
    timers_.Stop();
    listener_->Stop();
    out_.Stop();
  }
  // False: it has not come true for long.
  static bool Wait(const std::function<bool()>& ready) {
    const absl::Time until = absl::Now() + absl::Seconds(20);
    while (!ready()) {
      if (absl::Now() > until) return false;
      std::this_thread::yield();
    }
    return true;
  }

  base::FakeClock clock_;
  rpc::Poller out_{"out"};
  rpc::Timers timers_{out_.queue()};
  test::FakeClusterView view_{test::NodeId(0)};
  EmptyReplicator replicator_{&clock_};
  std::optional<Router> router_;
  ByteBudget budget_{1 << 20};
  std::optional<service::CacheHandler> handler_;
  std::optional<test::CacheListener> listener_;
  std::unique_ptr<v1::CacheService::Stub> stub_;
};

TEST_F(EndlessScan, EndsWhenItsUnaryCallerHasGone) {
  grpc::ClientContext context;
  std::thread caller([&] {
    v1::ScanResponse response;
    EXPECT_EQ(stub_->Scan(&context, {}, &response).error_code(), grpc::StatusCode::CANCELLED);
  });
  EXPECT_TRUE(Wait([&] { return replicator_.scans > 100; }));
  context.TryCancel();
  caller.join();
  EXPECT_TRUE(Wait([&] { return handler_->under_way() == 0; }));
}

// The end of a call may be seen by one thread while the other has only just been told of the call.
TEST_F(EndlessScan, CallersWhoGoAtOnceLeaveNothing) {
  constexpr int kCalls = 2000;
  for (int i = 0; i < kCalls; ++i) {
    grpc::CompletionQueue queue;
    grpc::ClientContext context;
    v1::ScanResponse response;
    grpc::Status status;
    const auto call = stub_->AsyncScan(&context, {}, &queue);
    call->Finish(&response, &status, nullptr);
    for (int turn = i % 200; turn > 0; --turn) std::this_thread::yield();
    context.TryCancel();
    void* tag = nullptr;
    bool ok = false;
    ASSERT_TRUE(queue.Next(&tag, &ok));
    queue.Shutdown();
    EXPECT_FALSE(queue.Next(&tag, &ok));
  }
  EXPECT_TRUE(Wait([&] { return handler_->under_way() == 0; }));
}

TEST_F(EndlessScan, EndsWhenItsStreamHasGone) {
  grpc::ClientContext context;
  const auto stream = stub_->Exchange(&context);
  v1::ExchangeRequest request;
  for (uint64_t id = 1; id <= 3; ++id) {
    v1::Operation& operation = *request.add_operations();
    operation.set_id(id);
    operation.mutable_scan();
  }
  ASSERT_TRUE(stream->Write(request));
  // The first of a message is walked while the next are still being read.
  EXPECT_TRUE(Wait([&] { return handler_->under_way() == 3 && replicator_.scans > 100; }));
  context.TryCancel();
  EXPECT_FALSE(stream->Finish().ok());
  EXPECT_TRUE(Wait([&] { return handler_->under_way() == 0; }));
}

}  // namespace
}  // namespace atoll::routing
