#include "server/listener.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "rpc/also_served.h"
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

Listener::Listener(const ListenerConfig& config)
    : name_(config.name), served_by_(config.served_by), address_(config.address) {
  rpc::PrepareGrpcProcess();
  // A port that another process serves is busy, not to be shared with it.
  builder_.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder_.SetMaxReceiveMessageSize(config.max_message_bytes);
  builder_.SetMaxSendMessageSize(config.max_message_bytes);
  SetKeepalive(builder_);
  builder_.AddListeningPort(config.address, config.credentials, &port_);
  // Where others serve it, only what nobody serves comes to its own queue.
  const absl::Duration rare = served_by_ != nullptr ? absl::Milliseconds(200)
                              : config.rare         ? absl::Milliseconds(20)
                                                    : absl::ZeroDuration();
  const bool one = rare > absl::ZeroDuration();
  pollers_ = std::make_unique<rpc::PollerPool>(
      rpc::PollerPool::Options{.name = config.threads_name,
                               .threads = one ? 1 : std::max(config.io_threads, 1),
                               .rare = rare,
                               .patient = config.serves_others ? config.io_threads : 0},
      builder_.AddCompletionQueue());
  if (served_by_ != nullptr) rpc::AlsoServedBy(served_by_->server_pollers().queue(), builder_);
}

Listener::~Listener() {
  Stop(absl::ZeroDuration());
  StopThreads();
}

absl::Status Listener::Start(const std::vector<ServedService>& services) {
  for (const ServedService& served : services) builder_.RegisterService(served.service);
  server_ = builder_.BuildAndStart();
  if (server_ == nullptr || port_ == 0) {
    return absl::UnavailableError(
        absl::StrCat("listen: ", name_, "=", address_, " cannot be bound"));
  }
  if (!address_.starts_with("unix:")) {
    address_ = absl::StrCat(address_.substr(0, address_.rfind(':')), ":", port_);
  }
  rpc::PollerPool& pollers = server_pollers();
  for (int i = 0; i < pollers.threads(); ++i) {
    for (const ServedService& served : services) served.start(pollers.queue(), &calls_);
  }
  StartThreads();
  return absl::OkStatus();
}

void Listener::StartThreads() {
  if (!std::exchange(threads_started_, true)) pollers_->Start();
}

void Listener::Stop(absl::Duration patience) {
  // What others have begun on the queue ends, too.
  StartThreads();
  if (server_ == nullptr || calls_.closed()) return;
  // Its calls were asked for on that one's queue.
  if (served_by_ != nullptr) served_by_->StartThreads();
  // The threads go on meanwhile: it is they who end the calls.
  server_->Shutdown(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(patience));
  // A call may still be with its handler, which answers into the queue.
  calls_.Close();
  while (!calls_.Drain(absl::Seconds(10))) {
    base::LogWarning(absl::StrCat("listener ", name_, ": ", calls_.inside(), " calls hang"));
  }
}

void Listener::StopThreads() {
  pollers_->Stop();
  server_.reset();
}

}  // namespace atoll::server
