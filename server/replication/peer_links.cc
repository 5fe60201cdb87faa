#include "server/replication/peer_links.h"

#include <grpcpp/alarm.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/support/async_stream.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "atoll/internal/v1/peer.grpc.pb.h"
#include "base/logging.h"
#include "rpc/channel.h"
#include "rpc/completion_queue.h"
#include "server/replication/afterwards.h"

namespace atoll::replication {
namespace {

constexpr std::chrono::milliseconds kFirstBackoff{50};
constexpr std::chrono::milliseconds kMaxBackoff{1000};

std::shared_ptr<grpc::Channel> MakeLinkChannel(
    const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  const grpc::ChannelArguments arguments = rpc::ChannelArguments(kMaxLinkMessageBytes);
  return grpc::CreateCustomChannel(
      address, credentials != nullptr ? credentials : grpc::InsecureChannelCredentials(),
      arguments);
}

}  // namespace

// One peer process. Dials, says hello, is up when the peer has answered, and begins again when
// anything fails. At most one write and one read are under way; the call is finished when both are
// back.
class PeerLinks::Link {
 public:
  Link(PeerLinks* links, base::Incarnation to, const std::string& address)
      : links_(links),
        to_(to),
        stub_(internal::v1::PeerService::NewStub(
            MakeLinkChannel(address, links->options_.credentials))) {}

  void Dial(const std::string& cluster_id) {
    base::MutexLock lock(mu_);
    cluster_id_ = cluster_id;
    DialLocked();
  }

  // False if it was dropped.
  bool Send(internal::v1::PeerMessage message) {
    base::MutexLock lock(mu_);
    if (!up_ || failed_ || closing_) return false;
    const uint64_t bytes = message.ByteSizeLong();
    if (queued_bytes_ + bytes > links_->options_.max_queue_bytes && !queue_.empty()) return false;
    queued_bytes_ += bytes;
    // Heartbeats carry leases and are in no order with the rest: they do not wait behind values.
    if (message.has_heartbeat() || message.has_heartbeat_ack()) {
      queue_.emplace_front(std::move(message), bytes);
    } else {
      queue_.emplace_back(std::move(message), bytes);
    }
    if (queued_bytes_ > links_->options_.batch_bytes || !links_->KeepBack()) WriteLocked();
    return true;
  }

  void Flush() {
    base::MutexLock lock(mu_);
    if (up_) WriteLocked();
  }

  void Close() {
    base::MutexLock lock(mu_);
    closing_ = true;
    failed_ = true;
    if (context_ != nullptr) context_->TryCancel();
    alarm_.Cancel();
  }

  bool up() {
    base::MutexLock lock(mu_);
    return up_ && !failed_;
  }

 private:
  // One kind of operation of the call.
  class Op final : public rpc::Tag {
   public:
    Op(Link* link, void (Link::*done)(bool)) : link_(link), done_(done) {}
    void Proceed(bool ok) override { (link_->*done_)(ok); }

   private:
    Link* const link_;
    void (Link::*const done_)(bool);
  };

  void DialLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    context_ = std::make_unique<grpc::ClientContext>();
    failed_ = false;
    up_ = false;
    queue_.clear();
    queued_bytes_ = 0;
    stream_ = stub_->PrepareAsyncLink(context_.get(), links_->poller_->queue());
    under_way_ = 1;
    stream_->StartCall(started_.Arm());
  }

  void OnStarted(bool ok) {
    base::MutexLock lock(mu_);
    --under_way_;
    if (!ok || failed_) return FailLocked();
    out_.Clear();
    internal::v1::LinkHello& hello = *out_.mutable_hello();
    hello.set_cluster_id(cluster_id_);
    hello.set_from_incarnation(links_->options_.self.value());
    hello.set_to_incarnation(to_.value());
    writing_ = true;
    under_way_ += 2;
    stream_->Write(out_, wrote_.Arm());
    stream_->Read(&in_, read_.Arm());
  }

