// Operations that wait for two replicas, of streams that may be gone by then: commits come from a
// thread for each replica, deadlines from the ticks, cancellations from gRPC's. Whatever comes
// first, every operation ends once. The replicators and the server are the production ones.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/mutex.h"
#include "base/periodic.h"
#include "rpc/completion_queue.h"
#include "rpc/status.h"
#include "rpc/timers.h"
#include "rpc/wire/peer_codec.h"
#include "server/replication/replicator.h"
#include "server/service/cache_handler.h"
#include "tests/support/cache_listener.h"
#include "tests/support/encoding_transport.h"
#include "tests/support/fake_cluster_view.h"

namespace atoll::service {
namespace {

constexpr int kNodes = 3;

// What one node sends to another, delivered in order by a thread of its own.
class Line {
 public:
  Line(base::Incarnation from, replication::Receiver* to)
      : from_(from), to_(to), thread_([this] { Run(); }) {}
  ~Line() { Stop(); }
  // Delivers nothing any more, whatever is put. Safe to repeat.
  void Stop() {
    {
      base::MutexLock lock(mu_);
      stopped_ = true;
      changed_.SignalAll();
    }
    if (thread_.joinable()) thread_.join();
  }
  void Put(grpc::ByteBuffer message) {
    base::MutexLock lock(mu_);
    messages_.push_back(std::move(message));
    changed_.SignalAll();
  }
  // Whether it delivers, or keeps what comes until it does again.
  void Open(bool open) {
    base::MutexLock lock(mu_);
    open_ = open;
    changed_.SignalAll();
  }

 private:
  void Run() {
    for (;;) {
      grpc::ByteBuffer message;
      {
        base::MutexLock lock(mu_);
        while (!stopped_ && (!open_ || messages_.empty())) changed_.Wait(mu_);
        if (stopped_) return;
        message = messages_.front();
        messages_.pop_front();
      }
      wire::Input input;
      *input.buffer() = message;
      wire::LinkMessage read;
      ASSERT_TRUE(input.Load() && wire::Decode(input, &read));
      to_->OnItems(from_, read.items);
    }
  }

  const base::Incarnation from_;
  replication::Receiver* const to_;
  base::Mutex mu_;
  base::CondVar changed_;
  std::deque<grpc::ByteBuffer> messages_ ABSL_GUARDED_BY(mu_);
  bool open_ ABSL_GUARDED_BY(mu_) = true;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

class Lines final : public test::EncodingTransport {
 public:
  std::map<base::Incarnation, std::unique_ptr<Line>> lines;

 private:
  void Deliver(base::Incarnation to, grpc::ByteBuffer message) override {
    const auto line = lines.find(to);
    if (line != lines.end()) line->second->Put(message);
  }
};

class ExchangeRace : public testing::Test {
 protected:
  struct Node {
    explicit Node(int index) : view(test::NodeId(index)) {}
    test::FakeClusterView view;
    Lines lines;
    std::unique_ptr<store::Store> store;
    std::unique_ptr<replication::Replicator> replicator;
  };

  ExchangeRace() {
    const base::Clock& clock = base::Clock::Real();
    for (int i = 0; i < kNodes; ++i) {
      nodes_[i] = std::make_unique<Node>(i);
      Node& node = *nodes_[i];
      node.store = *store::Store::Create({.memory_bytes = uint64_t{64} << 20, .clock = &clock});
      // Nobody falls silent here, however slow the machine.
      node.replicator = replication::Replicator::Create(
          {.silent_after = absl::Seconds(60), .lease = absl::Seconds(60)}, node.store.get(),
          &node.view, &node.lines, &clock);
      node.view.SetNamespace("default", 1);
      node.view.AddListener(node.replicator.get());
    }
    for (int from = 0; from < kNodes; ++from) {
      for (int to = 0; to < kNodes; ++to) {
        if (from == to) continue;
        nodes_[from]->lines.lines[test::NodeId(to)] =
            std::make_unique<Line>(test::NodeId(from), nodes_[to]->replicator.get());
      }
    }
    for (auto& node : nodes_) {
      node->view.SetMap(test::MakeSimpleMap({.nodes = kNodes, .replication_factor = kNodes}));
    }
    StartTicks();
    out_.Start();
    router_.emplace(nodes_[0]->replicator.get(), &nodes_[0]->view, nullptr, &timers_, &clock);
    handler_.emplace(&*router_, &budget_, &clock, CacheLimits{});
    listener_.emplace(&*handler_, routing::Hop::kLast);
  }

