// A value as it was received: put together only for who wants it in one piece, once.
//
// It holds gRPC's buffers: of the first and the last of them, of up to 64 KiB each, a part may
// belong to another message.
//
// Thread safety: all methods.
#pragma once

#include <cstring>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/types/span.h"
#include "base/mutex.h"
#include "client/include/atoll/value.h"

namespace atoll::client {

class ReceivedPieces final : public ValuePieces {
 public:
  // `size`: of all pieces together; they stay as they are while `keep` lives.
  ReceivedPieces(std::shared_ptr<const void> keep, absl::Span<const std::string_view> pieces,
                 size_t size)
      : size_(size), keep_(std::move(keep)), pieces_(pieces.begin(), pieces.end()) {}

  std::string_view Join() override ABSL_LOCKS_EXCLUDED(mu_) {
    base::MutexLock lock(mu_);
    if (joined_ == nullptr) {
      joined_ = std::make_unique_for_overwrite<char[]>(size_);
      char* out = joined_.get();
      for (const std::string_view piece : pieces_) {
        std::memcpy(out, piece.data(), piece.size());
        out += piece.size();
      }
      if (!given_) {
        pieces_.clear();
        keep_.reset();
      }
    }
    return {joined_.get(), size_};
  }

  std::vector<std::string_view> Get() override ABSL_LOCKS_EXCLUDED(mu_) {
    base::MutexLock lock(mu_);
    if (pieces_.empty()) return {{joined_.get(), size_}};
    given_ = true;
    return pieces_;
  }

 private:
  const size_t size_;
  base::Mutex mu_;
  std::shared_ptr<const void> keep_ ABSL_GUARDED_BY(mu_);
  // Not empty until they were joined.
  std::vector<std::string_view> pieces_ ABSL_GUARDED_BY(mu_);
  // Somebody may look at them for as long as this lives.
  bool given_ ABSL_GUARDED_BY(mu_) = false;
  std::unique_ptr<char[]> joined_ ABSL_GUARDED_BY(mu_);
};

}  // namespace atoll::client
