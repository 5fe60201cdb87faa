#include "tests/server/replication/world.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "rpc/wire/peer_codec.h"
#include "tests/support/encoding_transport.h"

namespace atoll::replication::sim {

class World::Wire : public test::EncodingTransport {
 public:
  Wire(World* world, base::Incarnation from) : world_(world), from_(from) {}
  void SendAppend(base::Incarnation to, const wire::AppendToSend& append) override {
    if (!append.records.empty()) Count(to);
    EncodingTransport::SendAppend(to, append);
  }
  void Hold() override { ++holds_; }
  void Release() override {
    if (--holds_ > 0) return;
    departed_ += held_.size();
    held_.clear();
  }
  uint64_t departed() const { return departed_; }

 private:
  // What is held leaves as one message to each node.
  void Count(base::Incarnation to) {
    if (holds_ > 0) {
      held_.insert(to);
    } else {
      ++departed_;
    }
  }
  void Deliver(base::Incarnation to, grpc::ByteBuffer message) override {
    world_->Deliver(from_, to, std::make_shared<grpc::ByteBuffer>(std::move(message)));
  }

  World* const world_;
  const base::Incarnation from_;
  int holds_ = 0;
  std::set<base::Incarnation> held_;
  uint64_t departed_ = 0;
};

uint64_t World::departed(int slot) const { return slots_[slot]->node->wire->departed(); }

World::World(const WorldOptions& options) : options_(options), random_(options.seed) {
  map_.version = 1;
  map_.cluster_id = "sim";
  map_.replication_factor = options.replication_factor;
  map_.partitions.resize(base::kPartitionCount);
  for (int i = 0; i < options.nodes; ++i) {
    slots_.push_back(std::make_unique<Slot>());
    Start(i);
  }
  for (size_t p = 0; p < options.partitions.size(); ++p) {
    ring::Placement& at = map_.partitions[options.partitions[p].value()];
    at.epoch = base::Epoch(1);
    at.isr_version = 1;
    at.history = p + 1;
    for (uint32_t c = 0; c < options.replication_factor; ++c) {
      at.isr.push_back(slots_[(p + c) % slots_.size()]->node->incarnation);
    }
    at.primary = at.isr[0];
  }
  Publish();
}

World::~World() = default;

void World::After(absl::Duration delay, std::function<void()> event) {
  events_.emplace(std::make_pair(now() + delay, next_event_++), std::move(event));
}

void World::RunFor(absl::Duration time) {
  const absl::Duration until = now() + time;
  while (!events_.empty() && events_.begin()->first.first <= until) {
    auto event = std::move(events_.begin()->second);
    const absl::Duration at = events_.begin()->first.first;
    events_.erase(events_.begin());
    if (at > now()) clock_.Advance(at - now());
    event();
  }
  if (until > now()) clock_.Advance(until - now());
}

cluster::NamespacePtr World::ns() { return slots_[0]->node->view->FindNamespace("default"); }

void World::Start(int slot) {
  Slot& s = *slots_[slot];
  if (s.node != nullptr) gone_.push_back(std::move(s.node));
  s.node = std::make_unique<Node>();
  Node& node = *s.node;
  node.incarnation = base::Incarnation(++next_incarnation_);
  node.store = *store::Store::Create({.memory_bytes = store::kMinMemoryBytes, .clock = &clock_});
  node.view = std::make_unique<test::FakeClusterView>(node.incarnation, absl::StrCat("n", slot));
  node.wire = std::make_unique<Wire>(this, node.incarnation);
  node.replicator = Replicator::Create({.min_isr = options_.min_isr, .rules = options_.rules},
                                       node.store.get(), node.view.get(), node.wire.get(), &clock_);
  node.view->AddListener(node.replicator.get());
  node.view->set_ask_handler(
      [this, slot](const internal::v1::AskControllerRequest& request,
                   cluster::ClusterView::AskDone done) { OnAsk(slot, request, std::move(done)); });
  s.alive = true;
  s.replicator = node.replicator.get();
  s.held.clear();
  std::erase_if(map_.members,
                [&](const ring::Member& m) { return m.name == absl::StrCat("n", slot); });
  map_.members.push_back({.name = absl::StrCat("n", slot), .incarnation = node.incarnation});
  TickLater(slot);
}

void World::TickLater(int slot) {
  const Node* node = slots_[slot]->node.get();
  After(absl::Milliseconds(20), [this, slot, node] {
    if (slots_[slot]->node.get() != node || !slots_[slot]->alive) return;
    RunOn(slot, node, [this, slot, node] {
      node->replicator->Tick();
      TickLater(slot);
    });
  });
}

void World::RunOn(int slot, const Node* node, std::function<void()> call) {
  Slot& s = *slots_[slot];
  if (s.node.get() != node || !s.alive) return;
  if (now() < s.paused_until) {
    s.held.push_back(std::move(call));
    return;
  }
  call();
}

void World::OnNode(int slot, std::function<void(Replicator&)> call) {
  const Node* node = slots_[slot]->node.get();
  RunOn(slot, node, [node, call = std::move(call)] { call(*node->replicator); });
}

int World::SlotOf(base::Incarnation incarnation) const {
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i]->node->incarnation == incarnation) return static_cast<int>(i);
  }
  return -1;
}