  ~ExchangeRace() override {
    EXPECT_TRUE(handler_->Drain(absl::Seconds(30)));
    ticks_.reset();
    listener_->Stop();
    router_->Stop();
    timers_.Stop();
    out_.Stop();
    for (auto& node : nodes_) node->view.RemoveListener(node->replicator.get());
    // What one of them delivers is answered by another.
    for (auto& node : nodes_) {
      for (auto& [to, line] : node->lines.lines) line->Stop();
    }
    for (auto& node : nodes_) node->lines.lines.clear();
  }

  void StartTicks() {
    ticks_ = std::make_unique<base::Periodic>(absl::Milliseconds(2), [this] { Tick(); });
  }

  // Deadlines end here. Replicas answer in some of the ticks only, so that many come first.
  void Tick() {
    for (auto& node : nodes_) node->replicator->Tick();
    for (int from = 1; from < kNodes; ++from) {
      nodes_[from]->lines.lines[test::NodeId(0)]->Open(!deaf_ && random_() % 3 == 0);
    }
  }

  // Of node 0.
  static std::string Key(int salt) {
    for (int i = 0;; ++i) {
      std::string key = std::to_string(salt) + "-" + std::to_string(i);
      if (base::PartitionOfHash(base::HashKey("default", key)).value() % kNodes == 0) return key;
    }
  }

