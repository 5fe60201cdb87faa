// Where the messages of PeerService.Link go: service/ receives them, replication implements this.
//
// Thread safety: called by the I/O thread of the link, in the order of the link; links of several
// nodes run at once. Neither call may block.
#pragma once

#include "absl/status/status.h"
#include "atoll/internal/v1/peer.pb.h"
#include "base/ids.h"
#include "rpc/wire/input.h"

namespace atoll::replication {

class LinkSink {
 public:
  virtual ~LinkSink() = default;
  // The first message's hello. Not OK (FAILED_PRECONDITION: another cluster, or meant for an
  // earlier process on this address): end the stream with it. OK: answer one LinkResponse, and keep
  // the stream open without any further answer.
  virtual absl::Status OnHello(const internal::v1::LinkHello& hello) = 0;
  // Each message of the stream, the first too, in the input's buffer. Not OK (INVALID_ARGUMENT: it
  // is no LinkRequest): end the stream with it.
  virtual absl::Status OnMessages(base::Incarnation from, wire::Input& input) = 0;
};

}  // namespace atoll::replication
