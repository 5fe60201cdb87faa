// A controller with the world around it, for tests: what happens is told, and the next map follows.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/cluster/controller.h"
#include "server/cluster/descriptor.h"

namespace atoll::cluster {

using internal::v1::AskControllerRequest;
using internal::v1::IsrChange;
using ring::MemberState;
using ring::Placement;
using ring::PlacementMap;

inline constexpr uint64_t kSeed = 7;

inline base::Incarnation Node(uint64_t number) { return base::Incarnation(number); }

struct NodeState {
  uint64_t incarnation = 0;
  uint64_t previous = 0;
  bool disk_copies = false;     // of every partition
  std::optional<size_t> lacks;  // but of this one
  uint64_t left_by = 0;         // the process that left them, if it was not the previous one
  std::string uuid;
  int64_t revision = 1;
};

// A controller with the world around it: nodes by name, a clock that stands still, and a store that
// accepts what is published.
class World {
 public:
  explicit World(ControllerOptions options = {}) : controller_(options, &clock_, kSeed) {
    controller_.Start({});
    Pass(options.quiet);
  }

  void Up(const std::string& name, NodeState state) {
    if (state.uuid.empty()) state.uuid = "uuid-" + name;
    nodes_[name] = state;
    Tell();
  }
  void Gone(const std::string& name) {
    nodes_.erase(name);
    Tell();
  }
  void GoneTogether(const std::vector<std::string>& names) {
    for (const std::string& name : names) nodes_.erase(name);
    Tell();
  }
  void Pass(absl::Duration time) { clock_.Advance(time); }
  void Leave(uint64_t incarnation) {
    AskControllerRequest request;
    request.set_from_incarnation(incarnation);
    request.set_leaving(true);
    controller_.Ask(request);
  }
  void Drain(const std::string& name, bool undo = false) {
    AskControllerRequest request;
    request.set_drain_node(name);
    request.set_undo_drain(undo);
    controller_.Ask(request);
  }
  void Ask(base::Incarnation from, const IsrChange& change) {
    AskControllerRequest request;
    request.set_from_incarnation(from.value());
    *request.add_isr_changes() = change;
    controller_.Ask(request);
  }
  // One step. Whether there was a new map.
  bool Step() {
    std::optional<PlacementMap> next = controller_.Next();
    if (!next) return false;
    EXPECT_EQ(next->version, map().version + 1);
    CheckRules(map(), *next);
    ++published_;
    controller_.Committed(*std::move(next));
    return true;
  }
  // Steps until nothing changes, and primaries take every learner in.
  void Settle() {
    for (int i = 0; i < 300; ++i) {
      const bool changed = Step();
      const bool admitted = AdmitLearners();
      if (!changed && !admitted) return;
      Pass(absl::Seconds(1));
    }
    FAIL() << "did not settle";
  }
  bool AdmitLearners() {
    std::map<base::Incarnation, AskControllerRequest> requests;
    for (size_t p = 0; p < map().partitions.size(); ++p) {
      const Placement& placement = map().partitions[p];
      if (placement.learners.empty()) continue;
      AskControllerRequest& request = requests[placement.primary];
      request.set_from_incarnation(placement.primary.value());
      *request.add_isr_changes() = Change(p, placement.learners.front(), {});
    }
    for (const auto& [from, request] : requests) controller_.Ask(request);
    return !requests.empty() && Step();
  }
  // What primaries that stay, and serve, ask for when others leave.
  bool RelieveLeavers() {
    const auto leaves = [this](base::Incarnation node) {
      const ring::Member* member = map().FindMember(node);
      return member != nullptr && member->state == MemberState::kLeaving;
    };
    std::map<base::Incarnation, AskControllerRequest> requests;
    for (size_t p = 0; p < map().partitions.size(); ++p) {
      const Placement& placement = map().partitions[p];
      if (leaves(placement.primary)) continue;
      for (const base::Incarnation node : placement.isr) {
        if (!leaves(node)) continue;
        AskControllerRequest& request = requests[placement.primary];
        request.set_from_incarnation(placement.primary.value());
        *request.add_isr_changes() = Change(p, {}, node);
      }
    }
    for (const auto& [from, request] : requests) controller_.Ask(request);
    return !requests.empty() && Step();
  }
  // A request as the primary would word it now.
  IsrChange Change(size_t partition, base::Incarnation add, base::Incarnation remove) const {
    const Placement& placement = map().partitions[partition];
    IsrChange change;
    change.set_partition(static_cast<uint32_t>(partition));
    change.set_epoch(placement.epoch.value());
    change.set_isr_version(placement.isr_version);
    change.set_add(add.value());
    change.set_remove(remove.value());
    return change;
  }