  std::array<std::unique_ptr<Node>, kNodes> nodes_;
  std::minstd_rand random_{7};  // the ticks'
  bool deaf_ = false;           // node 0 hears nothing of its replicas; changed while nothing ticks
  rpc::Poller out_{"out"};
  rpc::Timers timers_{out_.queue()};
  routing::ByteBudget budget_{uint64_t{64} << 20};
  std::optional<routing::Router> router_;
  std::optional<CacheHandler> handler_;
  std::optional<test::CacheListener> listener_;
  std::unique_ptr<base::Periodic> ticks_;
};

// Of every kind that may have to wait.
void FillAny(const std::vector<std::string>& keys, std::minstd_rand& random, v1::Operation* out) {
  const std::string& key = keys[random() % keys.size()];
  switch (random() % 4) {
    case 0:
      out->mutable_get()->set_key(key);
      break;
    case 1:
      out->mutable_delete_()->set_key(key);
      break;
    case 2:
      for (int i = 0; i < 3; ++i) {
        v1::MultiSetEntry& entry = *out->mutable_multi_set()->add_entries();
        entry.set_key(keys[random() % keys.size()]);
        entry.set_value("1");
      }
      break;
    default:
      out->mutable_append()->set_key(key);  // not one for the batch
      out->mutable_append()->set_value("2");
  }
}

TEST_F(ExchangeRace, EveryOperationEndsOnceThoughDeadlinesAndCancellationsRaceWithCommits) {
  constexpr int kThreads = 4;
  constexpr int kStreams = 40;
  constexpr uint64_t kMessages = 4;
  constexpr uint64_t kOperations = 16;
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::vector<std::string> keys;
  for (int n = 0; n < 12; ++n) keys.push_back(Key(n));
  std::atomic<int> done{0};
  std::atomic<int> late{0};
  std::atomic<int> cut{0};

  const auto one_stream = [&](std::minstd_rand& random) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    const auto stub = v1::CacheService::NewStub(listener_->channel());
    const auto stream = stub->Exchange(&context);
    const bool cancel = random() % 3 == 0;
    for (uint64_t m = 0; m < kMessages; ++m) {
      v1::ExchangeRequest request;
      request.set_answer_at_once(random() % 2 == 0);
      for (uint64_t n = 0; n < kOperations; ++n) {
        v1::Operation& operation = *request.add_operations();
        operation.set_id(m * kOperations + n);
        operation.set_timeout_ms(static_cast<uint32_t>(1 + random() % 12));
        FillAny(keys, random, &operation);
      }
      if (!stream->Write(request)) break;
    }
    std::set<uint64_t> answered;
    v1::ExchangeResponse response;
    const size_t all = kMessages * kOperations;
    const size_t wanted = cancel ? random() % all : all;
    while (answered.size() < wanted && stream->Read(&response)) {
      for (const v1::OperationResult& result : response.results()) {
        EXPECT_TRUE(answered.insert(result.id()).second) << result.id() << " is answered twice";
        (result.has_error() ? late : done).fetch_add(1, std::memory_order_relaxed);
      }
    }
    if (cancel) {
      context.TryCancel();
      cut.fetch_add(1, std::memory_order_relaxed);
      stream->Finish();
      return;
    }
    EXPECT_EQ(answered.size(), all);
    stream->WritesDone();
    EXPECT_FALSE(stream->Read(&response));
    EXPECT_TRUE(stream->Finish().ok());
  };
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::minstd_rand random(seed + t);
      for (int i = 0; i < kStreams; ++i) one_stream(random);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(done.load(), 0);
  EXPECT_GT(late.load(), 0);
  EXPECT_GT(cut.load(), 0);
  // What was cut off ends, too, and gives back what it took.
  const absl::Time until = absl::Now() + absl::Seconds(30);
  while ((handler_->under_way() > 0 || budget_.used() > 0) && absl::Now() < until) {
    std::this_thread::yield();
  }
  EXPECT_EQ(handler_->under_way(), 0);
  EXPECT_EQ(budget_.used(), 0u);
}

TEST_F(ExchangeRace, AMessageThatWaitsIsAnsweredAtOnceWhereItsCallerWaitsForIt) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  const auto stub = v1::CacheService::NewStub(listener_->channel());
  const auto stream = stub->Exchange(&context);
  uint64_t id = 0;
  const auto set = [&](bool answer_at_once) {
    v1::ExchangeRequest request;
    request.set_answer_at_once(answer_at_once);
    v1::Operation& operation = *request.add_operations();
    operation.set_id(++id);
    // Always the same: partitions are taken over one by one.
    operation.mutable_set()->set_key(Key(1));
    ASSERT_TRUE(stream->Write(request));
  };
  v1::ExchangeResponse response;
  // Until the node has taken over.
  do {
    set(false);
    ASSERT_TRUE(stream->Read(&response));
    ASSERT_EQ(response.results_size(), 1);
  } while (response.results(0).has_error());

  ticks_.reset();
  deaf_ = true;
  Tick();
  set(false);
  set(true);
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.results_size(), 0) << "one for the second, none for the first";

  // One that is answered has its answer, and no other message.
  v1::ExchangeRequest get;
  get.set_answer_at_once(true);
  get.add_operations()->set_id(++id);
  get.mutable_operations(0)->mutable_get()->set_key(Key(99));
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(stream->Write(get));
    ASSERT_TRUE(stream->Read(&response));
    EXPECT_EQ(response.results_size(), 1);
  }

  deaf_ = false;
  StartTicks();
  for (int answers = 0; answers < 2; answers += response.results_size()) {
    ASSERT_TRUE(stream->Read(&response));
    EXPECT_GT(response.results_size(), 0);
  }
  stream->WritesDone();
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
}

}  // namespace
}  // namespace atoll::service
