// gRPC server reflection, so that a tool that has no proto files can call a node: on our own
// queues, as the packaged service is a synchronous one, whose threads would take events from them.
//
// Thread safety: all methods. Lifetime: as TopologyService.
#pragma once

#include <string>
#include <vector>

#include "base/gate.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"

namespace atoll::service {

class ReflectionService final {
 public:
  // `services`: full names of what the listener serves.
  explicit ReflectionService(std::vector<std::string> services) : services_(std::move(services)) {}

  grpc::Service* service() { return &service_; }
  void Start(grpc::ServerCompletionQueue* queue, base::Gate* calls);

  // What one request is answered. Unknown files and symbols answer NOT_FOUND within the response.
  grpc::reflection::v1alpha::ServerReflectionResponse Answer(
      const grpc::reflection::v1alpha::ServerReflectionRequest& request) const;

 private:
  class Stream;
  using Service = grpc::reflection::v1alpha::ServerReflection::AsyncService;

  const std::vector<std::string> services_;
  Service service_;
};

}  // namespace atoll::service
