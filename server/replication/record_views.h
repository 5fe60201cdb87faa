// Between records as the generated classes have them (copies, tails) and as views, which is how
// they are applied and logged.
#pragma once

#include <string>

#include "atoll/internal/v1/peer.pb.h"
#include "rpc/wire/peer_messages.h"

namespace atoll::replication {

// Points into the message.
wire::Record ViewOf(const internal::v1::Record& record);
wire::AppendAck ViewOf(const internal::v1::AppendAck& ack);
internal::v1::RememberedResult MessageOf(const wire::Remembered& remembered);
wire::Remembered ViewOf(const internal::v1::RememberedResult& remembered);
std::string Encoded(const wire::Record& record);

}  // namespace atoll::replication
