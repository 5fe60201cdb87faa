#include "tests/support/fake_cache_node.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_context.h>

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "atoll/v1/cache.grpc.pb.h"
#include "atoll/v1/topology.grpc.pb.h"
#include "base/hash.h"
#include "rpc/channel.h"
#include "rpc/status.h"

namespace atoll::test {
namespace {

std::string Ns(const std::string& name) { return name.empty() ? "default" : name; }

// Namespace and keys of an operation.
std::pair<std::string, std::vector<std::string>> KeysOf(const v1::Operation& op) {
  switch (op.kind_case()) {
    case v1::Operation::kGet:
      return {op.get().namespace_(), {op.get().key()}};
    case v1::Operation::kSet:
      return {op.set().namespace_(), {op.set().key()}};
    case v1::Operation::kDelete:
      return {op.delete_().namespace_(), {op.delete_().key()}};
    case v1::Operation::kTouch:
      return {op.touch().namespace_(), {op.touch().key()}};
    case v1::Operation::kGetAndTouch:
      return {op.get_and_touch().namespace_(), {op.get_and_touch().key()}};
    case v1::Operation::kAdd:
      return {op.add().namespace_(), {op.add().key()}};
    case v1::Operation::kReplace:
      return {op.replace().namespace_(), {op.replace().key()}};
    case v1::Operation::kCompareAndSwap:
      return {op.compare_and_swap().namespace_(), {op.compare_and_swap().key()}};
    case v1::Operation::kIncrement:
      return {op.increment().namespace_(), {op.increment().key()}};
    case v1::Operation::kAppend:
      return {op.append().namespace_(), {op.append().key()}};
    case v1::Operation::kPrepend:
      return {op.prepend().namespace_(), {op.prepend().key()}};
    case v1::Operation::kMultiGet:
      return {op.multi_get().namespace_(),
              {op.multi_get().keys().begin(), op.multi_get().keys().end()}};
    case v1::Operation::kMultiDelete:
      return {op.multi_delete().namespace_(),
              {op.multi_delete().keys().begin(), op.multi_delete().keys().end()}};
    case v1::Operation::kMultiSet: {
      std::vector<std::string> keys;
      for (const auto& entry : op.multi_set().entries()) keys.push_back(entry.key());
      return {op.multi_set().namespace_(), keys};
    }
    default:
      return {};
  }
}

constexpr uint64_t kDefaultValueBytes = uint64_t{64} << 10;

thread_local bool for_large_values = false;

}  // namespace

bool FakeCacheNode::ForLargeValues() { return for_large_values; }

class FakeCacheNode::Cache final : public v1::CacheService::Service {
 public:
  explicit Cache(FakeCacheNode* node) : node_(node) {}

  grpc::Status Exchange(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::ExchangeResponse, v1::ExchangeRequest>* stream) override {
    node_->Opened(context);
    v1::ExchangeRequest request;
    bool refuse = false;
    size_t largest = kDefaultValueBytes;
    while (stream->Read(&request)) {
      refuse = refuse || request.refuse_wrong_owner();
      if (!node_->ignores_limits_) largest = std::max(largest, request.max_value_bytes());
      for_large_values = largest > kDefaultValueBytes;
      {
        base::MutexLock lock(node_->mu_);
        ++node_->messages_;
        node_->awaiting_messages_ += request.answer_at_once() ? 1 : 0;
      }
      v1::ExchangeResponse response;
      bool cut = false;
      for (const v1::Operation& op : request.operations()) {
        cut = cut || !Answer(op, refuse, largest, &response);
        if (!cut && response.ByteSizeLong() > kDefaultValueBytes) {
          stream->Write(response);
          response.Clear();
        }
      }
      if (cut) {
        context->TryCancel();
        break;
      }
      if (response.results_size() > 0 || request.answer_at_once()) stream->Write(response);
    }
    for_large_values = false;
    node_->Closed(context);
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "the fake node ended the stream");
  }

  grpc::Status GetStream(grpc::ServerContext*, const v1::GetStreamRequest* request,
                         grpc::ServerWriter<v1::GetStreamResponse>* writer) override {
    v1::Operation op;
    *op.mutable_get() = request->get();
    if (grpc::Status refusal = Hooked(op); !refusal.ok()) return refusal;
    v1::GetStreamResponse part;
    *part.mutable_header() = node_->cluster_->Read(request->get());
    const std::string value = std::move(*part.mutable_header()->mutable_value());
    part.mutable_header()->clear_value();
    writer->Write(part);
    for (size_t at = 0; at < value.size(); at += size_t{256} << 10) {
      part.set_chunk(value.substr(at, size_t{256} << 10));
      if (!writer->Write(part)) break;
    }
    return grpc::Status::OK;
  }

