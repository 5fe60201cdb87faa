#include "server/store/ghost.h"

#include <sys/mman.h>

#include <algorithm>

#include "server/store/arena.h"

namespace atoll::store {

GhostTable::GhostTable(uint64_t entries) {
  const uint64_t lines = (entries + kLine - 1) / kLine;
  if (lines == 0) return;
  // Of zeros that nobody writes: to clear a large table would take a millisecond.
  void* const at = mmap(nullptr, lines * sizeof(Line), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return;
  lines_ = static_cast<Line*>(at);
  count_ = lines;
}

GhostTable::~GhostTable() {
  if (lines_ != nullptr) munmap(lines_, count_ * sizeof(Line));
}

GhostTable& GhostTable::operator=(GhostTable&& other) noexcept {
  std::swap(lines_, other.lines_);
  std::swap(count_, other.count_);
  std::swap(populated_, other.populated_);
  return *this;
}

bool GhostTable::PopulateMore(uint64_t bytes) {
  const uint64_t all = count_ * sizeof(Line);
  bytes = std::min(bytes, all - populated_);
  if (bytes > 0) Populate(reinterpret_cast<char*>(lines_) + populated_, bytes);
  populated_ += bytes;
  return populated_ < all;
}

void GhostTable::Add(uint64_t hash) {
  if (count_ == 0) return;
  auto& prints = LineOf(hash).prints;
  std::copy_backward(prints.begin(), prints.end() - 1, prints.end());
  prints[0] = PrintOf(hash);
}

bool GhostTable::Take(uint64_t hash) {
  if (count_ == 0) return false;
  auto& prints = LineOf(hash).prints;
  const auto at = std::find(prints.begin(), prints.end(), PrintOf(hash));
  if (at == prints.end()) return false;
  std::copy(at + 1, prints.end(), at);
  prints.back() = 0;
  return true;
}

GhostTable Ghost::Resize(GhostTable table) {
  added_ = 0;
  GhostTable oldest = std::move(before_);
  before_ = std::move(now_);
  now_ = std::move(table);
  return oldest;
}

GhostTable Ghost::TakeSpent() {
  if (!HasSpent()) return {};
  return std::move(before_);
}

void Ghost::Add(uint64_t hash) {
  now_.Add(hash);
  ++added_;
}

bool Ghost::Take(uint64_t hash) { return now_.Take(hash) || before_.Take(hash); }

}  // namespace atoll::store
