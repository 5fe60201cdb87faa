// A partition whose copy comes from disk is served when all of it is there, and not before.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/status.h"
#include "server/replication/replicator.h"
#include "tests/support/fake_cluster_view.h"

namespace atoll::replication {
namespace {

class NoTransport : public Transport {
 public:
  void Send(base::Incarnation, const internal::v1::PeerMessage&) override {}
  void SendAppend(base::Incarnation, const wire::AppendToSend&) override {}
  void SendAck(base::Incarnation, const wire::AppendAck&) override {}
  bool SendAlong(base::Incarnation, const internal::v1::PeerMessage&) override { return false; }
};

// A disk that answers when the test says so.
class SlowDisk : public DiskTier {
 public:
  void Load(base::PartitionId partition, uint32_t /*reset_epoch*/, LoadDone done) override {
    loads_.emplace_back(partition, std::move(done));
  }
  void Drop(base::PartitionId partition) override { ++dropped_[partition]; }
  int dropped(base::PartitionId partition) { return dropped_[partition]; }

  // Ends the oldest load of the partition.
  void Answer(base::PartitionId partition, absl::StatusOr<CopyState> copy) {
    for (auto& [of, done] : loads_) {
      if (of != partition || !done) continue;
      std::exchange(done, nullptr)(std::move(copy));
      return;
    }
    FAIL() << "no load under way";
  }

 private:
  std::vector<std::pair<base::PartitionId, LoadDone>> loads_;
  std::map<base::PartitionId, int> dropped_;
};

class DiskLoad : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = *store::Store::Create({.memory_bytes = store::kMinMemoryBytes, .clock = &clock_});
    replicator_ = Replicator::Create({}, store_.get(), &view_, &transport_, &clock_, &disk_);
    view_.AddListener(replicator_.get());
    map_ = test::MakeSimpleMap({.nodes = 1, .replication_factor = 1, .epoch = 5});
    view_.SetMap(map_);
  }
  void TearDown() override { view_.RemoveListener(replicator_.get()); }

  // Another term of the partition on this node, as after a death that was none.
  void NextTerm() {
    ring::Placement& placement = map_.partitions[partition_.value()];
    placement.epoch = base::Epoch(placement.epoch.value() + 1);
    ++map_.version;
    view_.SetMap(map_);
  }
  void Publish(base::Incarnation primary) {
    map_.partitions[partition_.value()].primary = primary;
    NextTerm();
  }
  // What the disk's load of the key's partition brings.
  void PutFromDisk(std::string_view value) {
    store_->SetCommitted(partition_, base::Version(base::Epoch(3), 9));
    store_->Put(key_, {.version = base::Version(base::Epoch(3), 9)}, {&value, 1});
  }
  CopyState Copy() const {
    return {.partition = partition_, .epoch = base::Epoch(3), .last_sequence = 9};
  }
  // The value, or why there is none.
  std::string Get() {
    Operation operation{.kind = OpKind::kGet};
    operation.ns = view_.FindNamespace("default");
    operation.key = key_;
    std::optional<std::string> got;
    replicator_->Execute(operation, [&got](OperationResult result) {
      if (!result.status.ok()) {
        got = base::HasReason(result.status, base::reason::kNoPrimary) ? "(no primary)" : "(other)";
      } else {
        got = result.outcome == v1::OUTCOME_OK ? result.value.Flatten() : "(none)";
      }
    });
    return got.value_or("(waits)");
  }
  bool InSync() {
    for (const CopyState& copy : replicator_->Copies()) {
      if (copy.partition == partition_) return copy.in_sync;
    }
    return false;
  }

  // Nothing is served, and all of it once the disk has answered.
  void ExpectServedOnlyWhenLoaded() {
    EXPECT_EQ(Get(), "(no primary)");
    EXPECT_FALSE(InSync());
    PutFromDisk("v");
    disk_.Answer(partition_, Copy());
    EXPECT_EQ(Get(), "v");
    EXPECT_TRUE(InSync());
  }

  const store::Key key_{base::NamespaceId(1), "k", base::HashKey("default", "k")};
  const base::PartitionId partition_ = key_.partition();
  base::FakeClock clock_;
  test::FakeClusterView view_;
  NoTransport transport_;
  SlowDisk disk_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Replicator> replicator_;
  ring::PlacementMap map_;
};

TEST_F(DiskLoad, IsServedWhenItIsDone) { ExpectServedOnlyWhenLoaded(); }

TEST_F(DiskLoad, IsNotServedInPartWhenAnotherTermBegins) {
  NextTerm();
  ExpectServedOnlyWhenLoaded();
}

TEST_F(DiskLoad, IsNotFitForTheDiskWhileNobodyLeads) {
  Publish(base::Incarnation());
  EXPECT_FALSE(InSync());
  disk_.Answer(partition_, Copy());
  EXPECT_TRUE(InSync());
}

TEST_F(DiskLoad, AnAnswerThatComesAfterAResetIsNotTheNewCopys) {
  ring::Placement& placement = map_.partitions[partition_.value()];
  ++placement.reset_epoch;
  NextTerm();
  disk_.Answer(partition_, Copy());  // of the copy before
  EXPECT_EQ(Get(), "(no primary)");
  disk_.Answer(partition_, absl::NotFoundError("none of this reset epoch"));
  EXPECT_EQ(Get(), "(none)");
}

// Until a learner is in the ISR, what an earlier process left may be all that there is.
TEST_F(DiskLoad, WhatIsOnDiskIsDroppedWhenALearnerIsInTheIsrAndNotBefore) {
  const base::Incarnation self = test::NodeId(0);
  const base::Incarnation other = test::NodeId(1);
  map_ = test::MakeSimpleMap({.version = 2, .nodes = 2, .replication_factor = 1, .epoch = 6});
  ring::Placement& placement = map_.partitions[partition_.value()];
  placement.primary = other;
  placement.isr = {other};
  view_.SetMap(map_);
  const int before = disk_.dropped(partition_);  // the first map gave it to this node
  placement.learners = {self};
  NextTerm();
  placement.learners.clear();
  NextTerm();
  placement.learners = {self};
  NextTerm();
  EXPECT_EQ(disk_.dropped(partition_), before);
  placement.learners.clear();
  placement.isr.push_back(self);
  NextTerm();
  EXPECT_EQ(disk_.dropped(partition_), before + 1);
}

}  // namespace
}  // namespace atoll::replication
