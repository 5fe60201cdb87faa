#include "server/node.h"

#include <algorithm>
#include <fstream>
#include <random>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/logging.h"
#include "base/periodic.h"
#include "base/version.h"
#include "rpc/channel.h"
#include "rpc/completion_queue.h"
#include "rpc/credentials.h"
#include "rpc/timers.h"
#include "server/admin/http_server.h"
#include "server/cluster/descriptor.h"
#include "server/cluster/etcd_coordinator.h"
#include "server/cluster/membership.h"
#include "server/cluster/memory_coordinator.h"
#include "server/cluster/peer_caller.h"
#include "server/listener.h"
#include "server/listener_services.h"
#include "server/namespace_shares.h"
#include "server/replication/peer_links.h"
#include "server/replication/replicator.h"
#include "server/routing/peer_forwarder.h"
#include "server/routing/router.h"
#include "server/service/admin_service.h"
#include "server/service/cache_handler.h"
#include "server/service/cache_service.h"
#include "server/service/health_service.h"
#include "server/service/peer_service.h"
#include "server/service/reflection_service.h"
#include "server/service/topology_service.h"
#include "server/store/store.h"
#include "server/warm/data_folder.h"
#include "server/warm/warm_tier.h"
#include "server/warm_disk.h"

namespace atoll::server {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(20);
constexpr absl::Duration kMaintainInterval = absl::Milliseconds(20);
constexpr int kMaintainSlices = 200;  // of one interval
// How long a start waits for the coordinator, and for the first map.
constexpr absl::Duration kStartPatience = absl::Seconds(30);
// Calls that wait for the coordinator.
constexpr int kAdminThreads = 2;
constexpr size_t kMaxAdminCalls = 1000;

uint64_t RandomId() {
  std::random_device random;
  uint64_t id = 0;
  while (id == 0) {
    id = uint64_t{random()} << 32 | random();
  }
  return id;
}

// `address` with the bound port; an advertised one keeps its host, and its port unless that is 0.
std::string AdvertisedAddress(const ListenerOptions& options, const std::string& bound) {
  if (options.advertise.empty()) return bound;
  if (!options.advertise.ends_with(":0")) return options.advertise;
  return absl::StrCat(options.advertise.substr(0, options.advertise.size() - 1),
                      bound.substr(bound.rfind(':') + 1));
}

absl::StatusOr<std::string> FirstLineOf(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  if (!std::getline(in, line)) {
    return absl::NotFoundError(absl::StrCat(path, ": cannot be read, or is empty"));
  }
  return line;
}

class NodeImpl final : public Node {
 public:
  explicit NodeImpl(const NodeOptions& options)
      : options_(options), started_at_(Clock().BootTime()) {}
  ~NodeImpl() override { Stop().IgnoreError(); }

  absl::Status StartAll(const std::atomic<bool>& give_up);
  std::vector<Address> addresses() const override { return addresses_; }
  admin::NodeFigures Figures() const override;
  absl::Status Stop() override;

 private:
  static const base::Clock& Clock() { return base::Clock::Real(); }

  absl::Status ReadCertificates();
  absl::Status MakeCoordinator();
  absl::Status OpenWarmTier(const internal::v1::ClusterConfig& config);
  absl::Status MakeListeners();
  void MakeMembership(const internal::v1::ClusterConfig& config);
  void MakeDataPath();
  absl::Status Listen();
  absl::Status ListenOn(ListenerServices& services);
  absl::Status ListenForAdmin(const ListenerOptions& options);
  absl::Status Join();
  // Drops copies on disk that no placement names any more: they can never be revived.
  void ForgetVoidCopies();
  // Whether requests are answered: for health and /readyz.
  absl::Status Ready() const;
  bool Persists(base::NamespaceId ns) const;

  const NodeOptions options_;
  const absl::Duration started_at_;
  const base::Incarnation incarnation_{RandomId()};

  std::shared_ptr<grpc::ServerCredentials> listener_credentials_;
  std::shared_ptr<grpc::ChannelCredentials> peer_credentials_;

