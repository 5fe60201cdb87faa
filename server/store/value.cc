#include "server/store/value.h"

#include <algorithm>
#include <utility>

#include "server/store/bytes.h"

namespace atoll::store {

Value::Value(absl::Span<const std::string_view> pieces, std::shared_ptr<const void> owner)
    : pieces_(pieces.begin(), pieces.end()), owner_(std::move(owner)) {
  for (const std::string_view piece : pieces_) size_ += piece.size();
}

Value Value::Own(std::string bytes) {
  auto owned = std::make_shared<const std::string>(std::move(bytes));
  const std::string_view piece = *owned;
  return Value(absl::MakeConstSpan(&piece, 1), std::move(owned));
}

std::string Value::Flatten() const {
  std::string flat;
  flat.reserve(size_);
  for (const std::string_view piece : pieces_) flat.append(piece);
  return flat;
}

char* ReadBuffer::Allocate(size_t size) {
  if (blocks_.empty() || blocks_.back().size - used_ < size) {
    const size_t block = std::max(size, kBlockBytes);
    // Not make_unique: that would write zeros first.
    blocks_.push_back({std::unique_ptr<char[]>(new char[block]), block});
    used_ = 0;
  }
  char* const place = blocks_.back().data.get() + used_;
  used_ += size;
  return place;
}

std::string_view ReadBuffer::Copy(std::string_view bytes) {
  if (bytes.empty()) return {};
  char* const place = Allocate(bytes.size());
  CopyBytes(place, bytes.data(), bytes.size());
  return {place, bytes.size()};
}

void ReadBuffer::Reset() {
  if (blocks_.size() > 1) blocks_.resize(1);
  used_ = 0;
}

}  // namespace atoll::store
