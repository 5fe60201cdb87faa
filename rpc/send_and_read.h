// A message and the read of the next one, handed to gRPC together: what a read tells the other side
// (HTTP/2: there is room for more) leaves with the message, not in a packet of its own, which costs
// both sides as much as dozens of operations (docs/decisions.md).
//
// It is done when both are. Until then gRPC takes no other message of this call, and hands out none
// that has come: what is sent had better be small. Where it cannot be sent, what has come is lost.
//
// It is made of the parts that gRPC's own streams are made of (1.51), which are called internal.
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
  // `context`: of a call that has had a read, and has neither a read nor a write under way. The
  // tag's `ok`: the message was sent, and the next one has come.
  void Start(grpc::ClientContext& context, grpc::CompletionQueue* queue,
             const grpc::ByteBuffer& message, grpc::ByteBuffer* into, Tag& tag) {
    // Bytes that are serialized already are only shared: nothing fails.
    static_cast<void>(both_.SendMessage(message).ok());
    both_.RecvMessage(into);
    grpc::internal::Call call(context.c_call(), nullptr, queue);
    // All that follows is gRPC's own.
    both_.set_output_tag(tag.Arm());
    both_.FillOps(&call);
  }

 private:
  grpc::internal::CallOpSet<grpc::internal::CallOpSendMessage,
                            grpc::internal::CallOpRecvMessage<grpc::ByteBuffer>>
      both_;
};

}  // namespace atoll::rpc
