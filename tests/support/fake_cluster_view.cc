#include "tests/support/fake_cluster_view.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace atoll::test {

base::Incarnation NodeId(int index) { return base::Incarnation(101 + index); }

ring::PlacementMap MakeSimpleMap(const SimpleMap& shape) {
  ring::PlacementMap map;
  map.version = shape.version;
  map.cluster = "atoll";
  map.cluster_id = "test-cluster";
  map.replication_factor = shape.replication_factor;
  for (int i = 0; i < shape.nodes; ++i) {
    ring::Member member;
    member.name = absl::StrCat("n", i + 1);
    member.incarnation = NodeId(i);
    if (i < static_cast<int>(shape.zones.size())) member.zone = shape.zones[i];
    member.listeners = {{"client", absl::StrCat("127.0.0.1:", 17850 + 10 * i)},
                        {"peer", absl::StrCat("127.0.0.1:", 17851 + 10 * i)}};
    member.program_version = "test";
    map.members.push_back(std::move(member));
  }
  const int copies = std::min<int>(static_cast<int>(shape.replication_factor), shape.nodes);
  map.partitions.resize(base::kPartitionCount);
  for (uint32_t p = 0; p < base::kPartitionCount; ++p) {
    ring::Placement& at = map.partitions[p];
    at.epoch = base::Epoch(shape.epoch);
    at.isr_version = 1;
    at.history = p + 1;
    for (int c = 0; c < copies; ++c)
      at.isr.push_back(NodeId(static_cast<int>(p + c) % shape.nodes));
    if (copies > 0) at.primary = at.isr.front();
  }
  return map;
}

bool ApplyIsrChange(const internal::v1::IsrChange& change, ring::PlacementMap* map) {
  if (change.partition() >= map->partitions.size()) return false;
  ring::Placement& at = map->partitions[change.partition()];
  if (at.epoch.value() != change.epoch() || at.isr_version != change.isr_version()) return false;
  const base::Incarnation add(change.add());
  const base::Incarnation remove(change.remove());
  const auto in_isr = [&](base::Incarnation node) {
    return std::find(at.isr.begin(), at.isr.end(), node) != at.isr.end();
  };
  if (remove.value() != 0) {
    if (!in_isr(remove) || remove == at.primary || at.isr.size() < 2) return false;
    at.isr.erase(std::find(at.isr.begin(), at.isr.end(), remove));
  }
  if (add.value() != 0 && !in_isr(add)) {
    at.isr.push_back(add);
    at.learners.erase(std::remove(at.learners.begin(), at.learners.end(), add), at.learners.end());
  }
  ++at.isr_version;
  return true;
}

FakeClusterView::FakeClusterView(base::Incarnation self, std::string name)
    : self_(self), name_(std::move(name)), map_(std::make_shared<ring::PlacementMap>()) {
  SetNamespace("default", 1);
}

void FakeClusterView::SetMap(ring::PlacementMap map) {
  SetMap(std::make_shared<const ring::PlacementMap>(std::move(map)));
}

void FakeClusterView::SetMap(cluster::MapPtr map) {
  {
    base::MutexLock lock(mu_);
    map_ = map;
  }
  Tell({.map = std::move(map)});
}

void FakeClusterView::Tell(News news) {
  base::MutexLock lock(mu_);
  news_.push_back(std::move(news));
  if (telling_) return;
  telling_ = true;
  teller_ = std::this_thread::get_id();
  while (!news_.empty()) {
    const News next = std::move(news_.front());
    news_.pop_front();
    const std::vector<cluster::ClusterListener*> listeners = listeners_;
    mu_.Unlock();
    for (cluster::ClusterListener* listener : listeners) {
      if (next.only != nullptr && next.only != listener) continue;
      if (next.map != nullptr) {
        listener->OnMap(next.map);
      } else {
        listener->OnNamespaces();
      }
    }
    mu_.Lock();
  }
  telling_ = false;
  told_.SignalAll();
}

void FakeClusterView::SetNamespace(std::string_view name, uint16_t id,
                                   v1::NamespaceSettings settings) {
  auto made = std::make_shared<cluster::NamespaceInfo>();
  made->name = std::string(name);
  made->id = base::NamespaceId(id);
  made->settings = std::move(settings);
  {
    base::MutexLock lock(mu_);
    std::erase_if(namespaces_, [&](const auto& ns) { return ns->name == name; });
    namespaces_.push_back(std::move(made));
  }
  Tell({});
}

void FakeClusterView::DropNamespace(std::string_view name) {
  {
    base::MutexLock lock(mu_);
    std::erase_if(namespaces_, [&](const auto& ns) { return ns->name == name; });
  }
  Tell({});
}

void FakeClusterView::set_coordinator_up(bool up) {
  base::MutexLock lock(mu_);
  coordinator_up_ = up;
}

void FakeClusterView::set_controller(bool controller) {
  base::MutexLock lock(mu_);
  controller_ = controller;
}

void FakeClusterView::set_ask_handler(AskHandler handler) {
  base::MutexLock lock(mu_);
  handler_ = std::move(handler);
}

std::vector<internal::v1::AskControllerRequest> FakeClusterView::asked() const {
  base::MutexLock lock(mu_);
  return asked_;
}

size_t FakeClusterView::waiting() const {
  base::MutexLock lock(mu_);
  return waiting_.size();
}

