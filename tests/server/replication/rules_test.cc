// One story for each rule whose absence random faults seldom punish: what the rule prevents, and,
// with the rule switched off, that it happens.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "base/hash.h"
#include "tests/server/replication/world.h"

namespace atoll::replication::sim {
namespace {

constexpr char kFirst[] = "first";

class Story {
 public:
  explicit Story(WorldOptions options) : world(WithPartition(options)) {
    world.RunFor(absl::Seconds(2));
  }

  static base::PartitionId Partition() {
    return base::PartitionOfHash(base::HashKey("default", kFirst));
  }
  static std::string SecondKey() {
    for (int n = 0;; ++n) {
      std::string key = "k" + std::to_string(n);
      if (base::PartitionOfHash(base::HashKey("default", key)) == Partition()) return key;
    }
  }

  struct Result {
    bool answered = false;
    OperationResult result;
    std::string value;
    bool ok() const { return answered && result.status.ok(); }
  };
  // Runs at a node, whoever the map says is primary, and gives it a second.
  Result Do(int slot, OpKind kind, const std::string& key, std::string_view value = "") {
    auto got = std::make_shared<Result>();
    Operation operation;
    operation.kind = kind;
    operation.ns = world.ns();
    operation.key = {operation.ns->id, key, base::HashKey("default", key)};
    operation.value = {&value, 1};
    operation.deadline = world.now() + absl::Milliseconds(900);
    world.OnNode(slot, [&](Replicator& replicator) {
      replicator.Execute(operation, [got](OperationResult result) {
        got->answered = true;
        got->value = result.value.Flatten();
        result.value = {};
        got->result = std::move(result);
      });
    });
    world.RunFor(absl::Seconds(1));
    return *got;
  }

  World world;

 private:
  static WorldOptions WithPartition(WorldOptions options) {
    options.partitions = {Partition()};
    options.drop = 0;
    return options;
  }
};

class RuleStory : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Rule, RuleStory, ::testing::Bool(),
                         [](const auto& each) { return each.param ? "Kept" : "Broken"; });

// A has asked for B and cannot hear that it was carried out; B is promoted over A's head. What A
// acknowledged meanwhile without B is lost.
TEST_P(RuleStory, R3AMemberThatWasAskedForCounts) {
  Story story({.nodes = 2, .rules = {.r3_union = GetParam()}, .spite = 1.0, .max_spites = 1});
  World& world = story.world;
  ASSERT_TRUE(story.Do(0, OpKind::kSet, kFirst, "old").ok());
  ASSERT_TRUE(world.Kill(1));
  world.RunFor(absl::Seconds(2));
  ASSERT_EQ(world.map().at(Story::Partition()).isr.size(), 1u);
  world.Restart(1);
  // Until the asking, and so the cut.
  for (int i = 0; i < 500 && world.map().at(Story::Partition()).isr.size() < 2; ++i) {
    world.RunFor(absl::Milliseconds(10));
  }
  ASSERT_EQ(world.map().at(Story::Partition()).isr.size(), 2u);
  const Story::Result write = story.Do(0, OpKind::kSet, kFirst, "new");
  world.RunFor(absl::Seconds(2));
  ASSERT_EQ(world.PrimaryOf(Story::Partition()), 1);
  const Story::Result read = story.Do(1, OpKind::kGet, kFirst);
  ASSERT_TRUE(read.ok()) << read.result.status;
  EXPECT_EQ(write.ok(), !GetParam());
  EXPECT_EQ(read.value, "old");
}

// A was deposed and does not know. What it still writes would take the place, at C, of what the
// new primary writes.
TEST_P(RuleStory, R4ReplicasRejectLowerEpochs) {
  Story story({.replication_factor = 3, .rules = {.r4_reject_lower_epochs = GetParam()}});
  World& world = story.world;
  const std::string other = Story::SecondKey();
  ASSERT_TRUE(story.Do(0, OpKind::kSet, kFirst, "old").ok());
  world.Blind(0, absl::Seconds(30));
  ASSERT_TRUE(world.DeclareDead(0));
  world.RunFor(absl::Seconds(3));
  const int next = world.PrimaryOf(Story::Partition());
  ASSERT_GT(next, 0);
  const int third = 3 - next;
  EXPECT_FALSE(story.Do(0, OpKind::kSet, kFirst, "late").ok());
  ASSERT_TRUE(story.Do(next, OpKind::kSet, other, "new").ok());
  ASSERT_TRUE(world.Kill(next));
  world.RunFor(absl::Seconds(5));
  ASSERT_EQ(world.PrimaryOf(Story::Partition()), third);
  const Story::Result read = story.Do(third, OpKind::kGet, other);
  ASSERT_TRUE(read.ok()) << read.result.status;
  EXPECT_EQ(read.value, GetParam() ? "new" : "");
}

// What a batch of reads finds, and a moment between the reading of a value and the answer.
struct OneRead final : ReadSink {
  char* Place(size_t, const store::EntryMeta&, size_t size) override {
    value.resize(size);
    if (while_reading) while_reading();
    return value.data();
  }
  void Answer(size_t, store::Found&) override { answered = true; }
  void Refuse(size_t) override { refused = true; }

