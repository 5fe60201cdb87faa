#include "server/replication/errors.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/strings.h"

namespace atoll::replication {
namespace reason = base::reason;
using base::AsAbsl;
using base::WithReason;

absl::Status WrongOwner(base::PartitionId partition) {
  return WithReason(absl::FailedPreconditionError(absl::StrCat("partition ", partition.value(),
                                                               ": this node is not its primary")),
                    reason::kWrongOwner);
}

absl::Status NoPrimary(base::PartitionId partition, std::string_view why) {
  return WithReason(
      absl::UnavailableError(absl::StrCat("partition ", partition.value(), ": ", AsAbsl(why))),
      reason::kNoPrimary);
}

absl::Status TooFewCopies(base::PartitionId partition, size_t isr, uint32_t min_isr) {
  return WithReason(absl::UnavailableError(absl::StrCat("partition ", partition.value(), ": ", isr,
                                                        " in-sync copies, min_isr ", min_isr)),
                    reason::kTooFewCopies);
}

absl::Status Draining() {
  return WithReason(absl::UnavailableError("the node is stopping"), reason::kDraining);
}

absl::Status TooMuchPending(uint64_t limit_bytes) {
  return base::Overloaded(
      absl::StrCat("writes that wait for replicas: limit ", limit_bytes, " bytes"));
}

absl::Status NoRoom() {
  return base::Overloaded("no room could be made for the value; the key has no entry now");
}

absl::Status TooManyPinned() {
  return base::Overloaded("readers hold too much memory of large values; try again");
}

absl::Status DeadlinePast() { return absl::DeadlineExceededError("deadline exceeded"); }

absl::Status Ambiguous(std::string_view why) {
  return WithReason(
      absl::AbortedError(absl::StrCat("the write may have been applied: ", AsAbsl(why))),
      reason::kAmbiguous);
}

absl::Status NotANumber() {
  return WithReason(absl::FailedPreconditionError("value: not a signed 64-bit decimal number"),
                    reason::kNotANumber);
}

absl::Status CounterOverflow(int64_t value, int64_t delta) {
  return WithReason(absl::OutOfRangeError(absl::StrCat("counter: ", value, " plus ", delta,
                                                       " is beyond a signed 64-bit number")),
                    reason::kOverflow);
}

}  // namespace atoll::replication
