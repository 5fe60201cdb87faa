#include "server/cluster/listeners.h"

#include <algorithm>

namespace atoll::cluster {

void Listeners::Add(ClusterListener* listener) {
  base::MutexLock lock(mu_);
  entries_.push_back({.listener = listener});
}

void Listeners::Remove(ClusterListener* listener) {
  base::MutexLock lock(mu_);
  std::erase_if(entries_, [&](const Entry& entry) { return entry.listener == listener; });
  while (calling_ == listener && caller_ != std::this_thread::get_id()) idle_.Wait(mu_);
}

void Listeners::Tell(const MapPtr& map, bool namespaces_changed) {
  std::vector<ClusterListener*> listeners;
  {
    base::MutexLock lock(mu_);
    caller_ = std::this_thread::get_id();
    for (const Entry& entry : entries_) listeners.push_back(entry.listener);
  }
  for (ClusterListener* listener : listeners) {
    bool tell_map = false;
    {
      base::MutexLock lock(mu_);
      const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                      [&](const Entry& e) { return e.listener == listener; });
      if (entry == entries_.end()) continue;  // removed meanwhile
      tell_map = !entry->told || entry->version < map->version;
      if (!tell_map && !namespaces_changed) continue;
      entry->told = true;
      entry->version = map->version;
      calling_ = listener;
    }
    if (namespaces_changed) listener->OnNamespaces();
    if (tell_map) listener->OnMap(map);
    base::MutexLock lock(mu_);
    calling_ = nullptr;
    idle_.SignalAll();
  }
}

}  // namespace atoll::cluster
