// Three nodes, a network and a controller in one thread: time, delays and faults come from a seed,
// and the replicators are the production ones.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "ring/placement_map.h"
#include "server/replication/replicator.h"
#include "server/store/store.h"
#include "tests/support/fake_cluster_view.h"

namespace atoll::replication::sim {

struct WorldOptions {
  uint64_t seed = 1;
  int nodes = 3;
  uint32_t replication_factor = 2;
  uint32_t min_isr = 1;
  std::vector<base::PartitionId> partitions;  // those that are owned by anyone
  Rules rules;
  // How often a message is lost though its link stands, as by a full queue.
  double drop = 0.001;
  // How often the asker is cut off from everyone the moment that its request for a new member is
  // carried out: faults come when they hurt.
  double spite = 0.1;
  int max_spites = 1'000'000;
};

class World {
 public:
  explicit World(const WorldOptions& options);
  ~World();

  // --- Time ---
  absl::Duration now() const { return clock_.BootTime(); }
  void After(absl::Duration delay, std::function<void()> event);
  void RunFor(absl::Duration time);
  double Random() { return std::uniform_real_distribution<>(0, 1)(random_); }
  int Pick(int below) { return static_cast<int>(random_() % static_cast<uint64_t>(below)); }
  absl::Duration Between(absl::Duration from, absl::Duration to) {
    return from + (to - from) * Random();
  }

  // --- Nodes, by place ---
  int nodes() const { return static_cast<int>(slots_.size()); }
  bool alive(int slot) const { return slots_[slot]->alive; }
  Replicator& replicator(int slot) { return *slots_[slot]->replicator; }
  store::Store& store(int slot) { return *slots_[slot]->node->store; }
  const base::Clock& clock() const { return clock_; }
  // Messages with records that the node's transport has sent, were it the production one.
  uint64_t departed(int slot) const;
  cluster::NamespacePtr ns();
  // Runs now, or when the node is no longer paused; never if its process is gone by then.
  void OnNode(int slot, std::function<void(Replicator&)> call);
  // The place of the primary that the controller's map names, or -1.
  int PrimaryOf(base::PartitionId partition) const;
  const ring::PlacementMap& map() const { return map_; }

  // --- Faults. Those that would leave a partition without a living copy in its ISR do nothing and
  // return false. ---
  bool Kill(int slot);
  void Restart(int slot);
  void Pause(int slot, absl::Duration time);
  // One direction.
  void Cut(int from, int to, absl::Duration time);
  // From all nodes; from the controller too if asked.
  void Isolate(int slot, absl::Duration time, bool from_controller);
  void ResetLink(int from, int to);
  // The controller takes a living node for dead.
  bool DeclareDead(int slot);
  // Hands the primary's role to another ISR member.
  void SwapRoles(base::PartitionId partition);
  // From the controller only.
  void Blind(int slot, absl::Duration time);
  void HealAll();
  // Every owned partition has a primary and all its copies in sync.
  bool Whole() const;

 private:
  class Wire;
  // One process.
  struct Node {
    base::Incarnation incarnation;
    std::unique_ptr<store::Store> store;
    std::unique_ptr<test::FakeClusterView> view;
    std::unique_ptr<Wire> wire;
    std::unique_ptr<Replicator> replicator;
  };
  struct Slot {
    std::unique_ptr<Node> node;
    bool alive = true;
    Replicator* replicator = nullptr;
    absl::Duration paused_until;
    absl::Duration no_controller_until;
    std::vector<std::function<void()>> held;
    absl::Duration map_delivered;
  };

  void Start(int slot);
  void TickLater(int slot);
  int SlotOf(base::Incarnation incarnation) const;
  void Deliver(base::Incarnation from, base::Incarnation to,
               std::shared_ptr<grpc::ByteBuffer> message);
  void RunOn(int slot, const Node* node, std::function<void()> call);
  // The controller.
  void OnAsk(int slot, internal::v1::AskControllerRequest request,
             cluster::ClusterView::AskDone done);
  void CarryOut(const internal::v1::IsrChange& change);
  void Publish();
  void SendMap(int slot);
  void Promote(ring::Placement& at, bool keep_dead);
  bool Living(base::Incarnation incarnation) const;
  void SeatLearners();

  const WorldOptions options_;
  std::mt19937_64 random_;
  base::FakeClock clock_;
  uint64_t next_event_ = 0;
  std::map<std::pair<absl::Duration, uint64_t>, std::function<void()>> events_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<std::unique_ptr<Node>> gone_;  // dead processes: callbacks may name them still
  ring::PlacementMap map_;
  std::set<base::Incarnation> declared_dead_;
  uint64_t next_incarnation_ = 1000;
  int spites_ = 0;
  // Network, by (from place, to place).
  std::map<std::pair<int, int>, absl::Duration> cut_until_;
  std::map<std::pair<int, int>, absl::Duration> last_delivery_;
  std::map<std::pair<int, int>, uint64_t> generation_;
};

}  // namespace atoll::replication::sim
