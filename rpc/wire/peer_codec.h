// Protobuf's wire format by hand, as decode.h and encode.h, for the messages between nodes that
// carry the load (peer_messages.h): records are encoded once, into memory of the log's, go from
// there into what gRPC sends, and are read where gRPC received them.
//
// Thread safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "rpc/wire/input.h"
#include "rpc/wire/output.h"
#include "rpc/wire/peer_messages.h"

namespace atoll::wire {

// False: a hello, or a message that is for the generated parser as a whole. A PeerMessage that is
// not read by hand is an item of kind kOther.
bool Decode(Input& input, LinkMessage* out);

// A Record by itself.
bool Decode(Input& input, Record* out);
size_t Size(const Record& m);
uint8_t* Write(const Record& m, uint8_t* out);

// Elements of LinkRequest.messages. Records above kLargestCopy go along by reference.
void AppendItem(const AppendToSend& m, Output* out);
void AppendItem(const AppendAck& m, Output* out);
// Room for a serialized PeerMessage of so many bytes, to be filled from the result on; then
// out->Advance.
uint8_t* ReserveItem(size_t size, Output* out);
// LinkRequest.number and .received.
void AppendNumbers(uint64_t number, uint64_t received, Output* out);

}  // namespace atoll::wire
