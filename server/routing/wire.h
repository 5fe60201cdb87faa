// Operations and results as messages of atoll.v1: what a forwarding node sends, and what every
// answer to a caller is made of.
//
// Thread safety: pure functions.
#pragma once

#include "absl/time/time.h"
#include "atoll/v1/cache.pb.h"
#include "base/clock.h"
#include "server/replication/operation.h"

namespace atoll::routing {

// The operation without id and time-out. Copies key and value.
v1::Operation EncodeOperation(const replication::Operation& operation);

// What the owner answered. The value is owned by the result. `now` is the cluster clock's.
replication::OperationResult DecodeResult(replication::OpKind kind, absl::Time now,
                                          v1::OperationResult* message);

// A GetResponse, with the value if there is one. `copies` is not part of it.
void FillGet(const replication::OperationResult& result, absl::Time now, v1::GetResponse* out);
// The same of an entry that a walk found.
void FillScanned(const store::ScannedEntry& entry, bool with_value, absl::Time now,
                 v1::GetResponse* out);
// Everything but the value, back from a message.
replication::OperationResult ReadGet(const v1::GetResponse& message, absl::Time now);

}  // namespace atoll::routing
