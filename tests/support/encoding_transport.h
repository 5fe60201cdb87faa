// A Transport that encodes as the production one does, and leaves the way to a test.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include "rpc/wire/peer_codec.h"
#include "server/replication/replicator.h"

namespace atoll::test {

class EncodingTransport : public replication::Transport {
 public:
  void Send(base::Incarnation to, const internal::v1::PeerMessage& message) override {
    const size_t size = message.ByteSizeLong();
    wire::Output out;
    uint8_t* const place = wire::ReserveItem(size, &out);
    message.SerializeWithCachedSizesToArray(place);
    out.Advance(place + size);
    Deliver(to, out.Finish());
  }
  void SendAppend(base::Incarnation to, const wire::AppendToSend& append) override {
    wire::Output out;
    wire::AppendItem(append, &out);
    Deliver(to, out.Finish());
  }
  void SendAck(base::Incarnation to, const wire::AppendAck& ack) override {
    wire::Output out;
    wire::AppendItem(ack, &out);
    Deliver(to, out.Finish());
  }
  bool SendAlong(base::Incarnation to, const internal::v1::PeerMessage& message) override {
    Send(to, message);
    return true;
  }

 private:
  virtual void Deliver(base::Incarnation to, grpc::ByteBuffer message) = 0;
};

}  // namespace atoll::test
