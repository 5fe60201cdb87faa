// Who is told of maps and namespaces, and what each was told last. Internal to cluster/.
//
// Thread safety: Add and Remove by any thread (Remove by a listener itself too, from within a
// call); Tell by one thread.
#pragma once

#include <thread>
#include <vector>

#include "base/mutex.h"
#include "server/cluster/cluster_view.h"

namespace atoll::cluster {

class Listeners {
 public:
  void Add(ClusterListener* listener);
  // Waits for a call under way, so that the listener may end afterwards.
  void Remove(ClusterListener* listener);
  // Calls OnMap where `map` is newer than what the listener has (a new one has nothing), and
  // OnNamespaces if they changed. No lock is held meanwhile.
  void Tell(const MapPtr& map, bool namespaces_changed);

 private:
  struct Entry {
    ClusterListener* listener = nullptr;
    bool told = false;
    uint64_t version = 0;
  };

  base::Mutex mu_;
  base::CondVar idle_;
  std::vector<Entry> entries_ ABSL_GUARDED_BY(mu_);
  ClusterListener* calling_ ABSL_GUARDED_BY(mu_) = nullptr;
  std::thread::id caller_ ABSL_GUARDED_BY(mu_);
};

}  // namespace atoll::cluster
