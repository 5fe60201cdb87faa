#include "client/topology_watch.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/random/random.h"
#include "atoll/v1/topology.grpc.pb.h"
#include "rpc/completion_queue.h"
#include "rpc/status.h"
#include "rpc/timers.h"

namespace atoll::client {
namespace {

constexpr absl::Duration kFirstBackoff = absl::Milliseconds(20);
constexpr absl::Duration kLongestBackoff = absl::Seconds(1);

}  // namespace

class TopologyWatch::Event final : public rpc::Tag {
 public:
  Event(TopologyWatch* watch, void (TopologyWatch::*handler)(bool))
      : watch_(watch), handler_(handler) {}
  void Proceed(bool ok) override { (watch_->*handler_)(ok); }

 private:
  TopologyWatch* const watch_;
  void (TopologyWatch::*const handler_)(bool);
};

struct TopologyWatch::Session {
  explicit Session(TopologyWatch* watch)
      : started(watch, &TopologyWatch::OnStarted),
        read(watch, &TopologyWatch::OnRead),
        finished(watch, &TopologyWatch::OnFinished) {}
  LinkPtr link;  // Keeps the channel.
  std::unique_ptr<v1::TopologyService::Stub> stub;
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientAsyncReader<v1::WatchTopologyResponse>> call;
  v1::WatchTopologyResponse incoming;
  // What deltas of this stream are laid over.
  std::shared_ptr<const ring::PlacementMap> known;
  grpc::Status status;
  Event started, read, finished;
};

TopologyWatch::TopologyWatch(Nodes* nodes, OnMap on_map)
    : nodes_(nodes), on_map_(std::move(on_map)) {}

TopologyWatch::~TopologyWatch() { Stop(); }

void TopologyWatch::Start() { Connect(); }

void TopologyWatch::Connect() {
  const std::vector<std::string> candidates = nodes_->Candidates();
  Session* session = nullptr;
  {
    base::MutexLock lock(mu_);
    if (stopped_) return;
    const LinkPtr link = nodes_->Link(candidates[next_candidate_++ % candidates.size()]);
    if (link == nullptr) return;
    session_ = std::make_unique<Session>(this);
    session = session_.get();
    session->link = link;
    session->stub = v1::TopologyService::NewStub(link->bulk());
    // Each stream starts from the whole map: a node that serves another cluster is noticed so.
    session->call = session->stub->PrepareAsyncWatchTopology(
        &session->context, v1::WatchTopologyRequest(), nodes_->io(0).poller->queue());
  }
  session->call->StartCall(session->started.Arm());
}

// While a tag is under way the session stays: only OnFinished destroys it.
void TopologyWatch::OnStarted(bool ok) {
  Session* session = nullptr;
  {
    base::MutexLock lock(mu_);
    session = session_.get();
  }
  if (ok) {
    session->call->Read(&session->incoming, session->read.Arm());
  } else {
    session->call->Finish(&session->status, session->finished.Arm());
  }
}

void TopologyWatch::OnRead(bool ok) {
  Session* session = nullptr;
  {
    base::MutexLock lock(mu_);
    session = session_.get();
  }
  if (ok) {
    auto map = ring::DecodeMap(session->incoming.map(), session->known.get());
    if (map.ok()) {
      session->known = std::make_shared<const ring::PlacementMap>(*std::move(map));
      {
        base::MutexLock lock(mu_);
        backoff_ = absl::ZeroDuration();
      }
      on_map_(session->known);
      session->call->Read(&session->incoming, session->read.Arm());
      return;
    }
    session->context.TryCancel();
    base::MutexLock lock(mu_);
    last_error_ = map.status();
  }
  session->call->Finish(&session->status, session->finished.Arm());
}

void TopologyWatch::OnFinished(bool /*ok*/) {
  thread_local absl::BitGen random;
  absl::Duration delay;
  {
    base::MutexLock lock(mu_);
    const absl::Status status = rpc::FromGrpc(session_->status);
    if (!status.ok()) last_error_ = status;
    session_.reset();
    backoff_ = std::clamp(backoff_ * 2, kFirstBackoff, kLongestBackoff);
    delay = backoff_ * absl::Uniform(random, 0.5, 1.0);
    if (!stopped_) nodes_->io(0).timers->After(delay, [this] { Connect(); });
    idle_.SignalAll();
  }
}

void TopologyWatch::Stop() {
  // The timer may have a Connect to run: from here on it does nothing, and the timers are stopped
  // before this object goes (Nodes::Stop).
  base::MutexLock lock(mu_);
  stopped_ = true;
  if (session_ != nullptr) session_->context.TryCancel();
  while (session_ != nullptr) idle_.Wait(mu_);
}

absl::Status TopologyWatch::last_error() const {
  base::MutexLock lock(mu_);
  return last_error_;
}

}  // namespace atoll::client
