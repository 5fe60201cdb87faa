#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "atoll/v1/admin.grpc.pb.h"
#include "atoll/v1/topology.grpc.pb.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "client/admin_convert.h"
#include "client/include/atoll/admin.h"
#include "client/translate.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "rpc/channel.h"
#include "rpc/completion_queue.h"
#include "rpc/credentials.h"
#include "rpc/status.h"

namespace atoll {
namespace {

absl::Duration Now() { return base::Clock::Real().BootTime(); }

void SetDeadline(grpc::ClientContext& context, absl::Duration deadline) {
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::duration_cast<std::chrono::system_clock::duration>(
                           absl::ToChronoNanoseconds(deadline - Now())));
}

}  // namespace

class AdminClient::Impl {
 public:
  Impl(ClientOptions options_in, std::shared_ptr<grpc::ChannelCredentials> credentials)
      : options(std::move(options_in)), credentials_(std::move(credentials)) {}

  std::shared_ptr<grpc::Channel> ChannelTo(const std::string& address) ABSL_LOCKS_EXCLUDED(mu_) {
    base::MutexLock lock(mu_);
    std::shared_ptr<grpc::Channel>& channel = channels_[address];
    if (channel == nullptr) {
      grpc::ChannelArguments arguments = rpc::ChannelArguments();
      const std::string& name = options.credentials.server_name;
      if (!name.empty()) arguments.SetSslTargetNameOverride(name);
      channel = grpc::CreateCustomChannel(address, credentials_, arguments);
    }
    return channel;
  }

  absl::Duration Deadline() const { return Now() + options.timeout; }

  // Calls `method` on one endpoint after the other until one answers: anything but UNAVAILABLE is
  // an answer.
  template <typename Service, typename Request, typename Response>
  absl::Status Call(grpc::Status (Service::Stub::*method)(grpc::ClientContext*, const Request&,
                                                          Response*),
                    const Request& request, Response* response) {
    const absl::Duration deadline = Deadline();
    absl::Status status;
    for (const std::string& endpoint : options.endpoints) {
      const auto stub = Service::NewStub(ChannelTo(endpoint));
      grpc::ClientContext context;
      SetDeadline(context, deadline);
      response->Clear();
      status = rpc::FromGrpc((stub.get()->*method)(&context, request, response));
      if (!absl::IsUnavailable(status) || Now() >= deadline) break;
    }
    return status;
  }

  const ClientOptions options;

 private:
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  base::Mutex mu_;
  absl::flat_hash_map<std::string, std::shared_ptr<grpc::Channel>> channels_ ABSL_GUARDED_BY(mu_);
};

absl::StatusOr<std::unique_ptr<AdminClient>> AdminClient::Create(ClientOptions options) {
  if (absl::Status valid = options.Validate(); !valid.ok()) return valid;
  const Credentials& files = options.credentials;
  auto credentials = rpc::ChannelCredentials(
      {.ca = files.ca_file, .certificate = files.certificate_file, .key = files.key_file},
      files.tls);
  if (!credentials.ok()) return credentials.status();
  return std::unique_ptr<AdminClient>(
      new AdminClient(std::make_unique<Impl>(std::move(options), *std::move(credentials))));
}

AdminClient::AdminClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
AdminClient::~AdminClient() = default;

absl::StatusOr<Namespace> AdminClient::CreateNamespace(std::string_view name,
                                                       const NamespaceSettings& settings) {
  v1::CreateNamespaceRequest request;
  v1::CreateNamespaceResponse response;
  request.set_name(name.data(), name.size());
  client::FromSettings(settings, request.mutable_settings());
  const absl::Status status =
      impl_->Call<v1::AdminService>(&v1::AdminService::Stub::CreateNamespace, request, &response);
  if (!status.ok()) return status;
  return client::ToNamespace(response.namespace_());
}

absl::StatusOr<Namespace> AdminClient::UpdateNamespace(std::string_view name,
                                                       const NamespaceSettings& settings) {
  v1::UpdateNamespaceRequest request;
  v1::UpdateNamespaceResponse response;
  request.set_name(name.data(), name.size());
  client::FromSettings(settings, request.mutable_settings());
  const absl::Status status =
      impl_->Call<v1::AdminService>(&v1::AdminService::Stub::UpdateNamespace, request, &response);
  if (!status.ok()) return status;
  return client::ToNamespace(response.namespace_());
}

absl::StatusOr<std::vector<Namespace>> AdminClient::ListNamespaces() {
  v1::ListNamespacesResponse response;
  const absl::Status status = impl_->Call<v1::AdminService>(&v1::AdminService::Stub::ListNamespaces,
                                                            v1::ListNamespacesRequest(), &response);
  if (!status.ok()) return status;
  std::vector<Namespace> namespaces;
  for (const v1::Namespace& one : response.namespaces()) {
    namespaces.push_back(client::ToNamespace(one));
  }
  return namespaces;
}

absl::Status AdminClient::DropNamespace(std::string_view name) {
  v1::DropNamespaceRequest request;
  v1::DropNamespaceResponse response;
  request.set_name(name.data(), name.size());
  return impl_->Call<v1::AdminService>(&v1::AdminService::Stub::DropNamespace, request, &response);
}

absl::StatusOr<NodeList> AdminClient::ListNodes() {
  v1::ListNodesResponse response;
  const absl::Status status = impl_->Call<v1::AdminService>(&v1::AdminService::Stub::ListNodes,
                                                            v1::ListNodesRequest(), &response);
  if (!status.ok()) return status;
  NodeList list;
  list.map_version = response.map_version();
  for (const v1::NodeSummary& node : response.nodes()) {
    list.nodes.push_back(client::ToNodeSummary(node));
  }
  return list;
}

