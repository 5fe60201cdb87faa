// A result as the codec reads it, as the generated message: for those who work with messages.
//
// Thread safety: pure function.
#pragma once

#include "atoll/v1/cache.pb.h"
#include "rpc/wire/messages.h"

namespace atoll::rpc {

// `result` is of a kind that the codec knows, and no error. `message` is empty before. The id is
// left out.
void ToMessage(const wire::Result& result, v1::OperationResult* message);

}  // namespace atoll::rpc
