// Connections to etcd: which endpoint is used, how calls are repeated, and the token of the user.
// Internal to cluster/.
//
// Thread safety: all methods.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "etcd/rpc.grpc.pb.h"
#include "server/cluster/etcd_coordinator.h"

namespace atoll::cluster {

struct EtcdEndpoint {
  std::string address;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<etcdserverpb::KV::Stub> kv;
  std::unique_ptr<etcdserverpb::Lease::Stub> lease;
  std::unique_ptr<etcdserverpb::Watch::Stub> watch;
  std::unique_ptr<etcdserverpb::Auth::Stub> auth;
};

class EtcdClient {
 public:
  static absl::StatusOr<std::unique_ptr<EtcdClient>> Create(const EtcdOptions& options);

  enum class Repeat : uint8_t { kNo, kYes };
  using Function = std::function<grpc::Status(EtcdEndpoint&, grpc::ClientContext*)>;
  // Runs a call under the call time-out. An endpoint that is not reached makes way for the next,
  // where the call is made if it was not sent, and with kYes repeated even so. A token that has
  // ended is replaced, and the call repeated (it was not carried out).
  absl::Status Call(Repeat repeat, const Function& function);

  // For calls that last: the endpoint now in use, and what a context needs.
  EtcdEndpoint& endpoint();
  // UNAVAILABLE if there is no connection, and none can be made within a share of the call
  // time-out: nothing was sent then. gRPC makes connections only while somebody waits on the
  // channel, and once one has failed, calls do not wait: without this an etcd that is back would
  // not be found again.
  absl::Status Connect(EtcdEndpoint& endpoint);
  absl::Status Prepare(EtcdEndpoint& endpoint, grpc::ClientContext* context);
  // `failed` was not reached, or answered with `status`.
  void OnFailure(const EtcdEndpoint& failed, const grpc::Status& status);

 private:
  explicit EtcdClient(const EtcdOptions& options) : options_(options) {}

  const EtcdOptions options_;
  std::vector<std::unique_ptr<EtcdEndpoint>> endpoints_;
  // Relaxed: only a preference.
  std::atomic<size_t> current_{0};
  base::Mutex mu_;
  std::string token_ ABSL_GUARDED_BY(mu_);
};

// The excluded end of the range of keys with a prefix.
std::string EndOfPrefix(std::string_view prefix);
// Without Atoll's payloads: etcd sends none.
absl::Status FromEtcdStatus(const grpc::Status& status);

}  // namespace atoll::cluster