absl::Status AdminClient::DrainNode(std::string_view name, bool undo) {
  v1::DrainNodeRequest request;
  v1::DrainNodeResponse response;
  request.set_name(name.data(), name.size());
  request.set_undo(undo);
  return impl_->Call<v1::AdminService>(&v1::AdminService::Stub::DrainNode, request, &response);
}

namespace {

// A question to one node, under way beside others.
class StatsQuestion final : public rpc::Tag {
 public:
  StatsQuestion(const std::shared_ptr<grpc::Channel>& channel, absl::Duration deadline,
                grpc::CompletionQueue* queue)
      : stub_(v1::AdminService::NewStub(channel)) {
    SetDeadline(context_, deadline);
    call_ = stub_->PrepareAsyncGetStats(&context_, v1::GetStatsRequest(), queue);
    call_->StartCall();
    call_->Finish(&response_, &status_, Arm());
  }
  void Proceed(bool /*ok*/) override {}
  // Once the queue has been stopped.
  absl::StatusOr<NodeStats> Answer() const {
    if (!status_.ok()) return rpc::FromGrpc(status_);
    return client::ToNodeStats(response_);
  }

 private:
  const std::unique_ptr<v1::AdminService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<v1::GetStatsResponse>> call_;
  v1::GetStatsResponse response_;
  grpc::Status status_;
};

}  // namespace

absl::StatusOr<std::vector<NodeAnswer>> AdminClient::Stats() {
  absl::StatusOr<NodeList> list = ListNodes();
  if (!list.ok()) return list.status();
  std::sort(list->nodes.begin(), list->nodes.end(),
            [](const NodeSummary& a, const NodeSummary& b) { return a.node.name < b.node.name; });
  rpc::Poller poller("atoll-admin");
  std::vector<std::unique_ptr<StatsQuestion>> questions;
  const absl::Duration deadline = impl_->Deadline();
  for (const NodeSummary& summary : list->nodes) {
    questions.emplace_back();
    if (summary.node.state == NodeState::kDown || summary.node.address.empty()) continue;
    questions.back() = std::make_unique<StatsQuestion>(impl_->ChannelTo(summary.node.address),
                                                       deadline, poller.queue());
  }
  poller.Start();
  poller.Stop();  // Returns when every question has been answered.
  std::vector<NodeAnswer> answers;
  for (size_t i = 0; i < questions.size(); ++i) {
    const Node& node = list->nodes[i].node;
    if (questions[i] == nullptr) {
      answers.push_back({node, absl::UnavailableError(node.state == NodeState::kDown
                                                          ? "the node is down"
                                                          : "the node's address is not known")});
    } else {
      answers.push_back({node, questions[i]->Answer()});
    }
  }
  return answers;
}

absl::StatusOr<NodeStats> AdminClient::StatsOf(std::string_view address) {
  const auto stub = v1::AdminService::NewStub(impl_->ChannelTo(std::string(address)));
  grpc::ClientContext context;
  SetDeadline(context, impl_->Deadline());
  v1::GetStatsResponse response;
  const grpc::Status status = stub->GetStats(&context, v1::GetStatsRequest(), &response);
  if (!status.ok()) return rpc::FromGrpc(status);
  return client::ToNodeStats(response);
}

absl::StatusOr<Topology> AdminClient::GetTopology() {
  v1::GetTopologyResponse response;
  const absl::Status status = impl_->Call<v1::TopologyService>(
      &v1::TopologyService::Stub::GetTopology, v1::GetTopologyRequest(), &response);
  if (!status.ok()) return status;
  return client::ToTopology(response.map());
}

absl::StatusOr<Explanation> AdminClient::Explain(std::string_view key, std::string_view ns) {
  if (ns.empty()) ns = impl_->options.default_namespace;
  if (absl::Status bad = client::CheckKey(key); !bad.ok()) return bad;
  v1::ExplainRequest request;
  v1::ExplainResponse response;
  request.set_namespace_(ns.data(), ns.size());
  request.set_key(key.data(), key.size());
  const absl::Status status =
      impl_->Call<v1::AdminService>(&v1::AdminService::Stub::Explain, request, &response);
  if (!status.ok()) return status;
  return client::ToExplanation(response);
}

absl::StatusOr<ClusterHealth> AdminClient::Health() {
  v1::GetClusterHealthResponse response;
  const absl::Status status = impl_->Call<v1::AdminService>(
      &v1::AdminService::Stub::GetClusterHealth, v1::GetClusterHealthRequest(), &response);
  if (!status.ok()) return status;
  return client::ToClusterHealth(response);
}

absl::StatusOr<absl::Duration> AdminClient::Ping(std::string_view address) {
  const auto channel = impl_->ChannelTo(std::string(address));
  const auto stub = grpc::health::v1::Health::NewStub(channel);
  const absl::Duration deadline = impl_->Deadline();
  // Connecting is not part of the round trip.
  channel->WaitForConnected(std::chrono::system_clock::now() +
                            absl::ToChronoMilliseconds(impl_->options.timeout));
  grpc::ClientContext context;
  SetDeadline(context, deadline);
  grpc::health::v1::HealthCheckResponse response;
  const absl::Duration start = Now();
  const grpc::Status status =
      stub->Check(&context, grpc::health::v1::HealthCheckRequest(), &response);
  const absl::Duration took = Now() - start;
  if (!status.ok()) return rpc::FromGrpc(status);
  if (response.status() != grpc::health::v1::HealthCheckResponse::SERVING) {
    return absl::UnavailableError(
        absl::StrCat("the node says ",
                     grpc::health::v1::HealthCheckResponse::ServingStatus_Name(response.status())));
  }
  return took;
}

}  // namespace atoll
