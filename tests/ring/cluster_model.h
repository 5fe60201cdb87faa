// A cluster that consists of its placement map alone: nodes come and go, learners catch up when a
// test says so, and each change of the map is checked against what placement promises
// (placement.h).
#pragma once

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "ring/placement.h"

namespace atoll::ring {

struct ClusterShape {
  int nodes = 3;
  uint32_t rf = 2;
  int zones = 0;  // node i is in zone i % zones; 0: none
};

class ClusterModel {
 public:
  explicit ClusterModel(const ClusterShape& shape) : shape_(shape) {
    map_.replication_factor = shape.rf;
    for (int i = 0; i < shape.nodes; ++i) Join();
    Apply(FirstAssignment(map_, 42));
  }

  const PlacementMap& map() const { return map_; }
  RebalanceOptions& options() { return options_; }
  // Copies that learners made, since the last ResetMoved.
  int moved() const { return moved_; }
  void ResetMoved() { moved_ = 0; }

  base::Incarnation Join() { return Join("n" + std::to_string(next_name_++)); }
  base::Incarnation Join(const std::string& name, uint32_t weight = 1) {
    Member member;
    member.name = name;
    member.incarnation = base::Incarnation(next_incarnation_++);
    if (shape_.zones > 0) {
      member.zone = "z" + std::to_string(std::stoi(name.substr(1)) % shape_.zones);
    }
    member.weight = weight;
    PlacementMap next = map_;
    next.members.push_back(member);
    std::sort(next.members.begin(), next.members.end(), [](const Member& a, const Member& b) {
      return std::pair(a.name, a.incarnation) < std::pair(b.name, b.incarnation);
    });
    Apply(std::move(next));
    return member.incarnation;
  }
  void Kill(const std::string& name) { Apply(MarkDead(map_, Find(name))); }
  base::Incarnation SetState(const std::string& name, MemberState state) {
    const base::Incarnation incarnation = Find(name);
    for (Member& member : map_.members) {
      if (member.incarnation == incarnation) member.state = state;
    }
    return incarnation;
  }
  void SetWeight(const std::string& name, uint32_t weight) {
    const base::Incarnation incarnation = Find(name);
    for (Member& member : map_.members) {
      if (member.incarnation == incarnation) member.weight = weight;
    }
  }
  // The model of any member: tests may shuffle.
  PlacementMap& mutable_map() { return map_; }

  // One call of Rebalance. Whether it changed anything.
  bool Step() {
    PlacementMap next = Rebalance(map_, options_);
    const bool changed = !(next == map_);
    Apply(std::move(next));
    return changed;
  }

  // Every learner becomes in sync.
  void CatchUp() {
    PlacementMap next = map_;
    for (Placement& placement : next.partitions) {
      for (const base::Incarnation learner : placement.learners) {
        placement.isr.push_back(learner);
        ++placement.isr_version;
        ++moved_;
      }
      placement.learners.clear();
    }
    Apply(std::move(next));
  }

  // Steps and catches up until nothing changes.
  void Settle() {
    for (int step = 0; step < 200; ++step) {
      const bool changed = Step();
      const bool learning =
          std::any_of(map_.partitions.begin(), map_.partitions.end(),
                      [](const Placement& placement) { return !placement.learners.empty(); });
      if (!changed && !learning) return;
      CatchUp();
    }
    FAIL() << "did not settle in 200 steps";
  }

 private:
  base::Incarnation Find(const std::string& name) const {
    const Member* member = map_.FindLiveMember(name);
    EXPECT_NE(member, nullptr) << name;
    return member == nullptr ? base::Incarnation() : member->incarnation;
  }

  // Every change, by whomever, keeps the rules.
  void Apply(PlacementMap next) {
    int broken = 0;
    for (size_t i = 0; i < map_.partitions.size() && broken < 3; ++i) {
      broken += CheckChange(i, map_.partitions[i], next.partitions[i], next) ? 0 : 1;
    }
    map_ = std::move(next);
  }

  static bool CheckChange(size_t partition, const Placement& old, const Placement& now,
                          const PlacementMap& map) {
    bool good = true;
    const auto expect = [&](bool holds, const char* what) {
      if (!holds) ADD_FAILURE() << "partition " << partition << ": " << what;
      good = good && holds;
    };
    expect(now.primary == old.primary ? now.epoch == old.epoch : now.epoch > old.epoch,
           "the epoch rises with each change of primary, and only then");
    const auto sorted = [](const Seats& seats) {
      return std::set<base::Incarnation>(seats.begin(), seats.end());
    };
    expect((sorted(now.isr) == sorted(old.isr) && sorted(now.learners) == sorted(old.learners)) ==
               (now.isr_version == old.isr_version),
           "isr_version rises with each change of ISR or learners, and only then");
    expect(now.isr_version >= old.isr_version, "isr_version never falls");
    expect(now.primary == base::Incarnation() || now.InIsr(now.primary),
           "the primary is in the ISR");
    expect(sorted(now.isr).size() == now.isr.size(), "nobody is twice in the ISR");
    bool kept = false;
    for (const base::Incarnation node : now.isr) {
      expect(old.InIsr(node) || old.IsLearner(node), "only a learner becomes in sync");
      kept = kept || old.InIsr(node);
      expect(map.FindMember(node) != nullptr, "seats name members");
    }
    expect(kept, "some in-sync copy stays");
    for (const base::Incarnation node : now.learners) {
      expect(!now.InIsr(node), "a learner is not in sync");
      expect(map.FindMember(node) != nullptr, "seats name members");
    }
    return good;
  }

  ClusterShape shape_;
  RebalanceOptions options_;
  PlacementMap map_;
  int next_name_ = 0;
  uint64_t next_incarnation_ = 1000;
  int moved_ = 0;
};

}  // namespace atoll::ring
