#include "server/listener.h"

#include <grpcpp/server_builder.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "rpc/grpc_process.h"

namespace atoll::server {
namespace {

// A client found dead within 12 s; clients may probe as often as ours do.
void SetKeepalive(grpc::ServerBuilder& builder) {
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 2'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1'000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Start(const ListenerConfig& config) {
  rpc::PrepareGrpcProcess();
  std::unique_ptr<Listener> listener(new Listener);
  listener->name_ = config.name;
  listener->address_ = config.address;
  grpc::ServerBuilder builder;
  // A port that another process serves is busy, not to be shared with it.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetMaxReceiveMessageSize(config.max_message_bytes);
  builder.SetMaxSendMessageSize(config.max_message_bytes);
  SetKeepalive(builder);
  int port = 0;
  builder.AddListeningPort(config.address, config.credentials, &port);
  for (const ServedService& served : config.services) {
    builder.RegisterService(served.service);
  }
  listener->pollers_ = std::make_unique<rpc::PollerPool>(
      rpc::PollerPool::Options{.name = absl::StrCat(config.name, "-io"),
                               .threads = config.rare ? 1 : std::max(config.io_threads, 1),
                               .rare = config.rare},
      builder.AddCompletionQueue());
  listener->server_ = builder.BuildAndStart();
  if (listener->server_ == nullptr || port == 0) {
    return absl::UnavailableError(
        absl::StrCat("listen: ", config.name, "=", config.address, " cannot be bound"));
  }
  if (!config.address.starts_with("unix:")) {
    listener->address_ =
        absl::StrCat(config.address.substr(0, config.address.rfind(':')), ":", port);
  }
  rpc::PollerPool& pollers = *listener->pollers_;
  for (int i = 0; i < pollers.threads(); ++i) {
    for (const ServedService& served : config.services) {
      served.start(pollers.queue(), &listener->calls_);
    }
  }
  pollers.Start();
  return listener;
}

Listener::~Listener() { Stop(absl::ZeroDuration()); }

void Listener::Stop(absl::Duration patience) {
  if (server_ != nullptr) {
    // The pollers go on meanwhile: it is they who end the calls.
    server_->Shutdown(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(patience));
    // A call may still be with its handler, which answers into the queues.
    calls_.Close();
    while (!calls_.Drain(absl::Seconds(10))) {
      base::LogWarning(absl::StrCat("listener ", name_, ": ", calls_.inside(), " calls hang"));
    }
  }
  if (pollers_ != nullptr) pollers_->Stop();
  pollers_.reset();
  server_.reset();
}

}  // namespace atoll::server
