#include "rpc/grpc_process.h"

#include <gtest/gtest.h>

#include "absl/synchronization/mutex.h"

namespace atoll::rpc {
namespace {

// The search would end the process here; whoever makes it pays for it at every lock.
TEST(GrpcProcess, AbseilSearchesForNoDeadlocks) {
  PrepareGrpcProcess();
  absl::Mutex a;
  absl::Mutex b;
  a.Lock();
  b.Lock();
  b.Unlock();
  a.Unlock();
  b.Lock();
  a.Lock();
  a.Unlock();
  b.Unlock();
  SUCCEED();
}

}  // namespace
}  // namespace atoll::rpc
