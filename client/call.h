// One operation on its way, through all its tries. Lives where its maker put it (on a blocking
// caller's stack, or on the heap) from Dispatcher::Start until Finish is called, which may destroy
// it.
#pragma once

#include <memory>
#include <string>

#include "base/ids.h"
#include "client/bytes.h"
#include "client/retry_policy.h"
#include "rpc/batch_operation.h"

namespace atoll::rpc {
class BatchStream;
class Waiter;
}  // namespace atoll::rpc

namespace atoll::client {

class Dispatcher;
class NodeLink;

class Call : public rpc::BatchOperation {
 public:
  base::PartitionId partition;
  Attempts attempts;
  // Its caller blocks, and waits for nothing else: it may be carried out on the caller's thread.
  bool alone = false;
  rpc::Waiter* waiter = nullptr;  // of such a caller
  // It may be answered by a large value, and goes by the stream for those.
  bool large = false;
  // What `head`, and perhaps `tail`, point into.
  Bytes bytes;

 protected:
  // Called once, on any thread. With a status that is not OK nothing else of the end means
  // anything.
  virtual void Finish(rpc::BatchEnd& end) = 0;

 private:
  friend class Dispatcher;
  void OnEnd(rpc::BatchEnd& end) final;

  // Dispatcher's.
  Dispatcher* dispatcher_ = nullptr;
  // Of the try under way (a stream must not end on its own poller), or of one to come.
  std::shared_ptr<NodeLink> link_;
  rpc::BatchStream* stream_ = nullptr;  // of the link; nullptr: a lone stream
  std::string failed_at_;               // address of the last try that failed
};

}  // namespace atoll::client
