#include "rpc/grpc_process.h"

#include "absl/synchronization/mutex.h"

namespace atoll::rpc {

void PrepareGrpcProcess() { absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore); }

}  // namespace atoll::rpc
