// World's controller: it decides as cluster::Controller does, without ring arithmetic, and lies and
// loses more.
#include <algorithm>
#include <utility>

#include "tests/server/replication/world.h"

namespace atoll::replication::sim {

void World::OnAsk(int slot, internal::v1::AskControllerRequest request,
                  cluster::ClusterView::AskDone done) {
  const bool request_lost = now() < slots_[slot]->no_controller_until || Random() < 0.05;
  const bool answer_lost = Random() < 0.05;
  auto shared = std::make_shared<cluster::ClusterView::AskDone>(std::move(done));
  if (request_lost || answer_lost) {
    After(absl::Milliseconds(500), [shared] { (*shared)(absl::UnavailableError("lost")); });
  }
  if (request_lost) return;
  // Late enough, at times, to come after the asker gave up and asked again.
  const absl::Duration late = Random() < 0.1 ? absl::Milliseconds(800) : absl::Milliseconds(10);
  After(Between(absl::Milliseconds(1), late), [this, slot, shared, answer_lost, request] {
    const ring::PlacementMap before = map_;
    bool added = false;
    for (const auto& change : request.isr_changes()) {
      CarryOut(change);
      added = added || change.add() != 0;
    }
    if (added && spites_ < options_.max_spites && Random() < options_.spite) {
      ++spites_;
      Isolate(slot, absl::Seconds(2), true);
      After(absl::Milliseconds(300), [this, slot] { DeclareDead(slot); });
    }
    if (before.partitions != map_.partitions) Publish();
    if (answer_lost) return;
    internal::v1::AskControllerResponse response;
    response.set_map_version(map_.version);
    After(Between(absl::Milliseconds(1), absl::Milliseconds(30)),
          [shared, response] { (*shared)(response); });
  });
}

void World::CarryOut(const internal::v1::IsrChange& change) {
  ring::Placement& at = map_.partitions[change.partition()];
  if (change.remove() != 0) {
    // A dead member asked for this; the copy that it alone would be is gone.
    const base::Incarnation remove(change.remove());
    const bool leaves_a_copy = std::any_of(at.isr.begin(), at.isr.end(), [&](base::Incarnation m) {
      return m != remove && Living(m);
    });
    if (!leaves_a_copy) return;
  }
  test::ApplyIsrChange(change, &map_);
}

bool World::DeclareDead(int slot) {
  const base::Incarnation victim = slots_[slot]->node->incarnation;
  for (base::PartitionId p : options_.partitions) {
    const ring::Placement& at = map_.at(p);
    if (at.InIsr(victim) &&
        std::none_of(at.isr.begin(), at.isr.end(), [&](base::Incarnation other) {
          return other != victim && Living(other) && !declared_dead_.contains(other);
        })) {
      return false;
    }
  }
  declared_dead_.insert(victim);
  Publish();
  // It is seen again later: the same process, which has lost its seats.
  After(Between(absl::Milliseconds(500), absl::Seconds(3)), [this, victim] {
    if (!Living(victim)) return;
    declared_dead_.erase(victim);
    Publish();
  });
  return true;
}

void World::Promote(ring::Placement& at, bool keep_dead) {
  base::Incarnation next;
  for (base::Incarnation member : at.isr) {
    if (Living(member) && !declared_dead_.contains(member)) next = member;
  }
  if (next.value() == 0) return;  // waits for one to be seen again
  at.primary = next;
  at.epoch = base::Epoch(at.epoch.value() + 1);
  ++at.isr_version;
  // Its absence from the ISR may also come later, by the new primary's asking.
  if (!keep_dead) {
    at.isr.erase(std::remove_if(at.isr.begin(), at.isr.end(),
                                [&](base::Incarnation m) { return declared_dead_.contains(m); }),
                 at.isr.end());
  }
}

void World::SwapRoles(base::PartitionId partition) {
  ring::Placement& at = map_.partitions[partition.value()];
  for (base::Incarnation member : at.isr) {
    if (member == at.primary || !Living(member) || declared_dead_.contains(member)) continue;
    at.primary = member;
    at.epoch = base::Epoch(at.epoch.value() + 1);
    Publish();
    return;
  }
}

void World::SeatLearners() {
  for (base::PartitionId p : options_.partitions) {
    ring::Placement& at = map_.partitions[p.value()];
    const auto dead = [&](base::Incarnation m) { return declared_dead_.contains(m); };
    const size_t before = at.learners.size();
    at.learners.erase(std::remove_if(at.learners.begin(), at.learners.end(), dead),
                      at.learners.end());
    bool changed = at.learners.size() != before;
    for (const auto& slot : slots_) {
      const base::Incarnation node = slot->node->incarnation;
      if (at.isr.size() + at.learners.size() >= options_.replication_factor) break;
      if (!slot->alive || dead(node) || at.InIsr(node) || at.IsLearner(node)) continue;
      at.learners.push_back(node);
      changed = true;
    }
    if (changed) ++at.isr_version;
  }
}

void World::Publish() {
  for (base::PartitionId p : options_.partitions) {
    ring::Placement& at = map_.partitions[p.value()];
    if (declared_dead_.contains(at.primary)) Promote(at, Random() < 0.5);
  }
  SeatLearners();
  for (ring::Member& member : map_.members) {
    member.state = declared_dead_.contains(member.incarnation) ? ring::MemberState::kDown
                                                               : ring::MemberState::kUp;
  }
  ++map_.version;
  for (int slot = 0; slot < nodes(); ++slot) SendMap(slot);
}

void World::SendMap(int slot) {
  Slot& s = *slots_[slot];
  if (now() < s.no_controller_until) return;
  s.map_delivered =
      std::max(s.map_delivered, now() + Between(absl::Milliseconds(1), absl::Milliseconds(30)));
  const Node* node = s.node.get();
  auto map = std::make_shared<const ring::PlacementMap>(map_);
  After(s.map_delivered - now(), [this, slot, node, map] {
    if (now() < slots_[slot]->no_controller_until) return;
    RunOn(slot, node, [this, slot, map] { slots_[slot]->node->view->SetMap(map); });
  });
}

}  // namespace atoll::replication::sim
