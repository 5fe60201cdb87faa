// How a node sends what it does not own to the node that does: over the owner's peer listener,
// where it is not forwarded again.
//
// Implemented by PeerForwarder; tests have a fake. Thread safety: every method may be called by any
// thread. A callback runs exactly once, on any thread, possibly before the call returns, with no
// lock held. Views of operations live until then.
#pragma once

#include <cstdint>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "atoll/v1/cache.pb.h"
#include "ring/placement_map.h"
#include "rpc/batch_stream.h"
#include "server/replication/operation.h"

namespace atoll::routing {

class Forwarder {
 public:
  virtual ~Forwarder() = default;

  // An operation on the owner's Exchange stream. `departs` (may be empty) is called just before it
  // is written.
  virtual void Forward(const ring::Member& owner, rpc::OperationBytes operation,
                       absl::Duration deadline, rpc::BatchStream::Done done,
                       rpc::BatchStream::Departs departs) = 0;

  struct StreamReply {
    replication::OperationResult result;
    // Whether a failed operation may have been carried out.
    rpc::Fate fate = rpc::Fate::kNotSent;
  };
  using StreamDone = absl::AnyInvocable<void(StreamReply)>;
  // kGet by GetStream: the value arrives by reference to what was received. RESOURCE_EXHAUSTED if
  // there is no memory for it.
  virtual void Fetch(const ring::Member& owner, const replication::Operation& get,
                     StreamDone done) = 0;
  // kSet by SetStream.
  virtual void Store(const ring::Member& owner, const replication::Operation& set,
                     StreamDone done) = 0;

  // Flushes the namespace in every partition that `node` is primary of; how many those were.
  virtual void Flush(const ring::Member& node, const cluster::NamespacePtr& ns,
                     absl::Duration deadline,
                     absl::AnyInvocable<void(absl::StatusOr<uint32_t>)> done) = 0;
};

}  // namespace atoll::routing
