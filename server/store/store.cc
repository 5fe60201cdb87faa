#include "server/store/store.h"

#include "absl/strings/str_cat.h"
#include "server/store/engine.h"

namespace atoll::store {

absl::Status StoreOptions::Validate() const {
  if (memory_bytes < kMinMemoryBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("memory: ", memory_bytes, " bytes, minimum ", kMinMemoryBytes));
  }
  if (cores < 1) return absl::InvalidArgumentError(absl::StrCat("cores: ", cores, ", minimum 1"));
  if (clock == nullptr) return absl::InvalidArgumentError("clock: none");
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Store>> Store::Create(const StoreOptions& options) {
  return Engine::Create(options);
}

}  // namespace atoll::store