  void OnRead(bool ok) {
    {
      base::MutexLock lock(mu_);
      --under_way_;
      if (!ok || failed_) return FailLocked();
      ++under_way_;
      stream_->Read(&in_, read_.Arm());  // ends when the call does
      if (up_) return;
      up_ = true;
      backoff_ = kFirstBackoff;
    }
    if (links_->receiver_ != nullptr) links_->receiver_->OnLinkUp(to_);
  }

  void OnWrote(bool ok) {
    base::MutexLock lock(mu_);
    --under_way_;
    writing_ = false;
    if (!ok || failed_) return FailLocked();
    WriteLocked();
  }

  void WriteLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (writing_ || queue_.empty() || failed_) return;
    out_.Clear();
    uint64_t bytes = 0;
    while (!queue_.empty() &&
           (bytes == 0 || bytes + queue_.front().second <= links_->options_.batch_bytes)) {
      bytes += queue_.front().second;
      *out_.add_messages() = std::move(queue_.front().first);
      queue_.pop_front();
    }
    queued_bytes_ -= bytes;
    writing_ = true;
    links_->written_.fetch_add(1, std::memory_order_relaxed);
    ++under_way_;
    stream_->Write(out_, wrote_.Arm());
  }

  // Called as each operation comes back after a failure; the last one finishes the call.
  void FailLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (!failed_) {
      failed_ = true;
      context_->TryCancel();
    }
    if (under_way_ > 0) return;
    ++under_way_;
    stream_->Finish(&status_, finished_.Arm());
  }

  void OnFinished(bool) {
    {
      base::MutexLock lock(mu_);
      --under_way_;
      if (up_ && !closing_) {
        base::LogInfo(absl::StrCat("link to node process ", to_.value(),
                                   " broke: ", status_.error_message()));
      }
      up_ = false;
      queue_.clear();
      queued_bytes_ = 0;
      if (!closing_) {
        ++under_way_;
        alarm_.Set(links_->poller_->queue(), std::chrono::system_clock::now() + backoff_,
                   again_.Arm());
        backoff_ = std::min(backoff_ * 2, kMaxBackoff);
        return;
      }
    }
    links_->Gone(this);
  }

  void OnAgain(bool) {
    {
      base::MutexLock lock(mu_);
      --under_way_;
      if (!closing_) return DialLocked();
    }
    links_->Gone(this);
  }

  PeerLinks* const links_;
  const base::Incarnation to_;
  const std::unique_ptr<internal::v1::PeerService::Stub> stub_;
  Op started_{this, &Link::OnStarted};
  Op read_{this, &Link::OnRead};
  Op wrote_{this, &Link::OnWrote};
  Op finished_{this, &Link::OnFinished};
  Op again_{this, &Link::OnAgain};

  base::Mutex mu_;
  std::string cluster_id_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<grpc::ClientContext> context_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<
      grpc::ClientAsyncReaderWriter<internal::v1::LinkRequest, internal::v1::LinkResponse>>
      stream_ ABSL_GUARDED_BY(mu_);
  grpc::Alarm alarm_ ABSL_GUARDED_BY(mu_);
  internal::v1::LinkRequest out_ ABSL_GUARDED_BY(mu_);
  internal::v1::LinkResponse in_ ABSL_GUARDED_BY(mu_);
  grpc::Status status_ ABSL_GUARDED_BY(mu_);
  std::deque<std::pair<internal::v1::PeerMessage, uint64_t>> queue_ ABSL_GUARDED_BY(mu_);
  uint64_t queued_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  std::chrono::milliseconds backoff_ ABSL_GUARDED_BY(mu_) = kFirstBackoff;
  int under_way_ ABSL_GUARDED_BY(mu_) = 0;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool up_ ABSL_GUARDED_BY(mu_) = false;
  bool failed_ ABSL_GUARDED_BY(mu_) = false;
  bool closing_ ABSL_GUARDED_BY(mu_) = false;
};

PeerLinks::PeerLinks(const PeerLinksOptions& options)
    : options_(options), poller_(std::make_unique<rpc::Poller>("atoll-links", options.network)) {
  poller_->Start();
}

PeerLinks::~PeerLinks() { Stop(); }

