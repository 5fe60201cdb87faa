// The keys of a cluster in the coordinator.
//
// Thread safety: plain values.
#pragma once

#include <string>
#include <string_view>

namespace atoll::cluster {

struct Keys {
  explicit Keys(std::string_view cluster) : root("/atoll/" + std::string(cluster) + "/") {}

  std::string config() const { return root + "config"; }
  std::string controller() const { return root + "controller"; }
  std::string map() const { return root + "map"; }
  std::string nodes() const { return root + "nodes/"; }
  std::string node(std::string_view name) const { return nodes() + std::string(name); }
  std::string namespaces() const { return root + "namespaces/"; }
  std::string ns(std::string_view name) const { return namespaces() + std::string(name); }
  std::string next_namespace_id() const { return root + "next_namespace_id"; }

  // Under which all of them are. Cluster names have no slash in them.
  std::string root;
};

}  // namespace atoll::cluster
