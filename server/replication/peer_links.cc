#include "server/replication/peer_links.h"

#include <grpcpp/alarm.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/logging.h"
#include "rpc/channel.h"
#include "rpc/completion_queue.h"
#include "rpc/wire/peer_codec.h"
#include "server/replication/afterwards.h"

namespace atoll::replication {
namespace {

constexpr std::chrono::milliseconds kFirstBackoff{50};
constexpr std::chrono::milliseconds kMaxBackoff{1000};
constexpr char kLinkMethod[] = "/atoll.internal.v1.PeerService/Link";
// A message of this size is worth its cost, whatever is under way.
constexpr uint64_t kEnoughBytes = 256 << 10;

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
        stub_(std::make_unique<grpc::GenericStub>(
            MakeLinkChannel(address, links->options_.credentials))) {}

  void Dial(const std::string& cluster_id) {
    base::MutexLock lock(mu_);
    cluster_id_ = cluster_id;
    DialLocked();
  }

  // False if it was dropped.
  bool Send(const internal::v1::PeerMessage& message) {
    const size_t size = message.ByteSizeLong();
    base::MutexLock lock(mu_);
    if (!TakesLocked(size)) return false;
    // Heartbeats carry leases and are in no order with the rest: they do not wait behind values,
    // nor for answers. Nor does what is seldom.
    const bool beat = message.has_heartbeat() || message.has_heartbeat_ack();
    AppendLocked(message, size, beat ? &beats_ : &BackLocked().out);
    urgent_ = true;
    QueuedLocked();
    return true;
  }

  bool SendAlong(const internal::v1::PeerMessage& message) {
    const size_t size = message.ByteSizeLong();
    base::MutexLock lock(mu_);
    // What is behind already is not to fall further behind.
    if (!TakesLocked(size) || waiting_bytes_ + size > kEnoughBytes) return false;
    AppendLocked(message, size, &BackLocked().out);
    QueuedLocked();
    return true;
  }

  bool Send(const wire::AppendToSend& append) {
    base::MutexLock lock(mu_);
    size_t size = 0;
    for (const wire::EncodedRecord& record : append.records) size += record.bytes.size();
    if (!TakesLocked(size)) return false;
    Queued& back = BackLocked();
    const size_t before = back.out.size();
    wire::AppendItem(append, &back.out);
    waiting_bytes_ += back.out.size() - before;
    if (!append.records.empty()) back.asks = true;
    QueuedLocked();
    return true;
  }

  bool Send(absl::Span<const wire::AppendAck> acks) {
    base::MutexLock lock(mu_);
    if (!TakesLocked(0)) return false;
    wire::Output& out = BackLocked().out;
    const size_t before = out.size();
    for (const wire::AppendAck& ack : acks) wire::AppendItem(ack, &out);
    waiting_bytes_ += out.size() - before;
    answers_ = true;
    QueuedLocked();
    return true;
  }

  // What the peer's own link told.
  void OnNumbers(uint64_t number, uint64_t received) {
    base::MutexLock lock(mu_);
    received_ = std::max(received_, number);
    answered_ = std::max(answered_, received);
  }

  void Flush() {
    base::MutexLock lock(mu_);
    if (MayWriteLocked()) StartLocked();
    if (waiting_bytes_ > 0 && !woken_) links_->KeepBack();
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
    stream_.reset();  // it lies in the memory of its context's call
    context_ = std::make_unique<grpc::ClientContext>();
    failed_ = false;
    up_ = false;
    DropLocked();
    stream_ = stub_->PrepareCall(context_.get(), kLinkMethod, links_->options_.queue);
    answered_ = number_;
    under_way_ = 1;
    stream_->StartCall(started_.Arm());
  }

  void OnStarted(bool ok) {
    base::MutexLock lock(mu_);
    --under_way_;
    if (!ok || failed_) return FailLocked();
    internal::v1::LinkRequest first;
    internal::v1::LinkHello& hello = *first.mutable_hello();
    hello.set_cluster_id(cluster_id_);
    hello.set_from_incarnation(links_->options_.self.value());
    hello.set_to_incarnation(to_.value());
    const std::string bytes = first.SerializeAsString();
    const grpc::Slice slice(bytes);
    writing_ = true;
    under_way_ += 2;
    stream_->Write(grpc::ByteBuffer(&slice, 1), wrote_.Arm());
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
    if (MayWriteLocked()) WriteLocked();
  }

