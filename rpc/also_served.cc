#include "rpc/also_served.h"

#include <grpc/grpc.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>

namespace atoll::rpc {
namespace {

// A builder shows the server that it makes to nobody before it has started, when it is too late,
// but to the credentials of its ports. So this is a port that listens to nothing.
class NoPort final : public grpc::ServerCredentials {
 public:
  explicit NoPort(grpc::ServerCompletionQueue* queue) : queue_(queue) {}
  void SetAuthMetadataProcessor(
      const std::shared_ptr<grpc::AuthMetadataProcessor>& /*processor*/) override {}

 private:
  int AddPortToServer(const std::string& /*address*/, grpc_server* server) override {
    grpc_server_register_completion_queue(server, queue_->cq(), nullptr);
    return 1;  // 0 would be a port that cannot be bound
  }

  grpc::ServerCompletionQueue* const queue_;
};

}  // namespace

void AlsoServedBy(grpc::ServerCompletionQueue* queue, grpc::ServerBuilder& builder) {
  builder.AddListeningPort("also-served", std::make_shared<NoPort>(queue));
}

}  // namespace atoll::rpc
