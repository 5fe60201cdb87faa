#include "server/cluster/etcd_watch.h"

#include <optional>
#include <thread>
#include <utility>

#include "rpc/completion_queue.h"

namespace atoll::cluster {
namespace {

// The end of one operation at a time of a stream, told by whoever serves its queue.
class Event final : public rpc::Tag {
 public:
  void Proceed(bool ok) override {
    base::MutexLock lock(mu_);
    told_ = ok;
    changed_.SignalAll();
  }
  // gRPC's word on it.
  bool Await() {
    base::MutexLock lock(mu_);
    while (!told_) changed_.Wait(mu_);
    const bool ok = *told_;
    told_.reset();
    return ok;
  }

 private:
  base::Mutex mu_;
  base::CondVar changed_;
  std::optional<bool> told_ ABSL_GUARDED_BY(mu_);
};

class EtcdWatch final : public Watch {
 public:
  EtcdWatch(Coordinator* coordinator, EtcdClient* client, grpc::CompletionQueue* queue,
            std::string prefix, int64_t from_revision, absl::Duration retry_after,
            Coordinator::WatchCallback callback)
      : coordinator_(coordinator),
        client_(client),
        queue_(queue),
        prefix_(std::move(prefix)),
        retry_after_(retry_after),
        callback_(std::move(callback)),
        next_(from_revision),
        thread_([this] { Run(); }) {}

  ~EtcdWatch() override {
    {
      base::MutexLock lock(mu_);
      stopping_ = true;
      if (context_ != nullptr) context_->TryCancel();
    }
    changed_.SignalAll();
    thread_.join();
  }

 private:
  bool stopping() ABSL_LOCKS_EXCLUDED(mu_) {
    base::MutexLock lock(mu_);
    return stopping_;
  }

  void Run() {
    while (!stopping()) {
      if (next_ != 0 || TakeSnapshot()) Follow();
      base::MutexLock lock(mu_);
      // A snapshot is due at once, unless it was the snapshot that failed.
      if (!stopping_ && (next_ != 0 || snapshot_failed_)) changed_.WaitFor(mu_, retry_after_);
    }
  }

  bool TakeSnapshot() {
    absl::StatusOr<Listing> listing = coordinator_->List(prefix_);
    snapshot_failed_ = !listing.ok();
    if (!listing.ok()) return false;
    WatchUpdate update{.snapshot = true, .events = {}, .revision = listing->revision};
    for (KeyValue& kv : listing->kvs) {
      update.events.push_back({WatchEvent::Kind::kPut, std::move(kv)});
    }
    next_ = listing->revision + 1;
    callback_(update);
    return true;
  }

  // One stream, until it breaks.
  void Follow() {
    EtcdEndpoint& endpoint = client_->endpoint();
    if (!client_->Connect(endpoint).ok()) return;
    grpc::ClientContext context;
    // A member of etcd that has lost its leader breaks the stream, instead of being silent.
    context.AddMetadata("hasleader", "true");
    if (!client_->Prepare(endpoint, &context).ok()) return;
    {
      base::MutexLock lock(mu_);
      if (stopping_) return;
      context_ = &context;
    }
    etcdserverpb::WatchRequest request;
    etcdserverpb::WatchCreateRequest* create = request.mutable_create_request();
    create->set_key(prefix_);
    create->set_range_end(EndOfPrefix(prefix_));
    create->set_start_revision(next_);
    etcdserverpb::WatchResponse response;
    // On the queue of those who wait for the network anyway: a thread that read the stream itself
    // would take its turns at waiting for all sockets of the node, and hand what came to the
    // threads it is for (rpc::Network), which took a sixth of a busy node's time.
    const auto stream = endpoint.watch->PrepareAsyncWatch(&context, queue_);
    stream->StartCall(event_.Arm());
    bool open = event_.Await();
    if (open) {
      stream->Write(request, event_.Arm());
      open = event_.Await();
    }
    while (open) {
      stream->Read(&response, event_.Arm());
      open = event_.Await() && Handle(response);
    }
    context.TryCancel();
    grpc::Status status;
    stream->Finish(&status, event_.Arm());
    event_.Await();
    {
      base::MutexLock lock(mu_);
      context_ = nullptr;
    }
    client_->OnFailure(endpoint, status);
  }

  // False if the stream is of no use any more.
  bool Handle(const etcdserverpb::WatchResponse& response) {
    if (response.canceled()) {
      if (response.compact_revision() != 0) next_ = 0;
      return false;
    }
    if (response.created()) {
      // Another etcd than before, or one set back to a backup: what was known is worth nothing.
      const uint64_t cluster = response.header().cluster_id();
      const bool other = etcd_cluster_ != 0 && etcd_cluster_ != cluster;
      etcd_cluster_ = cluster;
      if (other || response.header().revision() + 1 < next_) {
        next_ = 0;
        return false;
      }
    }
    for (int i = 0; i < response.events_size();) {
      const int64_t revision = response.events(i).kv().mod_revision();
      WatchUpdate update{.snapshot = false, .events = {}, .revision = revision};
      for (; i < response.events_size() && response.events(i).kv().mod_revision() == revision;
           ++i) {
        const mvccpb::Event& event = response.events(i);
        WatchEvent told;
        told.kind =
            event.type() == mvccpb::Event::PUT ? WatchEvent::Kind::kPut : WatchEvent::Kind::kDelete;
        told.kv = {.key = event.kv().key(),
                   .value = event.kv().value(),
                   .create_revision = event.kv().create_revision(),
                   .mod_revision = revision,
                   .lease = event.kv().lease()};
        update.events.push_back(std::move(told));
      }
      next_ = revision + 1;
      callback_(update);
    }
    return true;
  }

  Coordinator* const coordinator_;
  EtcdClient* const client_;
  grpc::CompletionQueue* const queue_;
  const std::string prefix_;
  const absl::Duration retry_after_;
  const Coordinator::WatchCallback callback_;
  // Of the thread only.
  Event event_;
  int64_t next_;  // first revision not told yet; 0: a snapshot is due
  bool snapshot_failed_ = false;
  uint64_t etcd_cluster_ = 0;

  base::Mutex mu_;
  base::CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mu_) = nullptr;
  std::thread thread_;  // last: starts when all else is there
};

}  // namespace

std::unique_ptr<Watch> MakeEtcdWatch(Coordinator* coordinator, EtcdClient* client,
                                     grpc::CompletionQueue* queue, std::string prefix,
                                     int64_t from_revision, absl::Duration retry_after,
                                     Coordinator::WatchCallback callback) {
  return std::make_unique<EtcdWatch>(coordinator, client, queue, std::move(prefix), from_revision,
                                     retry_after, std::move(callback));
}

}  // namespace atoll::cluster
