#include "server/store/ghost.h"

#include <algorithm>

namespace atoll::store {

void Ghost::Resize(uint64_t entries) {
  const size_t lines = static_cast<size_t>((entries + kLine - 1) / kLine);
  if (lines == lines_.size()) return;
  // A print alone does not tell the line it would have now: the memory starts anew. It happens when
  // the number of entries has doubled or halved.
  lines_.assign(lines, Line());
  lines_.shrink_to_fit();
}

void Ghost::Add(uint64_t hash) {
  if (lines_.empty()) return;
  auto& prints = LineOf(hash).prints;
  std::copy_backward(prints.begin(), prints.end() - 1, prints.end());
  prints[0] = PrintOf(hash);
}

bool Ghost::Take(uint64_t hash) {
  if (lines_.empty()) return false;
  auto& prints = LineOf(hash).prints;
  const auto at = std::find(prints.begin(), prints.end(), PrintOf(hash));
  if (at == prints.end()) return false;
  std::copy(at + 1, prints.end(), at);
  prints.back() = 0;
  return true;
}

}  // namespace atoll::store
