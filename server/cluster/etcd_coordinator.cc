#include "server/cluster/etcd_coordinator.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "rpc/completion_queue.h"
#include "server/cluster/etcd_client.h"
#include "server/cluster/etcd_watch.h"

namespace atoll::cluster {
namespace {

KeyValue FromEtcd(const mvccpb::KeyValue& kv) {
  return {.key = kv.key(),
          .value = kv.value(),
          .create_revision = kv.create_revision(),
          .mod_revision = kv.mod_revision(),
          .lease = kv.lease()};
}

class EtcdCoordinator final : public Coordinator {
 public:
  EtcdCoordinator(const EtcdOptions& options, std::unique_ptr<EtcdClient> client)
      : options_(options), client_(std::move(client)) {
    if (options.queue != nullptr) return;
    own_poller_ = std::make_unique<rpc::Poller>("etcd");
    own_poller_->Start();
  }

  absl::StatusOr<Lookup> Get(std::string_view key) override {
    etcdserverpb::RangeRequest request;
    request.set_key(std::string(key));
    etcdserverpb::RangeResponse response;
    if (absl::Status s = Range(request, &response); !s.ok()) return s;
    Lookup lookup{.kv = std::nullopt, .revision = response.header().revision()};
    if (response.kvs_size() > 0) lookup.kv = FromEtcd(response.kvs(0));
    return lookup;
  }

  absl::StatusOr<Listing> List(std::string_view prefix) override {
    etcdserverpb::RangeRequest request;
    request.set_key(std::string(prefix));
    request.set_range_end(EndOfPrefix(prefix));
    etcdserverpb::RangeResponse response;
    if (absl::Status s = Range(request, &response); !s.ok()) return s;
    Listing listing{.kvs = {}, .revision = response.header().revision()};
    for (const mvccpb::KeyValue& kv : response.kvs()) listing.kvs.push_back(FromEtcd(kv));
    return listing;
  }

  absl::StatusOr<TxnResult> Txn(std::vector<Condition> conditions,
                                std::vector<Mutation> mutations) override {
    etcdserverpb::TxnRequest request;
    for (Condition& condition : conditions) {
      etcdserverpb::Compare* compare = request.add_compare();
      compare->set_result(etcdserverpb::Compare::EQUAL);
      if (condition.on == Condition::On::kCreateRevision) {
        compare->set_target(etcdserverpb::Compare::CREATE);
        compare->set_create_revision(condition.revision);
      } else {
        compare->set_target(etcdserverpb::Compare::MOD);
        compare->set_mod_revision(condition.revision);
      }
      compare->set_key(std::move(condition.key));
    }
    for (Mutation& mutation : mutations) {
      etcdserverpb::RequestOp* op = request.add_success();
      if (mutation.kind == Mutation::Kind::kDelete) {
        op->mutable_request_delete_range()->set_key(std::move(mutation.key));
        continue;
      }
      etcdserverpb::PutRequest* put = op->mutable_request_put();
      put->set_key(std::move(mutation.key));
      put->set_value(std::move(mutation.value));
      put->set_lease(mutation.lease);
    }
    etcdserverpb::TxnResponse response;
    const absl::Status status =
        client_->Call(EtcdClient::Repeat::kNo, [&](EtcdEndpoint& endpoint, auto* context) {
          return endpoint.kv->Txn(context, request, &response);
        });
    if (!status.ok()) return status;
    return TxnResult{.succeeded = response.succeeded(), .revision = response.header().revision()};
  }

  absl::StatusOr<LeaseId> GrantLease(absl::Duration ttl) override {
    etcdserverpb::LeaseGrantRequest request;
    request.set_ttl(absl::ToInt64Seconds(absl::Ceil(ttl, absl::Seconds(1))));
    etcdserverpb::LeaseGrantResponse response;
    // Repeated, it may leave a lease behind that nobody keeps.
    const absl::Status status =
        client_->Call(EtcdClient::Repeat::kYes, [&](EtcdEndpoint& endpoint, auto* context) {
          return endpoint.lease->LeaseGrant(context, request, &response);
        });
    if (!status.ok()) return status;
    return response.id();
  }

  absl::Status KeepAlive(LeaseId lease) override {
    etcdserverpb::LeaseKeepAliveRequest request;
    request.set_id(lease);
    etcdserverpb::LeaseKeepAliveResponse response;
    absl::Status status =
        client_->Call(EtcdClient::Repeat::kYes, [&](EtcdEndpoint& endpoint, auto* context) {
          // etcd has it as a stream only.
          auto stream = endpoint.lease->LeaseKeepAlive(context);
          const bool answered = stream->Write(request) && stream->Read(&response);
          if (answered) {
            context->TryCancel();
            stream->Finish();
            return grpc::Status::OK;
          }
          return stream->Finish();
        });
    if (!status.ok()) return status;
    if (response.ttl() <= 0) return absl::NotFoundError(absl::StrCat("lease ", lease, ": ended"));
    return absl::OkStatus();
  }

  absl::Status RevokeLease(LeaseId lease) override {
    etcdserverpb::LeaseRevokeRequest request;
    request.set_id(lease);
    etcdserverpb::LeaseRevokeResponse response;
    return client_->Call(EtcdClient::Repeat::kYes, [&](EtcdEndpoint& endpoint, auto* context) {
      return endpoint.lease->LeaseRevoke(context, request, &response);
    });
  }

  std::unique_ptr<Watch> WatchPrefix(std::string_view prefix, int64_t from_revision,
                                     WatchCallback callback) override {
    grpc::CompletionQueue* const queue =
        own_poller_ != nullptr ? own_poller_->queue() : options_.queue;
    return MakeEtcdWatch(this, client_.get(), queue, std::string(prefix), from_revision,
                         options_.retry_after, std::move(callback));
  }

  absl::Status Compact(int64_t revision) override {
    etcdserverpb::CompactionRequest request;
    request.set_revision(revision);
    etcdserverpb::CompactionResponse response;
    return client_->Call(EtcdClient::Repeat::kYes, [&](EtcdEndpoint& endpoint, auto* context) {
      return endpoint.kv->Compact(context, request, &response);
    });
  }

 private:
  absl::Status Range(const etcdserverpb::RangeRequest& request,
                     etcdserverpb::RangeResponse* response) {
    return client_->Call(EtcdClient::Repeat::kYes, [&](EtcdEndpoint& endpoint, auto* context) {
      return endpoint.kv->Range(context, request, response);
    });
  }

  const EtcdOptions options_;
  const std::unique_ptr<EtcdClient> client_;
  std::unique_ptr<rpc::Poller> own_poller_;
};

}  // namespace

absl::Status EtcdOptions::Validate() const {
  if (endpoints.empty()) return absl::InvalidArgumentError("etcd: no endpoint");
  if (user.empty() && !password.empty()) {
    return absl::InvalidArgumentError("etcd: a password without a user");
  }
  if (!tls && !(ca_file.empty() && certificate_file.empty() && key_file.empty())) {
    return absl::InvalidArgumentError("etcd: certificates without TLS");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Coordinator>> MakeEtcdCoordinator(const EtcdOptions& options) {
  if (absl::Status s = options.Validate(); !s.ok()) return s;
  auto client = EtcdClient::Create(options);
  if (!client.ok()) return client.status();
  return std::make_unique<EtcdCoordinator>(options, *std::move(client));
}

}  // namespace atoll::cluster
