// The call that fetches a value too large for the streams, in chunks.
//
// Thread safety: `done` is called once, on any thread, with no lock held, when the call was
// launched.
#pragma once

#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "atoll/v1/cache.pb.h"
#include "client/include/atoll/value.h"
#include "client/nodes.h"

namespace atoll::client {

class ActiveCall;
class Transfers;

using GotValue = absl::AnyInvocable<void(absl::StatusOr<GetResult>)>;

// By GetStream: the value is copied once, from each chunk to where it stays.
std::shared_ptr<ActiveCall> MakeStreamedGet(Transfers* transfers, LinkPtr link,
                                            absl::Duration deadline, const v1::GetRequest& get,
                                            GotValue done);

}  // namespace atoll::client
