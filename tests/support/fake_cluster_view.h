// A ClusterView whose map a test sets by hand, and small maps to set.
//
// FakeClusterView stands for one node's view. FakeCluster keeps one view for each node on a common
// map and plays the controller: ISR changes that pass the check of (epoch, isr_version) go into the
// next map.
//
// Thread safety: every method may be called by any thread. Listeners are called on a thread that
// sets a map, one at a time, with no lock held; a map set meanwhile (by the listener itself, say)
// is delivered next, by the thread that is at it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "server/cluster/cluster_view.h"

namespace atoll::test {

struct SimpleMap {
  uint64_t version = 1;
  int nodes = 3;
  uint32_t replication_factor = 2;
  uint32_t epoch = 1;
  // Zone of each node, else empty.
  std::vector<std::string> zones;
};

// Incarnation of the i-th node (from 0) of a simple map: 101, 102, ...
base::Incarnation NodeId(int index);
// n1, n2, ... with listeners `client` and `peer`; partition p has primary p % nodes and as ISR that
// node and those after it. No ring: only a shape that is easy to foresee.
ring::PlacementMap MakeSimpleMap(const SimpleMap& shape = {});
// Carries a primary's request out on `map`, as the controller would (raises isr_version, not the
// map's version). False, and nothing changed, if the request is stale or would empty the ISR.
bool ApplyIsrChange(const internal::v1::IsrChange& change, ring::PlacementMap* map);

class FakeClusterView final : public cluster::ClusterView {
 public:
  explicit FakeClusterView(base::Incarnation self = NodeId(0), std::string name = "n1");

  // Replaces the map and tells the listeners (before it returns, unless a delivery is under way).
  void SetMap(ring::PlacementMap map);
  void SetMap(cluster::MapPtr map);
  // Makes or replaces a namespace, and tells the listeners.
  void SetNamespace(std::string_view name, uint16_t id, v1::NamespaceSettings settings = {});
  void DropNamespace(std::string_view name);
  void set_coordinator_up(bool up);
  void set_controller(bool controller);

  // What AskController does from now on, instead of keeping the request for Answer().
  using AskHandler = std::function<void(const internal::v1::AskControllerRequest&, AskDone)>;
  void set_ask_handler(AskHandler handler);
  // Every request so far, oldest first.
  std::vector<internal::v1::AskControllerRequest> asked() const;
  // Requests that wait for an answer.
  size_t waiting() const;
  // Answers the oldest waiting request. False if there is none.
  bool Answer(absl::StatusOr<internal::v1::AskControllerResponse> answer);

  base::Incarnation self() const override { return self_; }
  const std::string& node_name() const override { return name_; }
  cluster::MapPtr map() const override;
  void AddListener(cluster::ClusterListener* listener) override;
  void RemoveListener(cluster::ClusterListener* listener) override;
  cluster::NamespacePtr FindNamespace(std::string_view name) const override;
  cluster::NamespacePtr FindNamespace(base::NamespaceId id) const override;
  std::vector<cluster::NamespacePtr> namespaces() const override;
  void AskController(internal::v1::AskControllerRequest request, AskDone done) override;
  bool coordinator_up() const override;
  bool is_controller() const override;
  base::Incarnation controller() const override;

 private:
  // What is to be told, in order; nullptr: namespaces changed. `only`: nullptr for everyone.
  struct News {
    cluster::MapPtr map;
    cluster::ClusterListener* only = nullptr;
  };
  void Tell(News news);

  const base::Incarnation self_;
  const std::string name_;
  mutable base::Mutex mu_;
  std::deque<News> news_ ABSL_GUARDED_BY(mu_);
  bool telling_ ABSL_GUARDED_BY(mu_) = false;
  std::thread::id teller_ ABSL_GUARDED_BY(mu_);
  base::CondVar told_;
  cluster::MapPtr map_ ABSL_GUARDED_BY(mu_);
  std::vector<cluster::NamespacePtr> namespaces_ ABSL_GUARDED_BY(mu_);
  std::vector<cluster::ClusterListener*> listeners_ ABSL_GUARDED_BY(mu_);
  std::vector<internal::v1::AskControllerRequest> asked_ ABSL_GUARDED_BY(mu_);
  std::deque<AskDone> waiting_ ABSL_GUARDED_BY(mu_);
  AskHandler handler_ ABSL_GUARDED_BY(mu_);
  bool coordinator_up_ ABSL_GUARDED_BY(mu_) = true;
  bool controller_ ABSL_GUARDED_BY(mu_) = false;
};

class FakeCluster {
 public:
  explicit FakeCluster(const SimpleMap& shape = {});

  int size() const { return static_cast<int>(views_.size()); }
  FakeClusterView& view(int index) { return *views_[index]; }
  cluster::MapPtr map() const;
  // Edits a copy of the map, raises its version and gives it to every view but those cut off.
  void Change(const std::function<void(ring::PlacementMap&)>& edit);
  // A view that is cut off gets no maps, and its requests wait, until it is joined again.
  void Cut(int index, bool cut);
  // With `manual`, requests are kept until Step(), which carries out all and answers them.
  void set_manual(bool manual);
  // Returns how many requests it carried out.
  int Step();

 private:
  struct Request {
    int from = 0;
    internal::v1::AskControllerRequest request;
    cluster::ClusterView::AskDone done;
  };
  void OnAsk(int from, const internal::v1::AskControllerRequest& request,
             cluster::ClusterView::AskDone done);
  void Publish(const cluster::MapPtr& map);

  std::vector<std::unique_ptr<FakeClusterView>> views_;
  mutable base::Mutex mu_;
  cluster::MapPtr map_ ABSL_GUARDED_BY(mu_);
  std::vector<bool> cut_ ABSL_GUARDED_BY(mu_);
  std::vector<Request> requests_ ABSL_GUARDED_BY(mu_);
  bool manual_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace atoll::test
