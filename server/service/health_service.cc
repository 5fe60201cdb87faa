#include "server/service/health_service.h"

#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "atoll/v1/admin.grpc.pb.h"
#include "atoll/v1/cache.grpc.pb.h"
#include "atoll/v1/topology.grpc.pb.h"
#include "server/service/unary_call.h"

namespace atoll::service {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;

HealthService::Response::ServingStatus HealthService::StatusOf(const std::string& service) const {
  const bool known = service.empty() || service == v1::CacheService::service_full_name() ||
                     service == v1::TopologyService::service_full_name() ||
                     service == v1::AdminService::service_full_name();
  if (!known) return Response::SERVICE_UNKNOWN;
  return serving_.load(std::memory_order_acquire) ? Response::SERVING : Response::NOT_SERVING;
}

void HealthService::Start(grpc::ServerCompletionQueue* queue, base::Gate* calls) {
  ServeUnary(&service_, &Health::AsyncService::RequestCheck, queue, calls, [this](auto& call) {
    const Response::ServingStatus status = StatusOf(call.request().service());
    if (status == Response::SERVICE_UNKNOWN) {
      call.Finish(absl::NotFoundError(absl::StrCat("service: ", call.request().service())));
      return;
    }
    call.response().set_status(status);
    call.Finish(absl::OkStatus());
  });
  Watch::Serve(std::make_shared<const Watch::Method>(Watch::Method{
      .accept =
          [this, queue](grpc::ServerContext* context, HealthCheckRequest* request,
                        Watch::Writer* writer, void* tag) {
            service_.RequestWatch(context, request, writer, queue, queue, tag);
          },
      .next = [this](const HealthCheckRequest& request, Told& told) -> std::optional<Response> {
        const Response::ServingStatus status = StatusOf(request.service());
        if (told.any && told.status == status) return std::nullopt;
        told = {.any = true, .status = status};
        Response response;
        response.set_status(status);
        return response;
      },
      .group = &watches_,
      .calls = calls}));
}

void HealthService::SetServing(bool serving) {
  serving_.store(serving, std::memory_order_release);
  watches_.WakeAll();
}

}  // namespace atoll::service
