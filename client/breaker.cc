#include "client/breaker.h"

#include <algorithm>

#include "base/strings.h"

namespace atoll::client {

bool Breakers::Allows(std::string_view node, absl::Duration now) {
  const auto found = nodes_.find(base::AsAbsl(node));
  if (found == nodes_.end() || !found->second.out) return true;
  if (now < found->second.until) return false;
  found->second.until = now + kFirstOut;
  return true;
}

bool Breakers::IsOut(std::string_view node, absl::Duration now) const {
  const auto found = nodes_.find(base::AsAbsl(node));
  return found != nodes_.end() && found->second.out && now < found->second.until;
}

void Breakers::Record(std::string_view name, bool ok, absl::Duration now, size_t nodes) {
  auto found = nodes_.find(base::AsAbsl(name));
  if (found == nodes_.end()) {
    if (ok) return;  // Nodes without errors cost nothing.
    found = nodes_.emplace(std::string(name), Node()).first;
  }
  Node& node = found->second;
  if (ok) {
    // Also of one that is out: its trial, or what was sent before.
    if (node.out) {
      nodes_.erase(found);
      return;
    }
    node.errors_in_a_row = 0;
  } else {
    ++node.errors_in_a_row;
  }
  node.window = (node.window << 1 | (ok ? 0u : 1u)) & ((1u << kWindow) - 1);
  node.answers = std::min(node.answers + 1, kWindow);
  if (ok) {
    if (node.window == 0 && node.answers == kWindow) nodes_.erase(found);
    return;
  }
  if (node.out) {
    // Late errors of what was sent before do not count against it; its trial's does.
    if (node.until > now && node.until - now > kFirstOut) return;
    node.period = std::min(node.period * 2, kLongestOut);
    node.until = now + node.period;
    return;
  }
  const bool half = node.answers == kWindow && __builtin_popcount(node.window) * 2 >= kWindow;
  if (node.errors_in_a_row < kErrorsInARow && !half) return;
  if ((CountOut() + 1) * 2 > nodes) return;
  node.out = true;
  node.period = kFirstOut;
  node.until = now + node.period;
}

size_t Breakers::CountOut() const {
  return static_cast<size_t>(std::count_if(nodes_.begin(), nodes_.end(),
                                           [](const auto& entry) { return entry.second.out; }));
}

bool Breakers::Knows(std::string_view node) const { return nodes_.contains(base::AsAbsl(node)); }

void Breakers::Forget(std::string_view node) { nodes_.erase(base::AsAbsl(node)); }

}  // namespace atoll::client
