// Calls that fetch a value too large for the batch stream.
//
// Thread safety: `done` is called once, on any thread, with no lock held, when the call was
// launched.
#pragma once

#include <cstdint>
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

// What a unary Get answers at the most; larger values say USE_STREAM there (cache.proto).
inline constexpr uint64_t kMostWholeBytes = uint64_t{1} << 20;

// `use_stream`: it has become too large meanwhile.
using GotValue = absl::AnyInvocable<void(absl::StatusOr<GetResult>, bool use_stream)>;

// By Get: the value in one message, and left in it.
std::shared_ptr<ActiveCall> MakeWholeGet(Transfers* transfers, LinkPtr link,
                                         absl::Duration deadline, const v1::GetRequest& get,
                                         GotValue done);
// By GetStream: the value is copied once, from each chunk to where it stays.
std::shared_ptr<ActiveCall> MakeStreamedGet(Transfers* transfers, LinkPtr link,
                                            absl::Duration deadline, const v1::GetRequest& get,
                                            GotValue done);

}  // namespace atoll::client