  // In the order in which they are made; destroyed in reverse, after Stop.
  std::unique_ptr<warm::DataFolder> folder_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<cluster::Coordinator> coordinator_;
  std::unique_ptr<warm::WarmTier> warm_;
  std::unique_ptr<WarmDisk> disk_;
  std::unique_ptr<rpc::Poller> alarms_;  // of a node that is alone
  // Of calls to other nodes, and of timers. Where there are others it is that of all listeners: a
  // set's way to its replicas and back takes one thread of each node, and nobody takes turns at
  // waiting for the network.
  grpc::CompletionQueue* queue_ = nullptr;
  std::unique_ptr<cluster::PeerCaller> peer_caller_;
  std::unique_ptr<cluster::Membership> membership_;
  std::unique_ptr<rpc::Timers> timers_;
  std::unique_ptr<NamespaceShares> shares_;
  std::unique_ptr<replication::PeerLinks> links_;
  std::unique_ptr<replication::Replicator> replicator_;
  std::unique_ptr<routing::ByteBudget> budget_;
  std::unique_ptr<routing::PeerForwarder> forwarder_;
  std::unique_ptr<routing::Router> router_;
  std::unique_ptr<service::CacheHandler> handler_;
  std::unique_ptr<base::Executor> admin_calls_;
  std::vector<ListenerServices> listeners_;
  ListenerOptions admin_listener_;
  std::unique_ptr<admin::HttpServer> http_;
  std::unique_ptr<base::Periodic> tick_;
  std::unique_ptr<base::Periodic> maintain_;

