// The refusals of this folder, worded once.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "base/ids.h"

namespace atoll::replication {

// Not carried out: safe to retry elsewhere. The caller of the replicator adds the map entry.
absl::Status WrongOwner(base::PartitionId partition);
// Not carried out: safe to retry later. `why` completes "partition 7: ...".
absl::Status NoPrimary(base::PartitionId partition, std::string_view why);
absl::Status TooFewCopies(base::PartitionId partition, size_t isr, uint32_t min_isr);
absl::Status Draining();
absl::Status TooMuchPending(uint64_t limit_bytes);
absl::Status NoRoom();
absl::Status TooManyPinned();
absl::Status DeadlinePast();
// The write may be applied, or may not.
absl::Status Ambiguous(std::string_view why);
absl::Status NotANumber();
absl::Status CounterOverflow(int64_t value, int64_t delta);

}  // namespace atoll::replication
