// Tells the store what each namespace is called, and which share of memory it may take, and may not
// lose, as the namespaces' settings change.
//
// Thread safety: called by the view's thread. Lifetime: a listener of the view, which both borrow
// outlive.
#pragma once

#include <vector>

#include "server/cluster/cluster_view.h"
#include "server/store/store.h"

namespace atoll::server {

class NamespaceShares final : public cluster::ClusterListener {
 public:
  NamespaceShares(cluster::ClusterView* view, store::Store* store) : view_(view), store_(store) {}

  void OnMap(const cluster::MapPtr& /*map*/) override {}
  void OnNamespaces() override {
    std::vector<store::NamespaceShare> shares;
    for (const cluster::NamespacePtr& ns : view_->namespaces()) {
      store_->NameNamespace(ns->id, ns->name);
      const uint32_t least = ns->settings.min_memory_percent();
      const uint32_t most = ns->settings.max_memory_percent();
      if (least == 0 && most == 0) continue;
      shares.push_back({.ns = ns->id, .min_percent = least, .max_percent = most});
    }
    store_->SetShares(shares);
  }

 private:
  cluster::ClusterView* const view_;
  store::Store* const store_;
};

}  // namespace atoll::server
