#include "server/cluster/etcd_client.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "rpc/credentials.h"

namespace atoll::cluster {
namespace {

grpc::ChannelArguments Arguments() {
  grpc::ChannelArguments arguments;
  // Not below 5 s, and only with a call open: etcd closes connections that ping more.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 2'000);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  // The time that a connection may take to be made, for all its name: an etcd that has just begun
  // was seen to need more than 100 ms for its part.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // A whole listing has a map in it, and as many descriptors as there are nodes.
  arguments.SetMaxReceiveMessageSize(-1);
  return arguments;
}

bool IsNotReached(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNAVAILABLE ||
         status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
}

}  // namespace

std::string EndOfPrefix(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty()) {
    if (static_cast<unsigned char>(end.back()) != 0xff) {
      ++end.back();
      return end;
    }
    end.pop_back();
  }
  return std::string(1, '\0');  // etcd: to the end of all keys
}

absl::Status FromEtcdStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      absl::StrCat("etcd: ", status.error_message()));
}

absl::StatusOr<std::unique_ptr<EtcdClient>> EtcdClient::Create(const EtcdOptions& options) {
  auto credentials = rpc::ChannelCredentials(
      {.ca = options.ca_file, .certificate = options.certificate_file, .key = options.key_file},
      options.tls);
  if (!credentials.ok()) return credentials.status();
  std::unique_ptr<EtcdClient> client(new EtcdClient(options));
  for (const std::string& address : options.endpoints) {
    auto endpoint = std::make_unique<EtcdEndpoint>();
    endpoint->address = address;
    endpoint->channel = grpc::CreateCustomChannel(address, *credentials, Arguments());
    endpoint->kv = etcdserverpb::KV::NewStub(endpoint->channel);
    endpoint->lease = etcdserverpb::Lease::NewStub(endpoint->channel);
    endpoint->watch = etcdserverpb::Watch::NewStub(endpoint->channel);
    endpoint->auth = etcdserverpb::Auth::NewStub(endpoint->channel);
    client->endpoints_.push_back(std::move(endpoint));
  }
  return client;
}

EtcdEndpoint& EtcdClient::endpoint() {
  return *endpoints_[current_.load(std::memory_order_relaxed) % endpoints_.size()];
}

absl::Status EtcdClient::Connect(EtcdEndpoint& endpoint) {
  const absl::Duration patience =
      options_.call_timeout / (2 * static_cast<int64_t>(endpoints_.size()));
  if (endpoint.channel->WaitForConnected(std::chrono::system_clock::now() +
                                         absl::ToChronoMilliseconds(patience))) {
    return absl::OkStatus();
  }
  const grpc::Status status(grpc::StatusCode::UNAVAILABLE,
                            absl::StrCat(endpoint.address, ": no connection"));
  OnFailure(endpoint, status);
  return FromEtcdStatus(status);
}

absl::Status EtcdClient::Prepare(EtcdEndpoint& endpoint, grpc::ClientContext* context) {
  if (options_.user.empty()) return absl::OkStatus();
  std::string token;
  {
    base::MutexLock lock(mu_);
    token = token_;
  }
  if (token.empty()) {
    grpc::ClientContext login;
    login.set_deadline(std::chrono::system_clock::now() +
                       absl::ToChronoMilliseconds(options_.call_timeout));
    etcdserverpb::AuthenticateRequest request;
    request.set_name(options_.user);
    request.set_password(options_.password);
    etcdserverpb::AuthenticateResponse response;
    const grpc::Status status = endpoint.auth->Authenticate(&login, request, &response);
    if (!status.ok()) {
      OnFailure(endpoint, status);
      // etcd calls a wrong password an invalid argument.
      if (status.error_code() == grpc::StatusCode::INVALID_ARGUMENT) {
        return absl::UnauthenticatedError(absl::StrCat("etcd: ", status.error_message()));
      }
      return FromEtcdStatus(status);
    }
    token = response.token();
    base::MutexLock lock(mu_);
    token_ = token;
  }
  context->AddMetadata("token", token);
  return absl::OkStatus();
}

void EtcdClient::OnFailure(const EtcdEndpoint& failed, const grpc::Status& status) {
  if (status.error_code() == grpc::StatusCode::UNAUTHENTICATED) {
    base::MutexLock lock(mu_);
    token_.clear();
  }
  if (!IsNotReached(status)) return;
  size_t current = current_.load(std::memory_order_relaxed);
  // Of several callers that failed at one endpoint, one moves on.
  if (endpoints_[current % endpoints_.size()].get() == &failed) {
    current_.compare_exchange_strong(current, current + 1, std::memory_order_relaxed);
  }
}

absl::Status EtcdClient::Call(Repeat repeat, const Function& function) {
  size_t tries = endpoints_.size();
  bool token_renewed = false;
  absl::Status result;
  while (tries > 0) {
    --tries;
    EtcdEndpoint& used = endpoint();
    result = Connect(used);
    if (!result.ok()) continue;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         absl::ToChronoMilliseconds(options_.call_timeout));
    result = Prepare(used, &context);
    if (!result.ok()) {
      if (absl::IsUnavailable(result) || absl::IsDeadlineExceeded(result)) continue;
      return result;
    }
    const grpc::Status status = function(used, &context);
    result = FromEtcdStatus(status);
    if (status.ok()) return result;
    OnFailure(used, status);
    if (status.error_code() == grpc::StatusCode::UNAUTHENTICATED && !token_renewed) {
      token_renewed = true;
      ++tries;
    } else if (!IsNotReached(status) || repeat == Repeat::kNo) {
      return result;
    }
  }
  return result;
}

}  // namespace atoll::cluster
