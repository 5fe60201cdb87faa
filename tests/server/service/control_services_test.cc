// Topology, health and admin, through generated stubs over a real port.
#include <grpcpp/create_channel.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/executor.h"
#include "base/gate.h"
#include "rpc/completion_queue.h"
#include "rpc/poller_pool.h"
#include "rpc/status.h"
#include "server/service/admin_service.h"
#include "server/service/health_service.h"
#include "server/service/reflection_service.h"
#include "server/service/topology_service.h"
#include "tests/support/fake_cluster_view.h"

namespace atoll::service {
namespace {

class FakeNamespaces final : public cluster::NamespaceAdmin {
 public:
  absl::StatusOr<cluster::NamespacePtr> CreateNamespace(
      std::string_view name, const v1::NamespaceSettings& settings) override {
    if (name == "taken") return absl::AlreadyExistsError("namespace: taken");
    return std::make_shared<const cluster::NamespaceInfo>(cluster::NamespaceInfo{
        .name = std::string(name), .id = base::NamespaceId(7), .settings = settings});
  }
  absl::StatusOr<cluster::NamespacePtr> UpdateNamespace(std::string_view,
                                                        const v1::NamespaceSettings&) override {
    return absl::NotFoundError("namespace: unknown");
  }
  absl::Status DropNamespace(std::string_view) override { return absl::OkStatus(); }
};

class ControlServices : public testing::Test {
 protected:
  ControlServices()
      : view_(base::Incarnation(11), "n1"),
        executor_(1, 10),
        topology_(&view_, "client"),
        admin_({.view = &view_,
                .namespaces = &namespaces_,
                .executor = &executor_,
                .cluster_clock = &base::Clock::Real(),
                .figures = &SomeFigures,
                .unserved = [this] { return unserved_; },
                .listener = "client"}) {}

  void SetUp() override {
    view_.SetMap(Map(1));
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(topology_.service());
    builder.RegisterService(health_.service());
    builder.RegisterService(admin_.service());
    builder.RegisterService(reflection_.service());
    poller_ = std::make_unique<rpc::PollerPool>(rpc::PollerPool::Options{.name = "test"},
                                                builder.AddCompletionQueue());
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    topology_.Start(poller_->queue(), &calls_);
    health_.Start(poller_->queue(), &calls_);
    admin_.Start(poller_->queue(), &calls_);
    reflection_.Start(poller_->queue(), &calls_);
    poller_->Start();
    channel_ =
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials());
  }

  void TearDown() override {
    topology_.Stop();
    health_.Stop();
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(5));
    calls_.Close();
    EXPECT_TRUE(calls_.Drain(absl::Seconds(20)));
    executor_.Stop();
    poller_->Stop();
  }

  static cluster::MapPtr Map(uint64_t version) {
    ring::PlacementMap map;
    map.version = version;
    map.cluster = "test";
    map.replication_factor = 2;
    map.members = {{.name = "n1",
                    .incarnation = base::Incarnation(11),
                    .listeners = {{"client", "host1:1"}, {"peer", "host1:2"}}},
                   {.name = "n2",
                    .incarnation = base::Incarnation(12),
                    .listeners = {{"client", "host2:1"}, {"peer", "host2:2"}}}};
    ring::Placement placement;
    placement.epoch = base::Epoch(static_cast<uint32_t>(version));
    placement.primary = base::Incarnation(11);
    placement.isr = {base::Incarnation(11), base::Incarnation(12)};
    map.partitions.assign(base::kPartitionCount, placement);
    return std::make_shared<const ring::PlacementMap>(std::move(map));
  }

  static admin::NodeFigures SomeFigures() {
    admin::NodeFigures figures{.reads = 5, .primaries = 3};
    figures.store.live_bytes = 11;
    figures.store.dead_bytes = 12;
    figures.store.pinned_bytes = 13;
    figures.store.index_bytes = 14;
    figures.store.ghost_bytes = 15;
    figures.rpc_budget_bytes = 16;
    figures.rocksdb_budget_bytes = 17;
    figures.rest_budget_bytes = 18;
    return figures;
  }

  static void SetDeadline(grpc::ClientContext& context) {
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  }

