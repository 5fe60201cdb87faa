// One node, one copy: every operation, evaluated and applied, without anyone to wait for.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status.h"
#include "server/replication/replicator.h"
#include "tests/support/fake_cluster_view.h"

namespace atoll::replication {
namespace {

class NoTransport : public Transport {
 public:
  void Send(base::Incarnation, const internal::v1::PeerMessage&) override { ++sent; }
  void SendAppend(base::Incarnation, const wire::AppendToSend&) override { ++sent; }
  void SendAck(base::Incarnation, const wire::AppendAck&) override { ++sent; }
  bool SendAlong(base::Incarnation, const internal::v1::PeerMessage&) override {
    ++sent;
    return true;
  }
  int sent = 0;
};

class SingleCopy : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = *store::Store::Create({.memory_bytes = store::kMinMemoryBytes, .clock = &clock_});
    replicator_ = Replicator::Create({}, store_.get(), &view_, &transport_, &clock_);
    view_.AddListener(replicator_.get());
    view_.SetMap(test::MakeSimpleMap({.nodes = 1, .replication_factor = 1}));
  }
  void TearDown() override { view_.RemoveListener(replicator_.get()); }

  OperationResult Run(Operation operation, std::string_view key, std::string_view value = "") {
    operation.ns = view_.FindNamespace("default");
    operation.key = {operation.ns->id, key, base::HashKey("default", key)};
    operation.value = {&value, 1};
    OperationResult got;
    int calls = 0;
    replicator_->Execute(operation, [&](OperationResult result) {
      ++calls;
      got = std::move(result);
      read_ = got.value.Flatten();
      got.value = {};
    });
    EXPECT_EQ(calls, 1);
    return got;
  }
  std::string Get(std::string_view key) {
    const OperationResult got = Run({.kind = OpKind::kGet}, key);
    EXPECT_TRUE(got.status.ok()) << got.status;
    return got.outcome == v1::OUTCOME_OK ? read_ : "(none)";
  }

  base::FakeClock clock_;
  test::FakeClusterView view_;
  NoTransport transport_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Replicator> replicator_;
  std::string read_;
};

TEST_F(SingleCopy, WhatIsSetIsRead) {
  EXPECT_EQ(Get("k"), "(none)");
  const OperationResult set = Run({.kind = OpKind::kSet, .flags = 7}, "k", "one");
  EXPECT_EQ(set.outcome, v1::OUTCOME_OK);
  EXPECT_EQ(set.copies, 1u);
  EXPECT_EQ(set.meta.version, base::Version(base::Epoch(1), 1));
  EXPECT_EQ(Get("k"), "one");
  EXPECT_EQ(Run({.kind = OpKind::kGet}, "k").meta.flags, 7u);
  EXPECT_EQ(Run({.kind = OpKind::kGet, .if_version_not = set.meta.version}, "k").outcome,
            v1::OUTCOME_UNCHANGED);
  EXPECT_EQ(transport_.sent, 0);
}

TEST_F(SingleCopy, ConditionsHoldOrAnswerWhatTheySaw) {
  EXPECT_EQ(Run({.kind = OpKind::kReplace}, "k", "a").outcome, v1::OUTCOME_NOT_STORED);
  EXPECT_EQ(Run({.kind = OpKind::kDelete}, "k").outcome, v1::OUTCOME_MISS);
  const OperationResult add = Run({.kind = OpKind::kAdd}, "k", "a");
  EXPECT_EQ(add.outcome, v1::OUTCOME_OK);
  const OperationResult again = Run({.kind = OpKind::kAdd}, "k", "b");
  EXPECT_EQ(again.outcome, v1::OUTCOME_NOT_STORED);
  EXPECT_EQ(again.meta.version, add.meta.version);
  EXPECT_EQ(Run({.kind = OpKind::kCompareAndSwap, .expected = base::Version(99)}, "k", "c").outcome,
            v1::OUTCOME_MISMATCH);
  EXPECT_EQ(Run({.kind = OpKind::kCompareAndSwap, .expected = add.meta.version}, "k", "d").outcome,
            v1::OUTCOME_OK);
  EXPECT_EQ(Get("k"), "d");
  EXPECT_EQ(Run({.kind = OpKind::kAppend}, "k", ">").outcome, v1::OUTCOME_OK);
  EXPECT_EQ(Run({.kind = OpKind::kPrepend}, "k", "<").outcome, v1::OUTCOME_OK);
  EXPECT_EQ(Get("k"), "<d>");
  EXPECT_EQ(Run({.kind = OpKind::kDelete}, "k").outcome, v1::OUTCOME_OK);
  EXPECT_EQ(Get("k"), "(none)");
  EXPECT_EQ(Run({.kind = OpKind::kCompareAndSwap, .expected = add.meta.version}, "k", "d").outcome,
            v1::OUTCOME_MISS);
  EXPECT_EQ(Run({.kind = OpKind::kAppend}, "k", ">").outcome, v1::OUTCOME_NOT_STORED);
}