bool World::Living(base::Incarnation incarnation) const {
  const int slot = SlotOf(incarnation);
  return slot >= 0 && slots_[slot]->alive;
}

int World::PrimaryOf(base::PartitionId partition) const {
  return SlotOf(map_.partitions[partition.value()].primary);
}

void World::Deliver(base::Incarnation from, base::Incarnation to,
                    std::shared_ptr<grpc::ByteBuffer> message) {
  const int a = SlotOf(from);
  const int b = SlotOf(to);
  if (a < 0 || b < 0 || !slots_[a]->alive || Random() < options_.drop) return;
  const std::pair<int, int> link{a, b};
  if (now() < cut_until_[link]) return;
  const absl::Duration slow = Random() < 0.02 ? absl::Milliseconds(60) : absl::Milliseconds(3);
  absl::Duration& last = last_delivery_[link];
  last = std::max(last, now() + Between(absl::Microseconds(50), slow));
  const Node* node = slots_[b]->node.get();
  After(last - now(),
        [this, link, b, node, from, generation = generation_[link], message = std::move(message)] {
          if (generation_[link] != generation) return;
          RunOn(b, node, [node, from, message] {
            wire::Input input;
            *input.buffer() = *message;
            wire::LinkMessage read;
            if (!input.Load() || !wire::Decode(input, &read)) std::abort();
            node->replicator->OnItems(from, read.items);
          });
        });
}

void World::ResetLink(int from, int to) {
  ++generation_[{from, to}];
  const Node* node = slots_[from]->node.get();
  After(absl::Milliseconds(5), [this, from, to, node] {
    if (!slots_[to]->alive) return;
    const base::Incarnation peer = slots_[to]->node->incarnation;
    RunOn(from, node, [node, peer] { node->replicator->OnLinkUp(peer); });
  });
}

void World::Cut(int from, int to, absl::Duration time) {
  absl::Duration& until = cut_until_[{from, to}];
  until = std::max(until, now() + time);
  After(time, [this, from, to] {
    if (now() >= cut_until_[{from, to}]) ResetLink(from, to);
  });
}

void World::Isolate(int slot, absl::Duration time, bool from_controller) {
  for (int other = 0; other < nodes(); ++other) {
    if (other == slot) continue;
    Cut(slot, other, time);
    Cut(other, slot, time);
  }
  if (from_controller) Blind(slot, time);
}

void World::Blind(int slot, absl::Duration time) {
  slots_[slot]->no_controller_until = now() + time;
  After(time + absl::Milliseconds(1), [this, slot] { SendMap(slot); });
}

void World::Pause(int slot, absl::Duration time) {
  Slot& s = *slots_[slot];
  s.paused_until = std::max(s.paused_until, now() + time);
  After(s.paused_until - now(), [this, slot] {
    Slot& paused = *slots_[slot];
    if (now() < paused.paused_until) return;
    auto held = std::move(paused.held);
    paused.held.clear();
    for (auto& call : held) call();
  });
}

bool World::Kill(int slot) {
  const base::Incarnation victim = slots_[slot]->node->incarnation;
  if (!slots_[slot]->alive) return false;
  for (base::PartitionId p : options_.partitions) {
    const ring::Placement& at = map_.at(p);
    if (!at.InIsr(victim)) continue;
    if (std::none_of(at.isr.begin(), at.isr.end(),
                     [&](base::Incarnation other) { return other != victim && Living(other); })) {
      return false;
    }
  }
  slots_[slot]->alive = false;
  slots_[slot]->held.clear();
  After(Between(absl::Milliseconds(100), absl::Milliseconds(1500)), [this, victim] {
    declared_dead_.insert(victim);
    Publish();
  });
  return true;
}

void World::Restart(int slot) {
  if (slots_[slot]->alive) return;
  declared_dead_.insert(slots_[slot]->node->incarnation);
  Start(slot);
  for (int other = 0; other < nodes(); ++other) {
    if (other == slot) continue;
    ResetLink(other, slot);
    ResetLink(slot, other);
  }
  Publish();
}

void World::HealAll() {
  cut_until_.clear();
  for (int i = 0; i < nodes(); ++i) {
    slots_[i]->no_controller_until = {};
    slots_[i]->paused_until = now();
    Pause(i, {});
    Restart(i);
    for (int j = 0; j < nodes(); ++j) {
      if (i != j) ResetLink(i, j);
    }
    declared_dead_.erase(slots_[i]->node->incarnation);
  }
  Publish();
}

bool World::Whole() const {
  return std::all_of(options_.partitions.begin(), options_.partitions.end(),
                     [&](base::PartitionId p) {
                       return map_.at(p).primary.value() != 0 &&
                              map_.at(p).isr.size() >= options_.replication_factor;
                     });
}

}  // namespace atoll::replication::sim
