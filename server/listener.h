// One address that the node serves gRPC on: a grpc::Server with a completion queue and up to a
// thread for each I/O thread, or served by those of another listener. The queue is there before the
// services are, and after they have stopped: calls that the node makes may be served by it, too.
//
// Ownership: owns server, queue and threads; the services outlive it. Thread safety: Start, Stop
// and StopThreads by one thread at a time.
#pragma once

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
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

class Listener;

struct ListenerConfig {
  std::string name;
  // host:port (port 0: any free one), or unix:path.
  std::string address;
  std::shared_ptr<grpc::ServerCredentials> credentials;
  std::string threads_name;
  int io_threads = 1;
  // Nobody has a use for it now: what comes may wait (rpc::PollerPool).
  bool rare = false;
  // Its threads serve others', too.
  bool serves_others = false;
  // Whose threads serve this one, if not nullptr; outlives it.
  Listener* served_by = nullptr;
  int max_message_bytes = 0;
};

class Listener {
 public:
  explicit Listener(const ListenerConfig& config);
  // Stops at once.
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  const std::string& name() const { return name_; }
  // The address, with the port that was bound.
  const std::string& address() const { return address_; }
  bool served_by_other() const { return served_by_ != nullptr; }
  // Of who serves it. From its Start, or Stop where that never came, until its StopThreads.
  grpc::CompletionQueue* queue() { return server_pollers().queue(); }

  // Once. UNAVAILABLE names the address if it cannot be bound.
  absl::Status Start(const std::vector<ServedService>& services);
  // Accepts no more, waits so long for calls under way, then cancels them, and waits until every
  // call has ended. Safe to repeat.
  void Stop(absl::Duration patience);
  // After Stop, when nobody begins anything on the queue any more: waits for what is under way on
  // it, and joins the threads. Safe to repeat.
  void StopThreads();

 private:
  void StartThreads();
  rpc::PollerPool& server_pollers() {
    return served_by_ == nullptr ? *pollers_ : served_by_->server_pollers();
  }

  const std::string name_;
  Listener* const served_by_;
  std::string address_;
  grpc::ServerBuilder builder_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  base::Gate calls_;
  std::unique_ptr<rpc::PollerPool> pollers_;
  bool threads_started_ = false;
};

}  // namespace atoll::server
