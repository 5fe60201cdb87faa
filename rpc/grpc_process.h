// What a process that uses gRPC is to have set, once for all of it.
#pragma once

namespace atoll::rpc {

// Turns off the search for deadlocks that Abseil's mutexes make where they were built without
// NDEBUG, as distributions build them: every lock that gRPC takes then goes through one graph of
// all locks, under one lock of its own. Builds of Abseil with NDEBUG have no such search.
//
// Thread safety: any time, any number of times.
void PrepareGrpcProcess();

}  // namespace atoll::rpc
