#include "server/service/validate.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace atoll::service {

absl::Status CheckKey(std::string_view key) {
  if (key.empty()) return base::InvalidArgument("key", "empty");
  if (key.size() > kMaxKeyBytes) {
    return base::InvalidArgument("key", absl::StrCat(key.size(), " bytes"), kMaxKeyBytes);
  }
  return absl::OkStatus();
}

absl::Status CheckValue(uint64_t size, uint64_t limit) {
  if (size <= limit) return absl::OkStatus();
  return base::InvalidArgument("value", absl::StrCat(size, " bytes"), limit);
}

absl::Status CheckDuration(std::string_view field, int64_t ms) {
  if (ms < 0) return base::InvalidArgument(field, absl::StrCat(ms), "0 or more");
  if (ms > kMaxTtlMs) return base::InvalidArgument(field, absl::StrCat(ms), kMaxTtlMs);
  return absl::OkStatus();
}

absl::Status CheckCount(std::string_view field, int count) {
  if (count == 0) return base::InvalidArgument(field, "none");
  if (count > kMaxMultiKeys)
    return base::InvalidArgument(field, absl::StrCat(count), kMaxMultiKeys);
  return absl::OkStatus();
}

}  // namespace atoll::service