  std::function<void()> while_reading;
  std::string value;
  bool answered = false;
  bool refused = false;
};

// A is cut off while it reads; until it answers, B has been promoted and has a newer value. The
// lease held when the reading began, and does not hold when the answer would be given.
TEST_P(RuleStory, R5ABatchChecksItsLeaseAfterReading) {
  // Time passes here while the reader holds the partition's lock in the store, which collecting
  // hints would want.
  Story story({.nodes = 2, .rules = {.r5_lease = GetParam(), .warm_hints = false}});
  World& world = story.world;
  ASSERT_TRUE(story.Do(0, OpKind::kSet, kFirst, "old").ok());
  const store::Key key{world.ns()->id, kFirst, base::HashKey("default", kFirst)};
  OneRead whole;
  world.replicator(0).ReadNow({&key, 1}, {}, whole);
  EXPECT_TRUE(whole.answered);
  EXPECT_EQ(whole.value, "old");

  OneRead read;
  read.while_reading = [&] {
    world.Isolate(0, absl::Seconds(30), /*from_controller=*/true);
    ASSERT_TRUE(world.DeclareDead(0));
    world.RunFor(absl::Seconds(5));
    ASSERT_EQ(world.PrimaryOf(Story::Partition()), 1);
    ASSERT_TRUE(story.Do(1, OpKind::kSet, kFirst, "new").ok());
  };
  world.replicator(0).ReadNow({&key, 1}, {}, read);
  EXPECT_EQ(read.value, "old");
  EXPECT_EQ(read.refused, GetParam());
  EXPECT_EQ(read.answered, !GetParam());
}

// A write that B has not got is not shown by a batch of reads.
TEST(Rules, R5ABatchShowsCommittedValuesOnly) {
  Story story({.nodes = 2});
  World& world = story.world;
  ASSERT_TRUE(story.Do(0, OpKind::kSet, kFirst, "old").ok());
  const store::Key key{world.ns()->id, kFirst, base::HashKey("default", kFirst)};
  std::string_view value = "new";
  Operation set;
  set.kind = OpKind::kSet;
  set.ns = world.ns();
  set.key = key;
  set.value = {&value, 1};
  set.deadline = world.now() + absl::Seconds(1);
  struct Sink final : WriteSink {
    void Answer(size_t, OperationResult) override { ++answered; }
    Done Later(size_t) override {
      ++waiting;
      return [this](OperationResult result) {
        ++done;
        EXPECT_TRUE(result.status.ok()) << result.status;
        EXPECT_EQ(result.copies, 2u);
      };
    }
    void Refuse(size_t) override { ++refused; }
    int answered = 0, waiting = 0, done = 0, refused = 0;
  } sink;
  world.replicator(0).Write({&set, 1}, sink);
  EXPECT_EQ(sink.waiting, 1);
  EXPECT_EQ(sink.done, 0);
  OneRead early;
  world.replicator(0).ReadNow({&key, 1}, {}, early);
  EXPECT_TRUE(early.refused);
  world.RunFor(absl::Milliseconds(500));
  EXPECT_EQ(sink.done, 1);
  EXPECT_EQ(sink.answered + sink.refused, 0);
  OneRead late;
  world.replicator(0).ReadNow({&key, 1}, {}, late);
  EXPECT_TRUE(late.answered);
  EXPECT_EQ(late.value, "new");
  // Not this node's to write.
  world.replicator(1).Write({&set, 1}, sink);
  EXPECT_EQ(sink.refused, 1);
}

// A's last write reached B and not C, and C is promoted. If it does not fetch what B has, its own
// next write is, for B, the one that it has already.
TEST_P(RuleStory, R6ANewPrimaryFetchesTheTail) {
  Story story({.replication_factor = 3, .rules = {.r6_takeover = GetParam()}});
  World& world = story.world;
  const std::string other = Story::SecondKey();
  ASSERT_TRUE(story.Do(0, OpKind::kSet, kFirst, "old").ok());
  const ring::Placement& at = world.map().at(Story::Partition());
  ASSERT_EQ(at.isr.size(), 3u);
  world.Cut(0, 2, absl::Seconds(10));
  world.OnNode(0, [&](Replicator& replicator) {
    static constexpr std::string_view kValue = "tail";
    Operation operation;
    operation.kind = OpKind::kSet;
    operation.ns = world.ns();
    operation.key = {operation.ns->id, kFirst, base::HashKey("default", kFirst)};
    operation.value = {&kValue, 1};
    replicator.Execute(operation, [](OperationResult) {});
  });
  world.RunFor(absl::Milliseconds(100));
  ASSERT_TRUE(world.Kill(0));
  world.RunFor(absl::Seconds(5));
  ASSERT_EQ(world.PrimaryOf(Story::Partition()), 2);
  ASSERT_TRUE(story.Do(2, OpKind::kSet, other, "new").ok());
  ASSERT_TRUE(world.Kill(2));
  world.RunFor(absl::Seconds(5));
  ASSERT_EQ(world.PrimaryOf(Story::Partition()), 1);
  const Story::Result read = story.Do(1, OpKind::kGet, other);
  ASSERT_TRUE(read.ok()) << read.result.status;
  EXPECT_EQ(read.value, GetParam() ? "new" : "");
}

// R2: below min_isr nothing is accepted, and it is accepted again when copies are back.
TEST(Rules, R2TooFewCopiesRefuseWrites) {
  Story story({.min_isr = 2});
  World& world = story.world;
  const Story::Result before = story.Do(0, OpKind::kSet, kFirst, "a");
  ASSERT_TRUE(before.ok());
  EXPECT_EQ(before.result.copies, 2u);
  ASSERT_TRUE(world.Kill(1));
  // The write that is pending when the copy is lost may be applied: AMBIGUOUS (its deadline, or
  // the ISR's shrinking, whichever is first).
  const Story::Result pending = story.Do(0, OpKind::kSet, kFirst, "b");
  ASSERT_TRUE(pending.answered);
  EXPECT_EQ(pending.result.status.code(), absl::StatusCode::kAborted) << pending.result.status;
  world.RunFor(absl::Milliseconds(100));
  if (world.map().at(Story::Partition()).isr.size() < 2) {
    const Story::Result refused = story.Do(0, OpKind::kSet, kFirst, "c");
    EXPECT_FALSE(refused.ok());
  }
  world.Restart(1);
  world.RunFor(absl::Seconds(10));
  EXPECT_TRUE(story.Do(0, OpKind::kSet, kFirst, "d").ok());
}

}  // namespace
}  // namespace atoll::replication::sim
