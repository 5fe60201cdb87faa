// One operation on its way, through all its tries.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/ids.h"
#include "rpc/batch_stream.h"

namespace atoll::client {

// When a try may be followed by another.
enum class RetryRule : uint8_t {
  kAlways,         // It changes nothing, or it carries a request id.
  kOnlyUnapplied,  // A delayed first try must not undo a later write of someone else (R4).
};

struct Call {
  rpc::OperationBytes operation;
  base::PartitionId partition;
  RetryRule rule = RetryRule::kAlways;
  bool write = false;
  // BootTime.
  absl::Duration deadline;
  // Called once, on any thread. `result` is nullptr unless the status is OK; it lives during the
  // call.
  absl::AnyInvocable<void(absl::Status, v1::OperationResult* result)> done;
  // Called before each try is written; may be empty.
  absl::AnyInvocable<void()> departs;

  // Dispatcher's.
  int tries = 0;
  int redirects = 0;
  int waits = 0;                 // for a primary that serves
  bool may_be_applied = false;   // by an earlier try
  bool through_another = false;  // the next try goes through another node than the owner's
  std::string failed_at;         // address of the last try that failed
};
using CallPtr = std::shared_ptr<Call>;

}  // namespace atoll::client
