// A CacheService on a port of its own, as a node serves it. Two threads are always at work: what
// events of one call do at the same time is seen.
//
// Thread safety: one thread drives it.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/server.h>

#include <memory>
#include <optional>
#include <string>

#include "base/gate.h"
#include "rpc/poller_pool.h"
#include "server/service/cache_handler.h"
#include "server/service/cache_service.h"

namespace atoll::test {

class CacheListener {
 public:
  // The handler outlives it.
  CacheListener(service::CacheHandler* handler, routing::Hop hop);
  ~CacheListener() { Stop(); }
  CacheListener(const CacheListener&) = delete;
  CacheListener& operator=(const CacheListener&) = delete;

  const std::string& address() const { return address_; }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  // Returns when every call has ended; those under way are cancelled.
  void Stop();

 private:
  service::CacheGrpcService service_;
  base::Gate calls_;
  std::optional<rpc::PollerPool> pollers_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace atoll::test
