#include "server/routing/peer_forwarder.h"

#include <utility>
#include <vector>

#include "atoll/v1/cache.grpc.pb.h"
#include "base/status.h"
#include "rpc/channel.h"
#include "rpc/status.h"
#include "server/routing/value_calls.h"

namespace atoll::routing {
namespace {

absl::Status NoWay(const ring::Member& node) {
  return absl::UnavailableError(absl::StrCat(node.name, ": no link to it"));
}

Forwarder::StreamReply Refused(absl::Status status) {
  Forwarder::StreamReply reply;
  reply.result.status = std::move(status);
  return reply;
}

class FlushCall final : public rpc::Tag {
 public:
  FlushCall(const LinkChannel& channel, const std::string& ns, absl::Duration deadline,
            base::Gate* gate, absl::AnyInvocable<void(absl::StatusOr<uint32_t>)> done)
      : gate_(gate), done_(std::move(done)) {
    context_.AddMetadata(kNoForwardMetadata, "1");
    context_.set_deadline(SystemDeadline(deadline));
    v1::FlushRequest request;
    request.set_namespace_(ns);
    reader_ = v1::CacheService::NewStub(channel.channel)
                  ->PrepareAsyncFlush(&context_, request, channel.queue);
    reader_->StartCall();
    reader_->Finish(&response_, &status_, Arm());
  }
  void Proceed(bool /*ok*/) override {
    if (status_.ok()) {
      done_(response_.partitions());
    } else {
      done_(rpc::FromGrpc(status_));
    }
    gate_->Leave();
    delete this;
  }

 private:
  base::Gate* const gate_;
  absl::AnyInvocable<void(absl::StatusOr<uint32_t>)> done_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<v1::FlushResponse>> reader_;
  v1::FlushResponse response_;
  grpc::Status status_;
};

}  // namespace

PeerForwarder::PeerForwarder(grpc::CompletionQueue* queue, rpc::Timers* timers, ByteBudget* budget,
                             const base::Clock* cluster_clock,
                             std::shared_ptr<grpc::ChannelCredentials> credentials)
    : queue_(queue),
      timers_(timers),
      credentials_(std::move(credentials)),
      budget_(budget),
      clock_(cluster_clock) {}

PeerForwarder::~PeerForwarder() { Stop(); }

PeerForwarder::LinkPtr PeerForwarder::LinkTo(const ring::Member& node) {
  base::MutexLock lock(mu_);
  if (stopped_) return nullptr;
  LinkPtr& link = links_[node.incarnation];
  if (link != nullptr) return link;
  for (const ring::MemberListener& listener : node.listeners) {
    if (listener.name != "peer") continue;
    link = std::make_shared<Link>();
    link->channel = rpc::MakeChannel(listener.address, credentials_);
    link->bulk =
        std::make_unique<grpc::GenericStub>(rpc::MakeChannel(listener.address, credentials_));
    link->stream = std::make_unique<rpc::BatchStream>(link->channel, queue_, timers_,
                                                      rpc::BatchStreamOptions{.one_thread = false});
    return link;
  }
  links_.erase(node.incarnation);
  return nullptr;
}

void PeerForwarder::Forward(const ring::Member& owner, rpc::OperationBytes operation,
                            absl::Duration deadline, rpc::BatchStream::Done done,
                            rpc::BatchStream::Departs departs) {
  const LinkPtr link = LinkTo(owner);
  if (link == nullptr) return done({NoWay(owner), rpc::Fate::kNotSent, nullptr});
  link->stream->Start(std::move(operation), deadline, std::move(done), std::move(departs));
}

void PeerForwarder::Fetch(const ring::Member& owner, const replication::Operation& get,
                          StreamDone done) {
  const LinkPtr link = LinkTo(owner);
  if (link == nullptr || !calls_.Enter()) return done(Refused(NoWay(owner)));
  StartFetch(link->bulk.get(), queue_, budget_, clock_, get,
             [this, link, done = std::move(done)](StreamReply reply) mutable {
               done(std::move(reply));
               calls_.Leave();
             });
}

void PeerForwarder::Store(const ring::Member& owner, const replication::Operation& set,
                          StreamDone done) {
  const LinkPtr link = LinkTo(owner);
  if (link == nullptr || !calls_.Enter()) return done(Refused(NoWay(owner)));
  StartStore(link->bulk.get(), queue_, set,
             [this, link, done = std::move(done)](StreamReply reply) mutable {
               done(std::move(reply));
               calls_.Leave();
             });
}

void PeerForwarder::Flush(const ring::Member& node, const cluster::NamespacePtr& ns,
                          absl::Duration deadline,
                          absl::AnyInvocable<void(absl::StatusOr<uint32_t>)> done) {
  const LinkPtr link = LinkTo(node);
  if (link == nullptr || !calls_.Enter()) return done(NoWay(node));
  new FlushCall({link->channel, queue_}, ns->name, deadline, &calls_, std::move(done));
}

void PeerForwarder::Prune(const ring::PlacementMap& map) {
  std::vector<LinkPtr> dropped;
  {
    base::MutexLock lock(mu_);
    for (auto it = links_.begin(); it != links_.end();) {
      const ring::Member* member = map.FindMember(it->first);
      if (member == nullptr || member->state == ring::MemberState::kDown) {
        dropped.push_back(std::move(it->second));
        links_.erase(it++);
      } else {
        ++it;
      }
    }
  }
  // Their operations fail here, with no lock held.
  for (const LinkPtr& link : dropped) link->stream->Shutdown();
}

void PeerForwarder::Stop() {
  absl::flat_hash_map<base::Incarnation, LinkPtr> links;
  {
    base::MutexLock lock(mu_);
    if (std::exchange(stopped_, true)) return;
    links.swap(links_);
  }
  for (auto& [node, link] : links) link->stream->Stop();
  calls_.Close();
  // Every call has a deadline.
  calls_.Drain(absl::InfiniteDuration());
}

}  // namespace atoll::routing
