// Channels as all of Atoll makes them: found dead within 12 s, dialled again at most
// 1 s after, and never shared between owners.
//
// Thread safety: pure functions.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <memory>
#include <string>

namespace atoll::rpc {

// An answer may be 4 MiB of payload; headers and framing come on top.
inline constexpr int kMaxMessageBytes = (4 << 20) + (64 << 10);

// The arguments without the credentials: keepalive, back-off, limits, subchannel pool.
// gRPC takes the first of a repeated argument: a larger limit must come in here.
grpc::ChannelArguments ChannelArguments(int max_message_bytes = kMaxMessageBytes);

// `address` is host:port or unix:path. Connects when first used.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address,
                                           const std::shared_ptr<grpc::ChannelCredentials>&
                                               credentials = grpc::InsecureChannelCredentials());

}  // namespace atoll::rpc
