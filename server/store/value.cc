#include "server/store/value.h"

#include <algorithm>
#include <utility>

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

void ReadBuffer::AddBlock(size_t at_least) {
  const size_t size = std::max(at_least, kBlockBytes);
  // Not make_unique: that would write zeros first.
  blocks_.push_back({std::unique_ptr<char[]>(new char[size]), size});
  next_ = blocks_.back().data.get();
  left_ = size;
}

void ReadBuffer::Reset() {
  if (blocks_.empty()) return;
  blocks_.resize(1);
  next_ = blocks_.front().data.get();
  left_ = blocks_.front().size;
}

}  // namespace atoll::store
