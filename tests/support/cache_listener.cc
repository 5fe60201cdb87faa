#include "tests/support/cache_listener.h"

#include <grpcpp/server_builder.h>

#include <chrono>

#include "rpc/channel.h"

namespace atoll::test {

CacheListener::CacheListener(service::CacheHandler* handler, routing::Hop hop)
    : service_(handler, hop) {
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(rpc::kMaxMessageBytes);
  builder.SetMaxSendMessageSize(rpc::kMaxMessageBytes);
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(service_.service());
  pollers_.emplace(rpc::PollerPool::Options{.name = "io", .threads = 2, .always = 2},
                   builder.AddCompletionQueue());
  server_ = builder.BuildAndStart();
  service_.Serve(pollers_->queue(), &calls_);
  pollers_->Start();
  address_ = "127.0.0.1:" + std::to_string(port);
  channel_ = rpc::MakeChannel(address_);
}

void CacheListener::Stop() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(50));
  calls_.Close();
  calls_.Drain(absl::InfiniteDuration());
  pollers_->Stop();
  server_.reset();
}

}  // namespace atoll::test
