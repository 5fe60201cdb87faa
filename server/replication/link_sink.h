// Where the messages of PeerService.Link go: service/ receives them, replication implements this.
//
// Thread safety: OnMessage is called by the I/O thread of the link, in the order of the link; links
// of several nodes run at once. Neither call may block.
#pragma once

#include "absl/status/status.h"
#include "atoll/internal/v1/peer.pb.h"
#include "base/ids.h"

namespace atoll::replication {

class LinkSink {
 public:
  virtual ~LinkSink() = default;
  // FAILED_PRECONDITION if the caller means another cluster or another incarnation of this node:
  // the link is then ended with this status.
  virtual absl::Status OnHello(const internal::v1::LinkHello& hello) = 0;
  // Called for each message of a link whose hello was accepted.
  virtual void OnMessage(base::Incarnation from, const internal::v1::PeerMessage& message) = 0;
};

}  // namespace atoll::replication
