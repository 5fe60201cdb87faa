// One address that the node serves gRPC on: a grpc::Server with a completion queue and a thread for
// each I/O thread.
//
// Ownership: owns server, queues and threads; the services outlive it. Thread safety: Stop by one
// thread at a time.
#pragma once

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/gate.h"
#include "rpc/poller_pool.h"

namespace atoll::server {

struct ServedService {
  grpc::Service* service = nullptr;
  // Arms one of each of the calls that the service accepts; called once for each thread. Calls
  // enter the gate and leave it at their end.
  std::function<void(grpc::ServerCompletionQueue*, base::Gate*)> start;
};

struct ListenerConfig {
  std::string name;
  // host:port (port 0: any free one), or unix:path.
  std::string address;
  std::shared_ptr<grpc::ServerCredentials> credentials;
  int io_threads = 1;
  // Nobody has a use for it now: what comes may wait (rpc::PollerPool).
  bool rare = false;
  int max_message_bytes = 0;
  std::vector<ServedService> services;
};

class Listener {
 public:
  // UNAVAILABLE names the address if it cannot be bound.
  static absl::StatusOr<std::unique_ptr<Listener>> Start(const ListenerConfig& config);
  // Stops at once.
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  const std::string& name() const { return name_; }
  // The address, with the port that was bound.
  const std::string& address() const { return address_; }

  // Accepts no more, waits so long for calls under way, then cancels them; waits until every call
  // has ended and joins the threads.
  void Stop(absl::Duration patience);

 private:
  Listener() = default;

  std::string name_;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
  base::Gate calls_;
  std::unique_ptr<rpc::PollerPool> pollers_;
};

}  // namespace atoll::server