  // What leaves as one message.
  struct Queued {
    wire::Output out;
    bool asks = false;  // has records, which are to be acknowledged
  };

  bool TakesLocked(size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (!up_ || failed_ || closing_) return false;
    return waiting_bytes_ == 0 || waiting_bytes_ + bytes <= links_->options_.max_queue_bytes;
  }

  Queued& BackLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (queue_.empty() || queue_.back()->out.size() >= links_->options_.batch_bytes) {
      queue_.push_back(spare_ != nullptr ? std::move(spare_) : std::make_unique<Queued>());
      queue_.back()->out.Expect(usual_bytes_);
    }
    return *queue_.back();
  }

  // `size` is the message's, computed just now.
  void AppendLocked(const internal::v1::PeerMessage& message, size_t size, wire::Output* out)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const size_t before = out->size();
    uint8_t* const place = wire::ReserveItem(size, out);
    message.SerializeWithCachedSizesToArray(place);
    out->Advance(place + size);
    waiting_bytes_ += out->size() - before;
  }

  // Something was added.
  void QueuedLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    // Told before it is asked whether somebody holds: see `holders_`.
    if ((waiting_bytes_ > links_->options_.batch_bytes || !links_->KeepBack()) &&
        MayWriteLocked()) {
      StartLocked();
    }
  }

  // A thread of the queue writes: nobody waits for the socket under a partition's mutex, and what
  // other threads send until it runs leaves as well.
  void StartLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    // Heartbeats do not wait for a thread, nor behind a large value that is for another node.
    if (urgent_ || waiting_bytes_ > kEnoughBytes) return WriteLocked();
    WakeLocked();
  }

  void WakeLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (std::exchange(woken_, true)) return;
    ++under_way_;
    wake_alarm_.Set(links_->options_.queue, gpr_time_0(GPR_CLOCK_MONOTONIC), wake_.Arm());
  }

  // Where others want the processor, what they do next mostly goes by the next message: they run
  // first, and their records leave as well. Nobody is there to wait for where it is idle.
  void OnWake(bool) {
    sched_yield();
    base::MutexLock lock(mu_);
    --under_way_;
    woken_ = false;
    if (failed_) return FailLocked();
    if (MayWriteLocked()) WriteLocked();
  }

  // A message costs both ends as much as dozens of records, so that a few large ones are worth more
  // than many small ones sent early: while one that asks is unanswered, the next waits. Two nodes
  // that both wait would wait for each other: the lesser one's answers go at once, with all that
  // has gathered, so that under load one message goes back and forth between them.
  bool MayWriteLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (writing_ || !up_ || failed_ || waiting_bytes_ == 0) return false;
    if (answered_ >= asked_ || urgent_) return true;
    if (answers_ && links_->options_.self < to_) return true;
    return waiting_bytes_ > kEnoughBytes || Now() - asked_at_ > links_->options_.patience;
  }

  static absl::Duration Now() { return base::Clock::Real().BootTime(); }

  void WriteLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (queue_.empty()) BackLocked();
    // Not behind a large value, in the same message either.
    if (!beats_.empty() && queue_.front()->out.size() > kEnoughBytes) {
      queue_.push_front(std::make_unique<Queued>());
    }
    std::unique_ptr<Queued> next = std::move(queue_.front());
    queue_.pop_front();
    usual_bytes_ = std::max(next->out.size() + next->out.size() / 4, usual_bytes_ / 2);
    next->out.Splice(beats_);
    waiting_bytes_ -= next->out.size();
    wire::AppendNumbers(++number_, received_, &next->out);
    if (std::exchange(next->asks, false)) {
      asked_ = number_;
      asked_at_ = Now();
    }
    const grpc::ByteBuffer message = next->out.Finish();
    if (queue_.empty()) {
      answers_ = false;
      urgent_ = false;
    }
    spare_ = std::move(next);
    writing_ = true;
    links_->written_.fetch_add(1, std::memory_order_relaxed);
    ++under_way_;
    stream_->Write(message, wrote_.Arm());
  }

  void DropLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    queue_.clear();
    beats_.Clear();
    waiting_bytes_ = 0;
    answers_ = false;
    urgent_ = false;
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
      DropLocked();
      if (!closing_) {
        ++under_way_;
        alarm_.Set(links_->options_.queue, std::chrono::system_clock::now() + backoff_,
                   again_.Arm());
        backoff_ = std::min(backoff_ * 2, kMaxBackoff);
        return;
      }
      EndLocked();
    }
    links_->Gone(this);
  }

  void OnAgain(bool) {
    {
      base::MutexLock lock(mu_);
      --under_way_;
      if (!closing_) return DialLocked();
      EndLocked();
    }
    links_->Gone(this);
  }

  void EndLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    stream_.reset();
    context_.reset();
    stub_.reset();
    spare_.reset();
  }

  PeerLinks* const links_;
  const base::Incarnation to_;
  Op started_{this, &Link::OnStarted};
  Op read_{this, &Link::OnRead};
  Op wrote_{this, &Link::OnWrote};
  Op finished_{this, &Link::OnFinished};
  Op again_{this, &Link::OnAgain};
  Op wake_{this, &Link::OnWake};

  base::Mutex mu_;
  std::string cluster_id_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<grpc::GenericStub> stub_ ABSL_GUARDED_BY(mu_);  // until the end
  std::unique_ptr<grpc::ClientContext> context_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_ ABSL_GUARDED_BY(mu_);
  bool woken_ ABSL_GUARDED_BY(mu_) = false;
  grpc::Alarm wake_alarm_ ABSL_GUARDED_BY(mu_);
  grpc::Alarm alarm_ ABSL_GUARDED_BY(mu_);
  grpc::ByteBuffer in_ ABSL_GUARDED_BY(mu_);
  grpc::Status status_ ABSL_GUARDED_BY(mu_);
  // What waits: heartbeats, and the rest in order.
  wire::Output beats_ ABSL_GUARDED_BY(mu_);
  std::deque<std::unique_ptr<Queued>> queue_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<Queued> spare_ ABSL_GUARDED_BY(mu_);
  uint64_t waiting_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  size_t usual_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  bool answers_ ABSL_GUARDED_BY(mu_) = false;  // acknowledgements are among it
  bool urgent_ ABSL_GUARDED_BY(mu_) = false;
  // Numbers of messages: of the last one written, of the last one that asks, of the last one that
  // the peer said it had when it wrote; and of its own, the last one that came.
  uint64_t number_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t asked_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t answered_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t received_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Duration asked_at_ ABSL_GUARDED_BY(mu_);
  std::chrono::milliseconds backoff_ ABSL_GUARDED_BY(mu_) = kFirstBackoff;
  int under_way_ ABSL_GUARDED_BY(mu_) = 0;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool up_ ABSL_GUARDED_BY(mu_) = false;
  bool failed_ ABSL_GUARDED_BY(mu_) = false;
  bool closing_ ABSL_GUARDED_BY(mu_) = false;
};