  const PlacementMap& map() const { return controller_.current(); }
  const Placement& at(size_t partition) const { return map().partitions[partition]; }
  Controller& controller() { return controller_; }
  int published() const { return published_; }
  int Primaries(base::Incarnation node) const {
    return static_cast<int>(
        std::count_if(map().partitions.begin(), map().partitions.end(),
                      [&](const Placement& placement) { return placement.primary == node; }));
  }
  int Copies(base::Incarnation node) const {
    return static_cast<int>(
        std::count_if(map().partitions.begin(), map().partitions.end(),
                      [&](const Placement& placement) { return placement.InIsr(node); }));
  }
  int Learners() const {
    int count = 0;
    for (const Placement& placement : map().partitions) {
      count += static_cast<int>(placement.learners.size());
    }
    return count;
  }
  int Orphans() const { return Primaries(Node(0)); }
  // The first partition whose ISR is exactly these nodes, the first of them primary.
  size_t Partition(base::Incarnation primary, base::Incarnation backup) const {
    for (size_t p = 0; p < map().partitions.size(); ++p) {
      if (at(p).primary == primary && at(p).InIsr(backup) && at(p).isr.size() == 2) return p;
    }
    ADD_FAILURE() << "no such partition";
    return 0;
  }

 private:
  void Tell() {
    std::vector<Registration> nodes;
    for (const auto& [name, state] : nodes_) {
      Registration node;
      node.revision = state.revision;
      node.descriptor.mutable_node()->set_name(name);
      node.descriptor.mutable_node()->set_incarnation(state.incarnation);
      node.descriptor.set_data_uuid(state.uuid);
      node.descriptor.set_previous_incarnation(state.previous);
      const base::Incarnation left_by(state.left_by != 0 ? state.left_by : state.previous);
      for (size_t p = 0; state.disk_copies && p < base::kPartitionCount; ++p) {
        if (p == state.lacks) continue;
        AddDiskCopy(left_by, base::PartitionId(static_cast<uint16_t>(p)), node.descriptor);
      }
      nodes.push_back(std::move(node));
    }
    controller_.SetNodes(nodes);
  }

  // What holds of every map that follows another.
  static void CheckRules(const PlacementMap& old, const PlacementMap& now) {
    if (old.partitions.empty()) return;
    int bad = 0;
    const auto expect = [&](bool holds, size_t partition, const char* what) {
      if (!holds && ++bad < 5) ADD_FAILURE() << "partition " << partition << ": " << what;
    };
    for (size_t p = 0; p < now.partitions.size(); ++p) {
      const Placement& a = old.partitions[p];
      const Placement& b = now.partitions[p];
      expect(!b.isr.empty(), p, "an ISR is never empty");
      expect(b.epoch >= a.epoch, p, "epochs do not fall");
      expect(b.primary == a.primary || b.primary == Node(0) || b.epoch > a.epoch, p,
             "a new primary has a new epoch");
      expect(b.primary == Node(0) || b.InIsr(b.primary), p, "the primary is in sync");
      const auto set = [](const ring::Seats& seats) {
        return std::set<base::Incarnation>(seats.begin(), seats.end());
      };
      const bool moved = set(a.isr) != set(b.isr) || set(a.learners) != set(b.learners);
      expect(!moved || b.isr_version > a.isr_version, p, "a change raises isr_version");
      expect(b.isr_version >= a.isr_version, p, "isr_version does not fall");
      if (a.history == b.history) {
        for (const base::Incarnation node : b.isr) {
          expect(a.InIsr(node) || a.IsLearner(node), p, "only a learner comes into an ISR");
        }
      } else {
        expect(b.epoch > a.epoch, p, "another history has another epoch");
      }
    }
  }

  base::FakeClock clock_;
  Controller controller_;
  std::map<std::string, NodeState> nodes_;
  int published_ = 0;
};

// n1 (101), n2 (102), n3 (103), RF 2, in balance.
inline void FormThree(World& world) {
  world.Up("n1", {.incarnation = 101});
  world.Up("n2", {.incarnation = 102});
  world.Up("n3", {.incarnation = 103});
  ASSERT_TRUE(world.Step());
  world.Settle();
  ASSERT_EQ(world.map().version, 1u) << "the first map is in balance";
}

inline ControllerOptions ThreeNodes() { return {.cluster_id = "id", .initial_nodes = 3}; }

}  // namespace atoll::cluster