  test::FakeClusterView view_;
  FakeNamespaces namespaces_;
  base::Executor executor_;
  uint32_t unserved_ = 0;
  TopologyService topology_;
  HealthService health_;
  AdminService admin_;
  ReflectionService reflection_{{"atoll.v1.CacheService"}};
  base::Gate calls_;
  std::unique_ptr<rpc::PollerPool> poller_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(ControlServices, TheMapCarriesTheListenersAddressAndNoOther) {
  const auto stub = v1::TopologyService::NewStub(channel_);
  grpc::ClientContext context;
  SetDeadline(context);
  v1::GetTopologyResponse response;
  ASSERT_TRUE(stub->GetTopology(&context, {}, &response).ok());
  EXPECT_EQ(response.map().version(), 1u);
  EXPECT_EQ(response.map().partitions_size(), static_cast<int>(base::kPartitionCount));
  ASSERT_EQ(response.map().nodes_size(), 2);
  EXPECT_EQ(response.map().nodes(1).address(), "host2:1");
  EXPECT_EQ(response.map().nodes(1).listeners_size(), 0);
}

TEST_F(ControlServices, AWatcherGetsTheWholeMapThenDeltasOverWhatItHas) {
  const auto stub = v1::TopologyService::NewStub(channel_);
  grpc::ClientContext context;
  SetDeadline(context);
  const auto reader = stub->WatchTopology(&context, {});
  v1::WatchTopologyResponse response;
  ASSERT_TRUE(reader->Read(&response));
  absl::StatusOr<ring::PlacementMap> map = ring::DecodeMap(response.map(), nullptr);
  ASSERT_TRUE(map.ok()) << map.status();

  ring::PlacementMap next = *Map(1);
  next.version = 2;
  next.partitions[5].epoch = base::Epoch(9);
  view_.SetMap(std::make_shared<const ring::PlacementMap>(next));
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.map().delta_from(), 1u);
  EXPECT_EQ(response.map().partitions_size(), 1);
  map = ring::DecodeMap(response.map(), &*map);
  ASSERT_TRUE(map.ok()) << map.status();
  EXPECT_EQ(map->partitions[5].epoch, base::Epoch(9));
  context.TryCancel();
  reader->Finish();
}

TEST_F(ControlServices, AWatcherThatHasTheMapIsToldOnlyTheNext) {
  const auto stub = v1::TopologyService::NewStub(channel_);
  grpc::ClientContext context;
  SetDeadline(context);
  v1::WatchTopologyRequest request;
  request.set_known_version(1);
  const auto reader = stub->WatchTopology(&context, request);
  view_.SetMap(Map(3));
  v1::WatchTopologyResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.map().version(), 3u);
  context.TryCancel();
  reader->Finish();
}