bool FakeClusterView::Answer(absl::StatusOr<internal::v1::AskControllerResponse> answer) {
  AskDone done;
  {
    base::MutexLock lock(mu_);
    if (waiting_.empty()) return false;
    done = std::move(waiting_.front());
    waiting_.pop_front();
  }
  done(std::move(answer));
  return true;
}

cluster::MapPtr FakeClusterView::map() const {
  base::MutexLock lock(mu_);
  return map_;
}

void FakeClusterView::AddListener(cluster::ClusterListener* listener) {
  cluster::MapPtr current;
  {
    base::MutexLock lock(mu_);
    listeners_.push_back(listener);
    current = map_;
  }
  Tell({.map = std::move(current), .only = listener});
}

void FakeClusterView::RemoveListener(cluster::ClusterListener* listener) {
  base::MutexLock lock(mu_);
  std::erase(listeners_, listener);
  // A listener may remove itself from within a call; anybody else waits for calls under way.
  while (telling_ && teller_ != std::this_thread::get_id()) told_.Wait(mu_);
}

cluster::NamespacePtr FakeClusterView::FindNamespace(std::string_view name) const {
  base::MutexLock lock(mu_);
  for (const auto& ns : namespaces_) {
    if (ns->name == name) return ns;
  }
  return nullptr;
}

cluster::NamespacePtr FakeClusterView::FindNamespace(base::NamespaceId id) const {
  base::MutexLock lock(mu_);
  for (const auto& ns : namespaces_) {
    if (ns->id == id) return ns;
  }
  return nullptr;
}

std::vector<cluster::NamespacePtr> FakeClusterView::namespaces() const {
  base::MutexLock lock(mu_);
  return namespaces_;
}

void FakeClusterView::AskController(internal::v1::AskControllerRequest request, AskDone done) {
  AskHandler handler;
  {
    base::MutexLock lock(mu_);
    asked_.push_back(request);
    if (!handler_) {
      waiting_.push_back(std::move(done));
      return;
    }
    handler = handler_;
  }
  handler(request, std::move(done));
}

bool FakeClusterView::coordinator_up() const {
  base::MutexLock lock(mu_);
  return coordinator_up_;
}

bool FakeClusterView::is_controller() const {
  base::MutexLock lock(mu_);
  return controller_;
}

base::Incarnation FakeClusterView::controller() const {
  return is_controller() ? self() : base::Incarnation();
}

FakeCluster::FakeCluster(const SimpleMap& shape)
    : map_(std::make_shared<const ring::PlacementMap>(MakeSimpleMap(shape))), cut_(shape.nodes) {
  const cluster::MapPtr first = map();
  for (int i = 0; i < shape.nodes; ++i) {
    views_.push_back(std::make_unique<FakeClusterView>(NodeId(i), absl::StrCat("n", i + 1)));
    views_.back()->SetMap(first);
    views_.back()->set_controller(i == 0);
    views_.back()->set_ask_handler(
        [this, i](const internal::v1::AskControllerRequest& request,
                  cluster::ClusterView::AskDone done) { OnAsk(i, request, std::move(done)); });
  }
}

cluster::MapPtr FakeCluster::map() const {
  base::MutexLock lock(mu_);
  return map_;
}

void FakeCluster::Change(const std::function<void(ring::PlacementMap&)>& edit) {
  cluster::MapPtr next;
  {
    base::MutexLock lock(mu_);
    ring::PlacementMap copy = *map_;
    edit(copy);
    ++copy.version;
    map_ = std::make_shared<const ring::PlacementMap>(std::move(copy));
    next = map_;
  }
  Publish(next);
}

void FakeCluster::Publish(const cluster::MapPtr& map) {
  for (int i = 0; i < size(); ++i) {
    {
      base::MutexLock lock(mu_);
      if (cut_[i]) continue;
    }
    if (views_[i]->map()->version < map->version) views_[i]->SetMap(map);
  }
}

void FakeCluster::Cut(int index, bool cut) {
  cluster::MapPtr newest;
  {
    base::MutexLock lock(mu_);
    cut_[index] = cut;
    newest = map_;
  }
  if (!cut) {
    Publish(newest);
    Step();
  }
}

void FakeCluster::set_manual(bool manual) {
  base::MutexLock lock(mu_);
  manual_ = manual;
}

void FakeCluster::OnAsk(int from, const internal::v1::AskControllerRequest& request,
                        cluster::ClusterView::AskDone done) {
  {
    base::MutexLock lock(mu_);
    requests_.push_back({from, request, std::move(done)});
    if (manual_ || cut_[from]) return;
  }
  Step();
}

int FakeCluster::Step() {
  std::vector<Request> taken;
  cluster::MapPtr next;
  {
    base::MutexLock lock(mu_);
    std::vector<Request> kept;
    for (Request& request : requests_) {
      (cut_[request.from] ? kept : taken).push_back(std::move(request));
    }
    requests_ = std::move(kept);
    if (taken.empty()) return 0;
    ring::PlacementMap copy = *map_;
    bool changed = false;
    for (const Request& request : taken) {
      for (const auto& change : request.request.isr_changes()) {
        changed |= ApplyIsrChange(change, &copy);
      }
    }
    if (changed) {
      ++copy.version;
      map_ = std::make_shared<const ring::PlacementMap>(std::move(copy));
    }
    next = map_;
  }
  Publish(next);
  for (Request& request : taken) {
    internal::v1::AskControllerResponse response;
    response.set_map_version(next->version);
    request.done(std::move(response));
  }
  return static_cast<int>(taken.size());
}

}  // namespace atoll::test