  grpc::Status SetStream(grpc::ServerContext*, grpc::ServerReader<v1::SetStreamRequest>* reader,
                         v1::SetStreamResponse* response) override {
    v1::SetStreamRequest part;
    if (!reader->Read(&part) || !part.has_header()) {
      return {grpc::StatusCode::INVALID_ARGUMENT, "no header"};
    }
    v1::SetRequest set = part.header().set();
    const uint64_t size = part.header().size();
    while (reader->Read(&part)) set.mutable_value()->append(part.chunk());
    v1::Operation op;
    *op.mutable_set() = set;
    if (grpc::Status refusal = Hooked(op); !refusal.ok()) return refusal;
    if (set.value().size() != size) return {grpc::StatusCode::INVALID_ARGUMENT, "size"};
    *response->mutable_result() = node_->cluster_->Store(set);
    return grpc::Status::OK;
  }

  grpc::Status Scan(grpc::ServerContext*, const v1::ScanRequest* request,
                    v1::ScanResponse* response) override {
    auto* entry = response->add_entries();
    entry->set_key(request->prefix() + "1");
    entry->mutable_entry()->set_outcome(v1::OUTCOME_OK);
    if (request->cursor().empty()) response->set_cursor("more");
    return grpc::Status::OK;
  }

  grpc::Status Flush(grpc::ServerContext*, const v1::FlushRequest*,
                     v1::FlushResponse* response) override {
    response->set_partitions(base::kPartitionCount);
    return grpc::Status::OK;
  }

 private:
  grpc::Status Hooked(const v1::Operation& op) {
    const Hook hook = node_->hook();
    if (hook == nullptr) return grpc::Status::OK;
    const std::optional<FakeAnswer> answer = hook(op);
    if (!answer.has_value()) return grpc::Status::OK;
    return rpc::ToGrpc(answer->status);
  }

  // False: the stream is to be cut.
  bool Answer(const v1::Operation& op, bool refuse, size_t largest,
              v1::ExchangeResponse* response) {
    {
      base::MutexLock lock(node_->mu_);
      ++node_->operations_;
    }
    const Hook hook = node_->hook();
    if (hook != nullptr) {
      const std::optional<FakeAnswer> answer = hook(op);
      if (answer.has_value()) {
        v1::OperationResult result;
        if (answer->execute) result = node_->cluster_->Execute(op, largest);
        if (answer->cut) return false;
        if (answer->drop) return true;
        result.set_id(op.id());
        if (!answer->status.ok()) *result.mutable_error() = rpc::ToProto(answer->status);
        *response->add_results() = std::move(result);
        return true;
      }
    }
    if (refuse) {
      const std::optional<absl::Status> refusal = node_->Refusal(op);
      if (refusal.has_value()) {
        auto* result = response->add_results();
        result->set_id(op.id());
        *result->mutable_error() = rpc::ToProto(*refusal);
        return true;
      }
    }
    *response->add_results() = node_->cluster_->Execute(op, largest);
    return true;
  }

  FakeCacheNode* const node_;
};

class FakeCacheNode::Topology final : public v1::TopologyService::Service {
 public:
  explicit Topology(FakeCacheNode* node) : node_(node) {}

  grpc::Status GetTopology(grpc::ServerContext*, const v1::GetTopologyRequest*,
                           v1::GetTopologyResponse* response) override {
    *response->mutable_map() = ring::EncodeMap(*node_->cluster_->map());
    return grpc::Status::OK;
  }

  grpc::Status WatchTopology(grpc::ServerContext* context, const v1::WatchTopologyRequest*,
                             grpc::ServerWriter<v1::WatchTopologyResponse>* writer) override {
    node_->Opened(context);
    std::shared_ptr<const ring::PlacementMap> sent;
    const auto cancelled = [context] { return context->IsCancelled(); };
    while (!context->IsCancelled()) {
      const auto map =
          node_->cluster_->WaitForNewer(sent == nullptr ? 0 : sent->version, cancelled);
      if (context->IsCancelled()) break;
      v1::WatchTopologyResponse response;
      *response.mutable_map() =
          sent == nullptr ? ring::EncodeMap(*map) : ring::EncodeDelta(sent.get(), *map);
      if (!writer->Write(response)) break;
      sent = map;
    }
    node_->Closed(context);
    return grpc::Status::CANCELLED;
  }