TEST_F(ControlServices, HealthIsToldToThoseWhoAskAndThoseWhoWatch) {
  using grpc::health::v1::Health;
  using grpc::health::v1::HealthCheckResponse;
  const auto stub = Health::NewStub(channel_);
  grpc::ClientContext watching;
  SetDeadline(watching);
  const auto reader = stub->Watch(&watching, {});
  HealthCheckResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  health_.SetServing(true);
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  watching.TryCancel();
  reader->Finish();

  grpc::ClientContext asking;
  SetDeadline(asking);
  grpc::health::v1::HealthCheckRequest request;
  request.set_service("atoll.v1.CacheService");
  ASSERT_TRUE(stub->Check(&asking, request, &response).ok());
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  grpc::ClientContext unknown;
  SetDeadline(unknown);
  request.set_service("no.such.Service");
  EXPECT_EQ(stub->Check(&unknown, request, &response).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ControlServices, WatchersDoNotHoldUpAStop) {
  const auto stub = v1::TopologyService::NewStub(channel_);
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::WatchTopologyResponse>>> readers;
  for (int i = 0; i < 20; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    SetDeadline(*contexts.back());
    readers.push_back(stub->WatchTopology(contexts.back().get(), {}));
    v1::WatchTopologyResponse response;
    ASSERT_TRUE(readers.back()->Read(&response));
  }
  topology_.Stop();
  for (auto& reader : readers) {
    v1::WatchTopologyResponse response;
    EXPECT_FALSE(reader->Read(&response));
    EXPECT_FALSE(reader->Finish().ok());
  }
}

TEST_F(ControlServices, AdminTellsFiguresNodesAndHealth) {
  const auto stub = v1::AdminService::NewStub(channel_);
  {
    grpc::ClientContext context;
    SetDeadline(context);
    v1::GetStatsResponse stats;
    ASSERT_TRUE(stub->GetStats(&context, {}, &stats).ok());
    EXPECT_EQ(stats.node().address(), "host1:1");
    EXPECT_EQ(stats.reads(), 5u);
    EXPECT_EQ(stats.primaries(), 3u);
    EXPECT_EQ(stats.live_bytes(), 11u);
    EXPECT_EQ(stats.dead_bytes(), 12u);
    EXPECT_EQ(stats.pinned_bytes(), 13u);
    EXPECT_EQ(stats.index_bytes(), 14u);
    EXPECT_EQ(stats.ghost_bytes(), 15u);
    EXPECT_EQ(stats.rpc_budget_bytes(), 16u);
    EXPECT_EQ(stats.rocksdb_budget_bytes(), 17u);
    EXPECT_EQ(stats.rest_budget_bytes(), 18u);
  }
  {
    grpc::ClientContext context;
    SetDeadline(context);
    v1::ListNodesResponse nodes;
    ASSERT_TRUE(stub->ListNodes(&context, {}, &nodes).ok());
    ASSERT_EQ(nodes.nodes_size(), 2);
    EXPECT_EQ(nodes.nodes(0).primaries(), base::kPartitionCount);
    EXPECT_EQ(nodes.nodes(1).replicas(), base::kPartitionCount);
  }
  {
    grpc::ClientContext context;
    SetDeadline(context);
    v1::GetClusterHealthResponse health;
    ASSERT_TRUE(stub->GetClusterHealth(&context, {}, &health).ok());
    EXPECT_TRUE(health.serving());
    EXPECT_TRUE(health.fully_replicated());
    EXPECT_EQ(health.nodes_up(), 2u);
  }
}

TEST_F(ControlServices, ADeadCopyAndAPrimaryThatDoesNotServeCountAsMissing) {
  unserved_ = 1;
  ring::PlacementMap map = *Map(2);
  map.members[1].state = ring::MemberState::kDown;
  map.members.push_back(
      {.name = "n3", .incarnation = base::Incarnation(13), .listeners = {{"client", "host3:1"}}});
  // The second node's next process.
  map.members.push_back({.name = map.members[1].name,
                         .incarnation = base::Incarnation(14),
                         .listeners = {{"client", "host2:1"}}});
  view_.SetMap(std::make_shared<const ring::PlacementMap>(map));
  const auto stub = v1::AdminService::NewStub(channel_);
  grpc::ClientContext context;
  SetDeadline(context);
  v1::GetClusterHealthResponse health;
  ASSERT_TRUE(stub->GetClusterHealth(&context, {}, &health).ok());
  EXPECT_FALSE(health.serving());
  EXPECT_EQ(health.partitions_without_primary(), 1u);
  EXPECT_EQ(health.partitions_under_replicated(), base::kPartitionCount);
  EXPECT_EQ(health.nodes_up(), 3u);
  EXPECT_EQ(health.nodes_known(), 3u);
}

TEST_F(ControlServices, NamespacesAreMadeByTheMembershipAndErrorsKeepTheirCode) {
  const auto stub = v1::AdminService::NewStub(channel_);
  grpc::ClientContext context;
  SetDeadline(context);
  v1::CreateNamespaceRequest request;
  request.set_name("mine");
  request.mutable_settings()->set_ttl_jitter_percent(5);
  v1::CreateNamespaceResponse response;
  ASSERT_TRUE(stub->CreateNamespace(&context, request, &response).ok());
  EXPECT_EQ(response.namespace_().id(), 7u);
  EXPECT_EQ(response.namespace_().settings().ttl_jitter_percent(), 5u);
  grpc::ClientContext again;
  SetDeadline(again);
  request.set_name("taken");
  EXPECT_EQ(stub->CreateNamespace(&again, request, &response).error_code(),
            grpc::StatusCode::ALREADY_EXISTS);
}

TEST_F(ControlServices, ADrainOfAnUnknownNodeIsRefusedByName) {
  const auto stub = v1::AdminService::NewStub(channel_);
  grpc::ClientContext context;
  SetDeadline(context);
  v1::DrainNodeRequest request;
  request.set_name("nobody");
  v1::DrainNodeResponse response;
  const grpc::Status status = stub->DrainNode(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_NE(status.error_message().find("nobody"), std::string::npos);
}

TEST_F(ControlServices, ReflectionNamesTheServicesAndHandsOutTheirFiles) {
  using grpc::reflection::v1alpha::ServerReflection;
  using grpc::reflection::v1alpha::ServerReflectionRequest;
  using grpc::reflection::v1alpha::ServerReflectionResponse;
  const auto stub = ServerReflection::NewStub(channel_);
  grpc::ClientContext context;
  SetDeadline(context);
  const auto stream = stub->ServerReflectionInfo(&context);
  const auto ask = [&](const ServerReflectionRequest& request) {
    ServerReflectionResponse response;
    EXPECT_TRUE(stream->Write(request));
    EXPECT_TRUE(stream->Read(&response));
    return response;
  };
  ServerReflectionRequest request;
  request.set_list_services("*");
  EXPECT_EQ(ask(request).list_services_response().service(0).name(), "atoll.v1.CacheService");
  request.set_file_containing_symbol("atoll.v1.CacheService");
  // cache.proto, google/rpc/status.proto and its any.proto.
  EXPECT_EQ(ask(request).file_descriptor_response().file_descriptor_proto_size(), 3);
  request.set_file_by_filename("no/such.proto");
  EXPECT_EQ(ask(request).error_response().error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ask({}).error_response().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

}  // namespace
}  // namespace atoll::service
