// A message and the read of the next one, handed to gRPC together: what a read tells the other side
// (HTTP/2: there is room for more) leaves with the message, not in a packet of its own, which costs
// both sides as much as dozens of operations (docs/decisions.md).
//
// It is done when both are. Until then gRPC takes no other message of this call.
//
// Thread safety: none; one at a time.
// Ownership: it outlives the operation, and so does what is read into.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/impl/call.h>
#include <grpcpp/impl/call_op_set.h>
#include <grpcpp/support/byte_buffer.h>

#include "rpc/completion_queue.h"

namespace atoll::rpc {

class SendAndRead {
 public:
  // `context`: of a call that has been started, and has neither a read nor a write under way. The
  // tag's `ok` is that of a read.
  void Start(grpc::ClientContext& context, grpc::CompletionQueue* queue,
             const grpc::ByteBuffer& message, grpc::ByteBuffer* into, Tag& tag) {
    // Of bytes that are serialized already: nothing fails.
    static_cast<void>(both_.SendMessage(message).ok());
    both_.RecvMessage(into);
    grpc::internal::Call call(context.c_call(), nullptr, queue);
    both_.set_output_tag(tag.Arm());
    both_.FillOps(&call);
  }

 private:
  grpc::internal::CallOpSet<grpc::internal::CallOpSendMessage,
                            grpc::internal::CallOpRecvMessage<grpc::ByteBuffer>>
      both_;
};

}  // namespace atoll::rpc