TEST_F(SingleCopy, CountersCountAndRefuseToOverflow) {
  EXPECT_EQ(Run({.kind = OpKind::kIncrement, .delta = 5}, "n").outcome, v1::OUTCOME_MISS);
  EXPECT_EQ(Run({.kind = OpKind::kIncrement, .delta = 5, .initial = 40}, "n").number, 40);
  EXPECT_EQ(Run({.kind = OpKind::kIncrement, .delta = 5}, "n").number, 45);
  EXPECT_EQ(Run({.kind = OpKind::kIncrement, .delta = -50}, "n").number, -5);
  EXPECT_EQ(Get("n"), "-5");
  const OperationResult over =
      Run({.kind = OpKind::kIncrement, .delta = std::numeric_limits<int64_t>::min()}, "n");
  EXPECT_EQ(over.status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(Get("n"), "-5");
  Run({.kind = OpKind::kSet}, "n", "12x");
  const OperationResult bad = Run({.kind = OpKind::kIncrement, .delta = 1}, "n");
  EXPECT_TRUE(base::HasReason(bad.status, base::reason::kNotANumber)) << bad.status;
}

TEST_F(SingleCopy, ARetryGetsTheFirstAnswer) {
  const Operation increment{
      .kind = OpKind::kIncrement, .delta = 1, .initial = 1, .request_id = {9, 1}};
  const OperationResult first = Run(increment, "n");
  const OperationResult retry = Run(increment, "n");
  EXPECT_EQ(retry.number, 1);
  EXPECT_EQ(retry.meta.version, first.meta.version);
  Operation other = increment;
  other.request_id.number = 2;
  EXPECT_EQ(Run(other, "n").number, 2);
  clock_.Advance(absl::Seconds(61));
  const OperationResult late = Run(increment, "n");
  EXPECT_TRUE(base::HasReason(late.status, base::reason::kAmbiguous)) << late.status;
}

TEST_F(SingleCopy, TimeToLiveIsRoundedUpAndTouched) {
  Run({.kind = OpKind::kSet, .ttl_ms = 1500}, "k", "v");
  clock_.Advance(absl::Milliseconds(1500));
  EXPECT_EQ(Get("k"), "v");
  Run({.kind = OpKind::kTouch, .ttl_ms = 10'000}, "k");
  clock_.Advance(absl::Seconds(9));
  const OperationResult got = Run({.kind = OpKind::kGetAndTouch, .ttl_ms = 0}, "k");
  EXPECT_EQ(got.outcome, v1::OUTCOME_OK);
  EXPECT_EQ(read_, "v");
  EXPECT_EQ(got.meta.expiry, 0u);
  Run({.kind = OpKind::kSet, .ttl_ms = 1000}, "k", "v");
  clock_.Advance(absl::Seconds(3));
  EXPECT_EQ(Get("k"), "(none)");
}

// Keys written at once, as by a job that fills a cache: how many end in each tenth of their time.
TEST_F(SingleCopy, JitterSpreadsTheExpiryOfWhatIsWrittenAtOnce) {
  constexpr int kKeys = 2000;
  constexpr int kTenths = 12;
  const auto ends_in = [&](uint32_t jitter_percent) {
    v1::NamespaceSettings settings;
    if (jitter_percent > 0) settings.set_ttl_jitter_percent(jitter_percent);
    view_.SetNamespace("default", 1, settings);
    for (int i = 0; i < kKeys; ++i) {
      const OperationResult set =
          Run({.kind = OpKind::kSet, .ttl_ms = 1'000'000}, absl::StrCat("key ", i), "value");
      EXPECT_EQ(set.outcome, v1::OUTCOME_OK);
    }
    std::vector<int> ended;
    ended.reserve(kTenths);
    int alive = kKeys;
    for (int tenth = 0; tenth < kTenths; ++tenth) {
      clock_.Advance(absl::Seconds(100));
      int left = 0;
      for (int i = 0; i < kKeys; ++i) {
        const OperationResult got = Run({.kind = OpKind::kGet}, absl::StrCat("key ", i));
        if (got.outcome == v1::OUTCOME_OK) ++left;
      }
      ended.push_back(alive - left);
      alive = left;
    }
    EXPECT_EQ(alive, 0);
    return ended;
  };
  const std::vector<int> together = ends_in(0);
  EXPECT_EQ(together[9] + together[10], kKeys) << "all within a second of their time";
  EXPECT_EQ(std::max(together[9], together[10]), kKeys);
  const std::vector<int> spread = ends_in(50);
  for (int tenth = 0; tenth < 4; ++tenth) EXPECT_EQ(spread[tenth], 0) << tenth;
  // Evenly over the last half, never later than asked for: 400 each, give or take.
  for (int tenth = 5; tenth < 9; ++tenth) {
    EXPECT_GT(spread[tenth], kKeys / 5 / 2) << tenth;
    EXPECT_LT(spread[tenth], kKeys / 5 * 2) << tenth;
  }
  EXPECT_EQ(spread[11], 0);
}

TEST_F(SingleCopy, AFlushHidesWhatWasThere) {
  Run({.kind = OpKind::kSet}, "k", "v");
  absl::Status status = absl::UnknownError("not called");
  const auto ns = view_.FindNamespace("default");
  const store::Key key{ns->id, "k", base::HashKey("default", "k")};
  replicator_->Flush(key.partition(), ns->id, absl::InfiniteDuration(),
                     [&](absl::Status s) { status = s; });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(Get("k"), "(none)");
  Run({.kind = OpKind::kSet}, "k", "w");
  EXPECT_EQ(Get("k"), "w");
}

TEST_F(SingleCopy, ManyReadsAreAnsweredEachInItsPlace) {
  Run({.kind = OpKind::kSet}, "a", "1");
  Run({.kind = OpKind::kSet}, "c", "3");
  std::vector<Operation> reads;
  for (const char* key : {"a", "b", "c"}) {
    Operation read{.kind = OpKind::kGet, .ns = view_.FindNamespace("default")};
    read.key = {read.ns->id, key, base::HashKey("default", key)};
    reads.push_back(read);
  }
  std::vector<std::string> got(3);
  replicator_->ExecuteReads(reads, [&](size_t i, OperationResult result) {
    got[i] = result.outcome == v1::OUTCOME_OK ? result.value.Flatten() : "(none)";
  });
  EXPECT_EQ(got, (std::vector<std::string>{"1", "(none)", "3"}));
}

TEST_F(SingleCopy, AnotherNodesPartitionIsRefused) {
  ring::PlacementMap map =
      test::MakeSimpleMap({.version = 2, .nodes = 2, .replication_factor = 1, .epoch = 2});
  for (ring::Placement& at : map.partitions) {
    at.primary = test::NodeId(1);
    at.isr = {test::NodeId(1)};
  }
  view_.SetMap(map);
  const OperationResult got = Run({.kind = OpKind::kGet}, "k");
  EXPECT_TRUE(base::HasReason(got.status, base::reason::kWrongOwner)) << got.status;
  EXPECT_EQ(replicator_->Stats().primaries, 0u);
}

TEST_F(SingleCopy, ADrainedNodeRefuses) {
  EXPECT_TRUE(replicator_->Drain(absl::Seconds(1)).ok());
  const OperationResult got = Run({.kind = OpKind::kSet}, "k", "v");
  EXPECT_TRUE(base::HasReason(got.status, base::reason::kDraining)) << got.status;
}

TEST_F(SingleCopy, ADeadlineThatIsPastIsRefused) {
  const OperationResult got = Run({.kind = OpKind::kSet, .deadline = clock_.BootTime()}, "k", "v");
  EXPECT_EQ(got.status.code(), absl::StatusCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace atoll::replication