PeerLinks::PeerLinks(const PeerLinksOptions& options) : options_(options) {
  base::MutexLock lock(mu_);
  PublishLocked({});
}

PeerLinks::~PeerLinks() { Stop(); }

void PeerLinks::Stop() {
  base::MutexLock lock(mu_);
  if (!stopped_) {
    stopped_ = true;
    PublishLocked({});
    for (const auto& [at, link] : links_) link->Close();
  }
  while (!links_.empty()) gone_.Wait(mu_);
}

void PeerLinks::Gone(Link* link) {
  base::MutexLock lock(mu_);
  auto found = links_.extract(link);
  readers_.Retire(std::move(found.mapped()));
  gone_.SignalAll();
}

PeerLinks::Link* PeerLinks::Find(base::Incarnation to) const {
  for (const auto& [node, link] : *routes_.load()) {
    if (node == to) return link;
  }
  return nullptr;
}

template <typename Message>
void PeerLinks::SendAny(base::Incarnation to, const Message& message) {
  {
    const ReadEpochs::Reader reading(readers_);
    Link* const link = Find(to);
    if (link != nullptr && link->Send(message)) return;
  }
  dropped_.fetch_add(1, std::memory_order_relaxed);
}

void PeerLinks::Send(base::Incarnation to, const internal::v1::PeerMessage& message) {
  SendAny(to, message);
}

void PeerLinks::SendAppend(base::Incarnation to, const wire::AppendToSend& append) {
  SendAny(to, append);
}

// Acknowledgements of what this thread is being handed, to its sender.
struct PeerLinks::Acks {
  const PeerLinks* links;
  base::Incarnation to;
  std::vector<wire::AppendAck> acks;
  static thread_local Acks* current;
};
thread_local PeerLinks::Acks* PeerLinks::Acks::current = nullptr;

