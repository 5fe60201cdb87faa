#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ring/placement_map.h"

namespace atoll::ring {
namespace {

using base::Epoch;
using base::Incarnation;
using base::PartitionId;
using ::testing::HasSubstr;

Member MakeMember(int i) {
  Member member;
  member.name = "n" + std::to_string(i);
  member.incarnation = Incarnation(0x1000 + static_cast<uint64_t>(i));
  member.zone = i % 2 == 0 ? "east" : "west";
  member.weight = 1 + static_cast<uint32_t>(i);
  member.state = static_cast<MemberState>(i % 4);
  member.listeners = {{"client", "10.0.0.1:7850"}, {"peer", "10.0.0.1:7851"}};
  member.program_version = "0.1.0";
  return member;
}

PlacementMap MakeMap(std::mt19937_64& random) {
  PlacementMap map;
  map.version = 7;
  map.cluster = "atoll";
  map.cluster_id = "c-1";
  map.replication_factor = 2;
  for (int i = 0; i < 5; ++i) map.members.push_back(MakeMember(i));
  map.partitions.resize(base::kPartitionCount);
  for (Placement& placement : map.partitions) {
    const size_t first = random() % 5;
    placement.epoch = Epoch(static_cast<uint32_t>(random() % (1u << 24)));
    placement.isr_version = static_cast<uint32_t>(random());
    placement.isr = {map.members[first].incarnation, map.members[(first + 1) % 5].incarnation};
    if (random() % 4 != 0) placement.primary = placement.isr[random() % 2];
    if (random() % 4 == 0) placement.learners = {map.members[(first + 2) % 5].incarnation};
    placement.history = random();
    placement.reset_epoch = static_cast<uint32_t>(random() % 3);
    if (random() % 4 == 0) placement.revived_from = base::Incarnation(random());
  }
  return map;
}

class MapCodec : public ::testing::Test {
 protected:
  MapCodec() {
    const uint64_t seed = std::random_device()();
    std::cout << "seed " << seed << "\n";
    random_.seed(seed);
    map_ = MakeMap(random_);
  }
  std::mt19937_64 random_;
  PlacementMap map_;
};

TEST_F(MapCodec, AWholeMapComesBackEqual) {
  v1::PlacementMap message;
  ASSERT_TRUE(message.ParseFromString(EncodeMap(map_).SerializeAsString()));
  const auto decoded = DecodeMap(message, nullptr);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_TRUE(*decoded == map_);
}

TEST_F(MapCodec, AMapBeforeTheFirstAssignmentHasNoPartitions) {
  map_.partitions.clear();
  const auto decoded = DecodeMap(EncodeMap(map_), nullptr);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_TRUE(*decoded == map_);
}

TEST_F(MapCodec, ADeltaHoldsTheChangedPartitionsAndComesBackEqual) {
  PlacementMap next = map_;
  next.version = 9;
  // A member joins in front, so that every place in `nodes` shifts.
  next.members.insert(next.members.begin(), MakeMember(9));
  next.members.front().state = MemberState::kUp;
  next.partitions[3].epoch = Epoch(77);
  next.partitions[4095].learners = {next.members.front().incarnation};
  const v1::PlacementMap delta = EncodeDelta(&map_, next);
  EXPECT_EQ(delta.delta_from(), 7u);
  EXPECT_EQ(delta.partitions_size(), 2);
  const auto decoded = DecodeMap(delta, &map_);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_TRUE(*decoded == next);
}

TEST_F(MapCodec, ADeltaIsRefusedOverAnotherVersion) {
  PlacementMap next = map_;
  next.version = 9;
  const v1::PlacementMap delta = EncodeDelta(&map_, next);
  PlacementMap other = map_;
  other.version = 6;
  EXPECT_EQ(DecodeMap(delta, &other).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(DecodeMap(delta, nullptr).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(MapCodec, WhereNoDeltaCanBeTheMapIsWhole) {
  PlacementMap next = map_;
  next.version = 9;
  PlacementMap unassigned = map_;
  unassigned.partitions.clear();
  PlacementMap foreign = map_;
  foreign.cluster_id = "c-2";
  PlacementMap newer = map_;
  newer.version = 10;
  PlacementMap unborn = map_;
  unborn.version = 0;
  for (const PlacementMap* base :
       {static_cast<const PlacementMap*>(nullptr), static_cast<const PlacementMap*>(&unassigned),
        static_cast<const PlacementMap*>(&foreign), static_cast<const PlacementMap*>(&newer),
        static_cast<const PlacementMap*>(&unborn)}) {
    EXPECT_EQ(EncodeDelta(base, next).delta_from(), 0u);
    EXPECT_EQ(EncodeDelta(base, next).partitions_size(), 4096);
  }
}

TEST_F(MapCodec, ADeltaMayNotDropAMemberThatIsSeated) {
  PlacementMap next = map_;
  next.version = 8;
  v1::PlacementMap delta = EncodeDelta(&map_, next);
  delta.mutable_nodes()->RemoveLast();
  EXPECT_EQ(DecodeMap(delta, &map_).status().code(), absl::StatusCode::kInvalidArgument);
}

struct Damage {
  const char* name;
  void (*apply)(v1::PlacementMap&);
  const char* message;
};

TEST_F(MapCodec, DamageIsRefusedByField) {
  const Damage cases[] = {
      {"partition out of range", [](auto& m) { m.mutable_partitions(0)->set_partition(4096); },
       "partition 4096: limit 4095"},
      {"partition twice", [](auto& m) { m.mutable_partitions(1)->set_partition(0); },
       "partition 0 twice"},
      {"partition missing", [](auto& m) { m.mutable_partitions()->RemoveLast(); },
       "partitions: 4095, not 4096"},
      {"epoch of 25 bits", [](auto& m) { m.mutable_partitions(2)->set_epoch(1u << 24); },
       "partition 2: epoch: 16777216, limit 16777215"},
      {"isr out of range", [](auto& m) { m.mutable_partitions(2)->set_isr(0, 5); },
       "partition 2: isr: node 5 of 5"},
      {"isr twice",
       [](auto& m) {
         auto* p = m.mutable_partitions(2);
         p->set_isr(1, p->isr(0));
       },
       "twice"},
      {"learner in the isr",
       [](auto& m) {
         auto* p = m.mutable_partitions(2);
         p->clear_learners();
         p->add_learners(p->isr(0));
       },
       "partition 2: learners: a node of the isr"},
      {"primary outside the isr",
       [](auto& m) {
         auto* p = m.mutable_partitions(2);
         p->clear_learners();
         p->set_primary((p->isr(1) + 1) % 5);
       },
       "partition 2: primary: not in the isr"},
      {"primary out of range", [](auto& m) { m.mutable_partitions(2)->set_primary(99); },
       "partition 2: primary: node 99 of 5"},
      {"node twice", [](auto& m) { m.mutable_nodes(1)->set_incarnation(m.nodes(0).incarnation()); },
       "incarnation of n1 appears twice"},
      {"no incarnation", [](auto& m) { m.mutable_nodes(1)->clear_incarnation(); },
       "node n1: incarnation 0"},
      {"weight 0", [](auto& m) { m.mutable_nodes(1)->clear_weight(); }, "node n1: weight 0"},
      {"state", [](auto& m) { m.mutable_nodes(1)->clear_state(); }, "node n1: unknown state 0"},
      {"partition count", [](auto& m) { m.set_partition_count(1024); },
       "partition_count: 1024, not 4096"},
      {"replication factor", [](auto& m) { m.set_replication_factor(4); },
       "replication_factor: 4, limits 1 and 3"},
  };
  for (const Damage& damage : cases) {
    SCOPED_TRACE(damage.name);
    v1::PlacementMap message = EncodeMap(map_);
    damage.apply(message);
    const auto decoded = DecodeMap(message, nullptr);
    ASSERT_EQ(decoded.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(decoded.status().message()), HasSubstr(damage.message));
  }
}

TEST_F(MapCodec, DamagedBytesNeverCrash) {
  const std::string bytes = EncodeMap(map_).SerializeAsString();
  for (int i = 0; i < 200; ++i) {
    std::string damaged = bytes;
    // The head, where nodes are, and any place behind it.
    char& byte = damaged[random_() % (i % 2 == 0 ? 300 : damaged.size())];
    byte = static_cast<char>(static_cast<uint8_t>(byte) ^ (random_() & 0xff));
    v1::PlacementMap message;
    if (!message.ParseFromString(damaged)) continue;
    const auto decoded = DecodeMap(message, &map_);
    if (decoded.ok()) EncodeMap(*decoded);
  }
}

TEST_F(MapCodec, OnePartitionComesBackWithTheMembersThatItNames) {
  const PartitionId partition(17);
  google::protobuf::RepeatedPtrField<v1::Node> nodes;
  EncodePlacement(map_, PartitionId(16), &nodes);
  const v1::PartitionPlacement message = EncodePlacement(map_, partition, &nodes);
  EXPECT_LE(nodes.size(), 5);
  const auto decoded = DecodePlacement(message, nodes);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->partition, partition);
  EXPECT_TRUE(decoded->placement == map_.at(partition));
}

TEST(AddressNodesFor, TakesTheListenersAddressOrTheClientOne) {
  google::protobuf::RepeatedPtrField<v1::Node> nodes;
  Member member = MakeMember(0);
  EncodeMember(member, nodes.Add());
  member.listeners.insert(member.listeners.begin(), {"docker", "n1:7850"});
  EncodeMember(member, nodes.Add());
  AddressNodesFor("docker", &nodes);
  EXPECT_EQ(nodes[0].address(), "10.0.0.1:7850");
  EXPECT_EQ(nodes[1].address(), "n1:7850");
  EXPECT_EQ(nodes[0].listeners_size(), 0);
}

}  // namespace
}  // namespace atoll::ring