 private:
  FakeCacheNode* const node_;
};

FakeCacheNode::FakeCacheNode(FakeCacheCluster* cluster, std::string name)
    : cluster_(cluster),
      name_(std::move(name)),
      address_("127.0.0.1:0"),
      cache_(std::make_unique<Cache>(this)),
      topology_(std::make_unique<Topology>(this)) {}

FakeCacheNode::~FakeCacheNode() { Stop(); }

void FakeCacheNode::Start() {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1000);
  builder.SetMaxReceiveMessageSize(rpc::kMaxMessageBytes);
  builder.SetMaxSendMessageSize(rpc::kMaxMessageBytes);
  builder.AddListeningPort(address_, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(cache_.get());
  builder.RegisterService(topology_.get());
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) std::abort();
  address_ = absl::StrCat("127.0.0.1:", port);
}

void FakeCacheNode::Stop() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  server_.reset();
}

void FakeCacheNode::SetHook(Hook hook) {
  base::MutexLock lock(mu_);
  hook_ = std::move(hook);
}

FakeCacheNode::Hook FakeCacheNode::hook() const {
  base::MutexLock lock(mu_);
  return hook_;
}

void FakeCacheNode::CutStreams() {
  base::MutexLock lock(mu_);
  for (grpc::ServerContext* context : open_) context->TryCancel();
}

void FakeCacheNode::Opened(grpc::ServerContext* context) {
  base::MutexLock lock(mu_);
  ++streams_opened_;
  open_.insert(context);
}

void FakeCacheNode::Closed(grpc::ServerContext* context) {
  base::MutexLock lock(mu_);
  open_.erase(context);
}

std::optional<absl::Status> FakeCacheNode::Refusal(const v1::Operation& operation) {
  const auto map = cluster_->map();
  const auto [ns, keys] = KeysOf(operation);
  for (const std::string& key : keys) {
    const base::PartitionId partition = base::PartitionOfHash(base::HashKey(Ns(ns), key));
    const ring::Member* primary = map->FindMember(map->at(partition).primary);
    if (primary != nullptr && primary->name == name_) continue;
    v1::WrongOwner detail;
    detail.set_map_version(map->version);
    *detail.mutable_placement() = ring::EncodePlacement(*map, partition, detail.mutable_nodes());
    base::MutexLock lock(mu_);
    ++wrong_owner_;
    return rpc::WrongOwnerError(detail);
  }
  return std::nullopt;
}

int64_t FakeCacheNode::operations() const {
  base::MutexLock lock(mu_);
  return operations_;
}
int64_t FakeCacheNode::messages() const {
  base::MutexLock lock(mu_);
  return messages_;
}

int64_t FakeCacheNode::awaiting_messages() const {
  base::MutexLock lock(mu_);
  return awaiting_messages_;
}
int64_t FakeCacheNode::wrong_owner() const {
  base::MutexLock lock(mu_);
  return wrong_owner_;
}
int64_t FakeCacheNode::streams_opened() const {
  base::MutexLock lock(mu_);
  return streams_opened_;
}

ring::PlacementMap MapOf(const std::vector<FakeCacheNode*>& nodes, uint64_t version) {
  ring::PlacementMap map;
  map.version = version;
  map.cluster = "fake";
  map.cluster_id = "fake";
  map.replication_factor = 2;
  std::vector<base::Incarnation> ids;
  for (const FakeCacheNode* node : nodes) {
    ring::Member member;
    member.name = node->name();
    member.incarnation = base::Incarnation(base::HashKey("", node->name()) | 1);
    member.address = node->address();
    ids.push_back(member.incarnation);
    map.members.push_back(member);
  }
  std::sort(map.members.begin(), map.members.end(),
            [](const ring::Member& a, const ring::Member& b) { return a.name < b.name; });
  for (size_t p = 0; p < base::kPartitionCount; ++p) {
    ring::Placement placement;
    placement.epoch = base::Epoch(static_cast<uint32_t>(version));
    placement.primary = ids[p % ids.size()];
    placement.isr.push_back(placement.primary);
    if (ids.size() > 1) placement.isr.push_back(ids[(p + 1) % ids.size()]);
    map.partitions.push_back(placement);
  }
  return map;
}

}  // namespace atoll::test