void PeerLinks::SendAck(base::Incarnation to, const wire::AppendAck& ack) {
  Acks* const gathered = Acks::current;
  if (gathered != nullptr && gathered->links == this && gathered->to == to) {
    gathered->acks.push_back(ack);
  } else {
    SendAny(to, absl::MakeConstSpan(&ack, 1));
  }
}

bool PeerLinks::SendAlong(base::Incarnation to, const internal::v1::PeerMessage& message) {
  const ReadEpochs::Reader reading(readers_);
  Link* const link = Find(to);
  return link != nullptr && link->SendAlong(message);
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
  const ReadEpochs::Reader reading(readers_);
  for (const auto& [to, link] : *routes_.load()) link->Flush();
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

absl::Status PeerLinks::OnMessages(base::Incarnation from, wire::Input& input) {
  if (receiver_ == nullptr) return {};
  wire::LinkMessage message;
  std::string canonical;
  if (!input.Load()) return absl::InvalidArgumentError("message: malformed");
  if (!wire::Decode(input, &message)) {
    // A hello, or written by a later version: what is left of it without what is not known here.
    internal::v1::LinkRequest request;
    grpc::ProtoBufferReader reader(input.buffer());
    if (!request.ParseFromZeroCopyStream(&reader)) {
      return absl::InvalidArgumentError("message: malformed");
    }
    request.clear_hello();
    request.DiscardUnknownFields();
    canonical = request.SerializeAsString();
    const std::string_view piece = canonical;
    input.Load(absl::MakeConstSpan(&piece, 1));
    if (!wire::Decode(input, &message)) return absl::InternalError("message: not read by hand");
  }
  {
    const ReadEpochs::Reader reading(readers_);
    if (Link* const link = Find(from); link != nullptr) {
      link->OnNumbers(message.number, message.received);
    }
  }
  // Acknowledgements leave together, and answers to callers do.
  const Afterwards::Scope scope;
  Hold();
  Acks gathered{.links = this, .to = from, .acks = {}};
  gathered.acks.reserve(message.items.size());
  Acks* const outer = std::exchange(Acks::current, &gathered);
  receiver_->OnItems(from, message.items);
  Acks::current = outer;
  if (!gathered.acks.empty()) SendAny(from, absl::MakeConstSpan(gathered.acks));
  // Also if nothing was sent: what waited for this message may go.
  kept_back_.store(true);
  Release();
  return {};
}

void PeerLinks::PublishLocked(Routes routes) {
  auto before = std::exchange(published_, std::make_shared<const Routes>(std::move(routes)));
  routes_.store(published_.get());
  if (before != nullptr) readers_.Retire(std::move(before));
}

void PeerLinks::OnMap(const cluster::MapPtr& map) {
  std::vector<Link*> made;
  base::MutexLock lock(mu_);
  if (stopped_) return;
  cluster_id_ = map->cluster_id;
  Routes wanted;
  wanted.reserve(map->members.size());
  for (const ring::Member& member : map->members) {
    if (member.incarnation == options_.self || member.state == ring::MemberState::kDown) continue;
    if (Link* const link = Find(member.incarnation); link != nullptr) {
      wanted.emplace_back(member.incarnation, link);
      continue;
    }
    const auto listener =
        std::find_if(member.listeners.begin(), member.listeners.end(),
                     [&](const ring::MemberListener& l) { return l.name == options_.listener; });
    if (listener == member.listeners.end()) continue;
    auto link = std::make_shared<Link>(this, member.incarnation, listener->address);
    made.push_back(link.get());
    wanted.emplace_back(member.incarnation, link.get());
    links_.emplace(link.get(), std::move(link));
  }
  readers_.Reclaim();
  if (wanted == *published_) return;
  // Found by nobody before it is closed: one that has ended is let go of (Gone).
  std::vector<Link*> unwanted;
  for (const auto& route : *published_) {
    if (std::find(wanted.begin(), wanted.end(), route) == wanted.end()) {
      unwanted.push_back(route.second);
    }
  }
  PublishLocked(std::move(wanted));
  for (Link* link : unwanted) link->Close();
  for (Link* link : made) link->Dial(cluster_id_);
}

size_t PeerLinks::kept() const {
  base::MutexLock lock(mu_);
  return links_.size() + 1 + readers_.waiting();
}

int PeerLinks::up() const {
  const ReadEpochs::Reader reading(readers_);
  const Routes& routes = *routes_.load();
  return static_cast<int>(
      std::count_if(routes.begin(), routes.end(), [](const auto& at) { return at.second->up(); }));
}

}  // namespace atoll::replication