void PeerLinks::Stop() {
  {
    base::MutexLock lock(mu_);
    if (!stopped_) {
      stopped_ = true;
      links_.clear();
      for (const auto& [link, owned] : all_) link->Close();
    }
    while (!all_.empty()) gone_.Wait(mu_);
  }
  poller_->Stop();
}

void PeerLinks::Gone(Link* link) {
  std::shared_ptr<Link> last;  // ends outside the lock
  base::MutexLock lock(mu_);
  const auto at = all_.find(link);
  last = std::move(at->second);
  all_.erase(at);
  gone_.SignalAll();
}

void PeerLinks::Send(base::Incarnation to, internal::v1::PeerMessage message) {
  std::shared_ptr<Link> link;
  {
    base::MutexLock lock(mu_);
    if (const auto at = links_.find(to); at != links_.end()) link = at->second;
  }
  if (link != nullptr && link->Send(std::move(message))) return;
  base::MutexLock lock(mu_);
  ++dropped_;
}

void PeerLinks::Hold() { holders_.fetch_add(1); }

bool PeerLinks::KeepBack() {
  kept_back_.store(true);
  return holders_.load() > 0;
}

void PeerLinks::Release() {
  holders_.fetch_sub(1);
  if (!kept_back_.exchange(false)) return;
  // Those of others who still hold leave as well: holders may overlap without an end.
  absl::InlinedVector<std::shared_ptr<Link>, 4> links;
  {
    base::MutexLock lock(mu_);
    for (const auto& [to, link] : links_) links.push_back(link);
  }
  for (const auto& link : links) link->Flush();
}

absl::Status PeerLinks::OnHello(const internal::v1::LinkHello& hello) {
  if (hello.to_incarnation() != options_.self.value()) {
    return absl::FailedPreconditionError("the link is meant for an earlier process here");
  }
  base::MutexLock lock(mu_);
  if (!cluster_id_.empty() && hello.cluster_id() != cluster_id_) {
    return absl::FailedPreconditionError(
        absl::StrCat("cluster id: ", hello.cluster_id(), ", here ", cluster_id_));
  }
  return {};
}

void PeerLinks::OnMessages(base::Incarnation from, const internal::v1::LinkRequest& request) {
  if (receiver_ == nullptr) return;
  // Acknowledgements leave together, and answers to callers do.
  const Afterwards::Scope scope;
  Hold();
  for (const internal::v1::PeerMessage& message : request.messages()) {
    receiver_->OnMessage(from, message);
  }
  Release();
}

void PeerLinks::OnMap(const cluster::MapPtr& map) {
  std::vector<std::shared_ptr<Link>> made;
  base::MutexLock lock(mu_);
  if (stopped_) return;
  cluster_id_ = map->cluster_id;
  absl::flat_hash_map<base::Incarnation, std::shared_ptr<Link>> wanted;
  for (const ring::Member& member : map->members) {
    if (member.incarnation == options_.self || member.state == ring::MemberState::kDown) continue;
    if (const auto at = links_.find(member.incarnation); at != links_.end()) {
      wanted.emplace(member.incarnation, at->second);
      continue;
    }
    const auto listener =
        std::find_if(member.listeners.begin(), member.listeners.end(),
                     [&](const ring::MemberListener& l) { return l.name == options_.listener; });
    if (listener == member.listeners.end()) continue;
    auto link = std::make_shared<Link>(this, member.incarnation, listener->address);
    wanted.emplace(member.incarnation, link);
    all_.emplace(link.get(), link);
    made.push_back(std::move(link));
  }
  for (const auto& [incarnation, link] : links_) {
    if (!wanted.contains(incarnation)) link->Close();
  }
  links_ = std::move(wanted);
  for (const auto& link : made) link->Dial(cluster_id_);
}

int PeerLinks::up() const {
  base::MutexLock lock(mu_);
  return static_cast<int>(
      std::count_if(links_.begin(), links_.end(), [](const auto& at) { return at.second->up(); }));
}

uint64_t PeerLinks::dropped() const {
  base::MutexLock lock(mu_);
  return dropped_;
}

}  // namespace atoll::replication