  std::vector<Address> addresses_;
  std::atomic<bool> serving_{false};
  bool stopped_ = false;
};

absl::Status NodeImpl::StartAll(const std::atomic<bool>& give_up) {
  if (absl::Status status = ReadCertificates(); !status.ok()) return status;
  if (!options_.data_dir.empty()) {
    absl::StatusOr<std::unique_ptr<warm::DataFolder>> folder =
        warm::DataFolder::Open(options_.data_dir);
    if (!folder.ok()) return folder.status();
    folder_ = *std::move(folder);
  }
  absl::StatusOr<std::unique_ptr<store::Store>> made_store = store::Store::Create(
      {.memory_bytes = options_.memory_bytes, .cores = options_.io_threads, .clock = &Clock()});
  if (!made_store.ok()) return made_store.status();
  store_ = *std::move(made_store);

  if (absl::Status status = MakeListeners(); !status.ok()) return status;
  if (absl::Status status = MakeCoordinator(); !status.ok()) return status;
  cluster::ConfigRequest request{.cluster = options_.cluster,
                                 .replication_factor = options_.replication_factor};
  if (options_.etcd.empty() && folder_ != nullptr) {
    request.cluster_id = folder_->previous_cluster_id();
  }
  const absl::Duration patience = Clock().BootTime() + kStartPatience;
  absl::StatusOr<internal::v1::ClusterConfig> config =
      cluster::EstablishConfig(coordinator_.get(), request);
  const auto away = [](const absl::Status& s) {
    return absl::IsUnavailable(s) || absl::IsDeadlineExceeded(s);
  };
  while (away(config.status()) && Clock().BootTime() < patience) {
    if (give_up) return absl::CancelledError("told to stop before the coordinator answered");
    absl::SleepFor(absl::Milliseconds(200));  // etcd may be starting beside us
    config = cluster::EstablishConfig(coordinator_.get(), request);
  }
  if (!config.ok()) return config.status();

  if (absl::Status status = OpenWarmTier(*config); !status.ok()) return status;
  MakeMembership(*config);
  MakeDataPath();
  if (absl::Status status = Listen(); !status.ok()) return status;
  return Join();
}

absl::Status NodeImpl::ReadCertificates() {
  const rpc::TlsFiles files{
      .ca = options_.tls_ca, .certificate = options_.tls_cert, .key = options_.tls_key};
  auto listener = rpc::ServerCredentials(files);
  if (!listener.ok()) return listener.status();
  listener_credentials_ = *std::move(listener);
  // Without a CA others do not ask for the certificate that is shown to them.
  auto peer = rpc::ChannelCredentials(files, !files.empty());
  if (!peer.ok()) return peer.status();
  peer_credentials_ = *std::move(peer);
  return absl::OkStatus();
}

absl::Status NodeImpl::MakeCoordinator() {
  if (options_.etcd.empty()) {
    coordinator_ = std::make_unique<cluster::MemoryCoordinator>(Clock());
    return absl::OkStatus();
  }
  cluster::EtcdOptions etcd{.endpoints = options_.etcd,
                            .user = options_.etcd_user,
                            .tls = !options_.etcd_ca.empty() || !options_.etcd_cert.empty(),
                            .ca_file = options_.etcd_ca,
                            .certificate_file = options_.etcd_cert,
                            .key_file = options_.etcd_key,
                            .queue = queue_};
  if (!options_.etcd_password_file.empty()) {
    absl::StatusOr<std::string> password = FirstLineOf(options_.etcd_password_file);
    if (!password.ok()) return password.status();
    etcd.password = *std::move(password);
  }
  absl::StatusOr<std::unique_ptr<cluster::Coordinator>> made = cluster::MakeEtcdCoordinator(etcd);
  if (!made.ok()) return made.status();
  coordinator_ = *std::move(made);
  return absl::OkStatus();
}

absl::Status NodeImpl::OpenWarmTier(const internal::v1::ClusterConfig& config) {
  if (folder_ == nullptr) return absl::OkStatus();
  if (absl::Status status = folder_->Begin(config.cluster_id(), incarnation_); !status.ok()) {
    return status;
  }
  absl::StatusOr<std::unique_ptr<warm::WarmTier>> tier =
      warm::WarmTier::Open({.memory_bytes = options_.rocksdb_memory_bytes,
                            .disk_bytes = options_.disk_bytes,
                            .persists = [this](base::NamespaceId ns) { return Persists(ns); },
                            .clock = &Clock()},
                           folder_.get(), store_.get());
  if (!tier.ok()) return tier.status();
  warm_ = *std::move(tier);
  disk_ = std::make_unique<WarmDisk>(warm_.get());
  return absl::OkStatus();
}

bool NodeImpl::Persists(base::NamespaceId ns) const {
  const cluster::NamespacePtr info = membership_->FindNamespace(ns);
  return info != nullptr && info->settings.persistence() != v1::PERSISTENCE_OFF;
}

absl::Status NodeImpl::MakeListeners() {
  const bool alone = options_.etcd.empty();
  std::vector<ListenerOptions> wanted;
  if (absl::Status status = options_.Listeners(wanted); !status.ok()) return status;
  for (ListenerOptions& options : wanted) {
    if (options.name == "admin") {
      admin_listener_ = std::move(options);
    } else {
      listeners_.emplace_back().options = std::move(options);
    }
  }
  const auto make = [&](ListenerServices& services, Listener* served_by) {
    const ListenerOptions& options = services.options;
    const bool peer = options.name == "peer";
    services.listener = std::make_unique<Listener>(ListenerConfig{
        .name = options.name,
        .address = options.address,
        .credentials = options.address.starts_with("unix:") ? grpc::InsecureServerCredentials()
                                                            : listener_credentials_,
        .threads_name = peer && !alone ? "io" : absl::StrCat(options.name, "-io"),
        .io_threads = options_.io_threads,
        .rare = peer && alone,
        .serves_others = peer && !alone,
        .served_by = served_by,
        .max_message_bytes = peer ? replication::kMaxLinkMessageBytes : rpc::kMaxMessageBytes});
  };
  Listener* serves_all = nullptr;
  if (!alone) {
    const auto peer =
        absl::c_find_if(listeners_, [](const auto& l) { return l.options.name == "peer"; });
    make(*peer, nullptr);
    serves_all = peer->listener.get();
    queue_ = serves_all->queue();
  }
  for (ListenerServices& services : listeners_) {
    if (services.listener == nullptr) make(services, serves_all);
  }
  if (alone) {
    alarms_ = std::make_unique<rpc::Poller>("alarms", rpc::Network::kLeftToOthers);
    alarms_->Start();
    queue_ = alarms_->queue();
  }
  return absl::OkStatus();
}

void NodeImpl::MakeMembership(const internal::v1::ClusterConfig& config) {
  cluster::MembershipOptions membership{
      .config = config, .node_lease = options_.node_lease, .cluster = options_.cluster};
  v1::Node& node = *membership.descriptor.mutable_node();
  node.set_name(options_.node_name);
  node.set_incarnation(incarnation_.value());
  node.set_zone(options_.zone);
  node.set_weight(options_.weight);
  node.set_program_version(std::string(base::ProgramVersion()));
  if (folder_ != nullptr) {
    membership.descriptor.set_data_uuid(folder_->uuid());
    membership.descriptor.set_previous_incarnation(folder_->previous_incarnation().value());
    for (const warm::DiskCopy& copy : warm_->Unclaimed()) {
      cluster::AddDiskCopy(copy.left_by, copy.partition, membership.descriptor);
    }
  } else {
    membership.descriptor.set_data_uuid(absl::StrCat("none-", absl::Hex(incarnation_.value())));
  }
  membership.controller.initial_nodes = options_.initial_nodes;
  if (options_.etcd.empty() && warm_ != nullptr) {
    for (const warm::DiskCopy& copy : warm_->Unclaimed()) {
      membership.controller.standalone_copies.push_back(
          {copy.partition, copy.epoch, copy.history, copy.reset_epoch});
    }
  }
  // Without: a call to itself, while it is not in office yet, would be one on a queue that nobody
  // polls the network for.
  if (!options_.etcd.empty()) {
    peer_caller_ = cluster::MakeGrpcPeerCaller(queue_, peer_credentials_);
  }
  membership_ =
      cluster::Membership::Create(membership, coordinator_.get(), peer_caller_.get(), &Clock());
}

void NodeImpl::MakeDataPath() {
  timers_ = std::make_unique<rpc::Timers>(queue_);
  links_ = std::make_unique<replication::PeerLinks>(replication::PeerLinksOptions{
      .self = incarnation_, .credentials = peer_credentials_, .queue = queue_});
  replicator_ = replication::Replicator::Create({.min_isr = options_.min_isr,
                                                 .heartbeat = options_.heartbeat,
                                                 .silent_after = options_.silence,
                                                 .lease = options_.lease,
                                                 .grace = options_.grace},
                                                store_.get(), membership_.get(), links_.get(),
                                                &Clock(), disk_.get());
  links_->SetReceiver(replicator_.get());
  shares_ = std::make_unique<NamespaceShares>(membership_.get(), store_.get());
  const uint64_t max_value = std::min<uint64_t>(store::kMaxValueBytes, options_.memory_bytes / 8);
  // A value of the largest size, with what else its call takes, must fit.
  budget_ = std::make_unique<routing::ByteBudget>(
      std::max<uint64_t>(options_.rpc_memory_bytes, max_value + rpc::kMaxMessageBytes));
  forwarder_ = std::make_unique<routing::PeerForwarder>(queue_, timers_.get(), budget_.get(),
                                                        &Clock(), peer_credentials_);
  router_ = std::make_unique<routing::Router>(replicator_.get(), membership_.get(),
                                              forwarder_.get(), timers_.get(), &Clock());
  handler_ = std::make_unique<service::CacheHandler>(
      router_.get(), budget_.get(), &Clock(),
      service::CacheLimits{.max_value_bytes = max_value,
                           .max_operations = options_.max_operations,
                           .test_burn = absl::Microseconds(options_.test_burn_us)});
  admin_calls_ = std::make_unique<base::Executor>(kAdminThreads, kMaxAdminCalls);
  if (warm_ != nullptr) store_->SetWarmSink(warm_.get());
  tick_ = std::make_unique<base::Periodic>(kTick, [this] { replicator_->Tick(); });
  maintain_ = std::make_unique<base::Periodic>(kMaintainInterval, [this] {
    for (int i = 0; i < kMaintainSlices && store_->Maintain(); ++i) {
    }
  });
}

absl::Status NodeImpl::Listen() {
  for (ListenerServices& services : listeners_) {
    if (absl::Status status = ListenOn(services); !status.ok()) return status;
  }
  return ListenForAdmin(admin_listener_);
}

absl::Status NodeImpl::ListenOn(ListenerServices& services) {
  const ListenerOptions& options = services.options;
  const bool peer = options.name == "peer";
  services.cache = std::make_unique<service::CacheGrpcService>(
      handler_.get(), peer ? routing::Hop::kLast : routing::Hop::kFirst);
  services.health = std::make_unique<service::HealthService>();
  if (peer) {
    services.peer = std::make_unique<service::PeerService>(membership_.get(), links_.get());
  } else {
    services.topology = std::make_unique<service::TopologyService>(membership_.get(), options.name);
    services.reflection = std::make_unique<service::ReflectionService>(std::vector<std::string>{
        v1::CacheService::service_full_name(), v1::TopologyService::service_full_name(),
        v1::AdminService::service_full_name(), grpc::health::v1::Health::service_full_name()});
    services.admin = std::make_unique<service::AdminService>(
        service::AdminDeps{.view = membership_.get(),
                           .namespaces = membership_.get(),
                           .router = router_.get(),
                           .executor = admin_calls_.get(),
                           .cluster_clock = &Clock(),
                           .figures = [this] { return Figures(); },
                           .unserved = [this] { return replicator_->Unserved(); },
                           .listener = options.name});
  }
  if (absl::Status status = services.listener->Start(services.Served()); !status.ok()) {
    return status;
  }
  addresses_.push_back({options.name, AdvertisedAddress(options, services.listener->address())});
  return absl::OkStatus();
}

absl::Status NodeImpl::ListenForAdmin(const ListenerOptions& options) {
  absl::StatusOr<std::unique_ptr<admin::HttpServer>> http =
      admin::HttpServer::Start({.address = options.address,
                                .node_name = options_.node_name,
                                .version = std::string(base::ProgramVersion()),
                                .figures = [this] { return Figures(); },
                                .ready = [this] { return Ready(); }});
  if (!http.ok()) return http.status();
  http_ = *std::move(http);
  const std::string bound =
      absl::StrCat(options.address.substr(0, options.address.rfind(':')), ":", http_->port());
  addresses_.push_back({options.name, AdvertisedAddress(options, bound)});
  return absl::OkStatus();
}

absl::Status NodeImpl::Join() {
  std::vector<v1::Listener> advertised;
  for (const Address& address : addresses_) {
    if (address.name == "admin") continue;  // not gRPC
    v1::Listener& listener = advertised.emplace_back();
    listener.set_name(address.name);
    listener.set_address(address.address);
  }
  membership_->SetListeners(advertised);
  // First: entries written before the store knows their namespace's name are larger.
  membership_->AddListener(shares_.get());
  membership_->AddListener(links_.get());
  membership_->AddListener(replicator_.get());
  if (absl::Status status = membership_->Start(); !status.ok()) return status;
  // Nodes that wait for others to come are up, and not ready.
  if (absl::Status status = membership_->WaitForMap(
          options_.initial_nodes > 1 ? absl::ZeroDuration() : kStartPatience);
      !status.ok() && options_.initial_nodes <= 1) {
    return status;
  }
  serving_ = true;
  for (ListenerServices& services : listeners_) services.health->SetServing(true);
  return absl::OkStatus();
}

absl::Status NodeImpl::Ready() const {
  if (!serving_) return absl::UnavailableError("starting or stopping");
  const cluster::MapPtr map = membership_->map();
  if (map->partitions.empty()) return absl::UnavailableError("no placement map yet");
  return absl::OkStatus();
}

admin::NodeFigures NodeImpl::Figures() const {
  admin::NodeFigures figures;
  figures.uptime = Clock().BootTime() - started_at_;
  figures.store = store_->Stats();
  figures.reads = handler_->counters().reads;
  figures.writes = handler_->counters().writes;
  figures.refused = handler_->counters().refused;
  figures.forwarded = router_->counters().forwarded;
  figures.collapsed = router_->counters().collapsed;
  const base::LatencyWindow::Summary latency = handler_->latency().Summarize();
  figures.ops_per_second = latency.per_second;
  figures.p50 = latency.p50;
  figures.p99 = latency.p99;
  const replication::ReplicationStats replication = replicator_->Stats();
  figures.primaries = replication.primaries;
  figures.replicas = replication.replicas;
  figures.learners = replication.learners;
  figures.under_replicated = replication.under_replicated;
  figures.replication_lag_records = replication.lag_records;
  figures.replication_lag = replication.lag;
  figures.warm_hints_sent = replication.warm_hints_sent;
  figures.warm_hints_dropped = replication.warm_hints_dropped + figures.store.warmed_dropped;
  figures.warm_hints_applied = replication.warm_hints_applied;
  if (warm_ != nullptr) {
    const warm::WarmStats warm = warm_->Stats();
    figures.disk_entries = warm.disk_entries;
    figures.disk_bytes = warm.disk_bytes;
    figures.disk_limit_bytes = warm.disk_limit_bytes;
    figures.disk_queue_bytes = warm.queued_bytes;
    figures.disk_written = warm.written;
    figures.disk_given_up = warm.given_up;
    figures.disk_failing = warm.failing;
  }
  figures.map_version = membership_->map()->version;
  figures.coordinator_up = membership_->coordinator_up();
  figures.controller = membership_->is_controller();
  const MemoryBudgets budgets = options_.Budgets();
  figures.rpc_budget_bytes = budgets.rpc;
  figures.rocksdb_budget_bytes = budgets.rocksdb;
  figures.rest_budget_bytes = budgets.rest;
  figures.rss_anonymous_bytes = admin::AnonymousBytesOfThisProcess();
  return figures;
}

absl::Status NodeImpl::Stop() {
  if (std::exchange(stopped_, true)) return absl::OkStatus();
  const absl::Duration until = Clock().BootTime() + options_.stop_timeout;
  const auto left = [&] { return std::max(until - Clock().BootTime(), absl::ZeroDuration()); };
  absl::Status worst;

  serving_ = false;
  for (ListenerServices& services : listeners_) {
    if (services.health != nullptr) services.health->SetServing(false);
  }
  // Others take over what they can; until then this node serves on.
  if (membership_ != nullptr && !addresses_.empty()) worst.Update(membership_->Leave(left() / 4));
  if (handler_ != nullptr && !handler_->Drain(left() / 4)) {
    worst.Update(absl::DeadlineExceededError("operations under way did not end in time"));
  }
  if (replicator_ != nullptr) worst.Update(replicator_->Drain(left() / 4));

  if (http_ != nullptr) http_->Stop();
  for (ListenerServices& services : listeners_) {
    if (services.health != nullptr) services.health->Stop();
    if (services.topology != nullptr) services.topology->Stop();
    services.listener->Stop(std::min(left() / 4, absl::Seconds(1)));
  }
  if (admin_calls_ != nullptr) admin_calls_->Stop();
  if (membership_ != nullptr) {
    membership_->RemoveListener(shares_.get());
    membership_->RemoveListener(replicator_.get());
    membership_->RemoveListener(links_.get());
  }
  if (links_ != nullptr) links_->Stop();
  if (membership_ != nullptr) membership_->Stop();
  if (peer_caller_ != nullptr) peer_caller_->Stop();
  tick_.reset();
  maintain_.reset();
  if (timers_ != nullptr) timers_->Stop();
  if (router_ != nullptr) router_->Stop();
  if (forwarder_ != nullptr) forwarder_->Stop();
  for (const bool others : {true, false}) {  // those that serve no other listener first
    for (ListenerServices& services : listeners_) {
      if (services.listener->served_by_other() == others) services.listener->StopThreads();
    }
  }
  if (alarms_ != nullptr) alarms_->Stop();

  if (store_ != nullptr) store_->SetWarmSink(nullptr);
  if (warm_ != nullptr) {
    // Loads end before it is told what is in memory.
    warm_->StopThreads();
    ForgetVoidCopies();
    // A start that failed has used nothing, and leaves on disk what it found there.
    std::vector<warm::DiskCopy> copies;
    if (replicator_ != nullptr) copies = WarmDisk::InSync(replicator_->Copies());
    worst.Update(warm_->CleanStop(copies, left()));
  }
  return worst;
}

void NodeImpl::ForgetVoidCopies() {
  const cluster::MapPtr map = membership_ == nullptr ? nullptr : membership_->map();
  if (map == nullptr || map->partitions.empty()) return;
  for (const warm::DiskCopy& copy : warm_->Unclaimed()) {
    const ring::Placement& placement = map->at(copy.partition);
    if (!placement.InIsr(copy.left_by) && placement.revived_from != copy.left_by) {
      warm_->Drop(copy.partition);
    }
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Node>> Node::Start(const NodeOptions& options,
                                                  const std::atomic<bool>& give_up) {
  auto node = std::make_unique<NodeImpl>(options);
  if (absl::Status status = node->StartAll(give_up); !status.ok()) return status;
  return node;
}

}  // namespace atoll::server
