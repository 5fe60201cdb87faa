#include "rpc/poller_pool.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "rpc/completion_queue.h"

namespace atoll::rpc {
namespace {

// Of its time: who has no more to spare has no rest.
constexpr double kRest = 0.05;

Tag::Work WorkOf(const EventThreads::Event& event) {
  AcquireFromGrpc(event.tag);
  return static_cast<Tag*>(event.tag)->work();
}

}  // namespace

PollerPool::PollerPool(const Options& options, std::unique_ptr<grpc::ServerCompletionQueue> queue)
    : EventThreads({.name = options.name, .threads = options.threads, .always = options.always}),
      name_(options.name),
      rare_(options.rare),
      queue_(std::move(queue)),
      patient_(options.patient == 0 ? nullptr
                                    : std::make_unique<PatientThreads>(
                                          absl::StrCat("patient-", options.name), options.patient)),
      attentive_(queue_.get()) {}

PollerPool::~PollerPool() { Stop(); }

void PollerPool::Start() {
  if (patient_ != nullptr) patient_->Start();
  if (rare_ > absl::ZeroDuration()) {
    rarely_ = std::thread([this] { RunRarely(); });
  } else {
    EventThreads::Start();
  }
}

void PollerPool::Stop() {
  if (std::exchange(stopped_, true)) return;
  {
    base::MutexLock lock(mu_);
    stopping_ = true;
    changed_.SignalAll();
  }
  queue_->Shutdown();
  WakeToEnd();
  if (rarely_.joinable()) {
    rarely_.join();
  } else if (!Join()) {
    // Never started: the queue must be drained all the same.
    Event event;
    for (Taken taken = Taken::kNothing; (taken = Take(event)) != Taken::kEnd;) {
      if (taken == Taken::kEvent) Finish(event.tag, event.ok);
    }
  }
  if (patient_ != nullptr) patient_->Stop();
}

EventThreads::Taken PollerPool::Take(Event& event) {
  const auto status = attentive_.Next(AttentiveQueue::Time::max(), &event.tag, &event.ok);
  if (status != grpc::CompletionQueue::GOT_EVENT) return Taken::kEnd;
  if (patient_ == nullptr) return Taken::kEvent;
  const Tag::Work work = WorkOf(event);
  Note(work);
  return HandsOn(event, work) ? Taken::kElsewhere : Taken::kEvent;
}

EventThreads::Taken PollerPool::TakeHelping(Event& event) {
  const auto until = std::chrono::system_clock::now() + absl::ToChronoMilliseconds(kHelp);
  switch (queue_->AsyncNext(&event.tag, &event.ok, until)) {
    case grpc::CompletionQueue::SHUTDOWN:
      return Taken::kEnd;
    case grpc::CompletionQueue::TIMEOUT:
      return Taken::kNothing;
    case grpc::CompletionQueue::GOT_EVENT:
      if (patient_ == nullptr) return Taken::kEvent;
      return HandsOn(event, WorkOf(event)) ? Taken::kElsewhere : Taken::kEvent;
  }
  return Taken::kNothing;
}

void PollerPool::Note(Tag::Work work) {
  // Nobody knows from how long it took to get an event whether that was waiting: gRPC reads and
  // writes meanwhile, for all sockets.
  const absl::Duration now = attentive_.done_at();
  if (now - since_ >= kBehind) {
    const absl::Duration busy = Worked() + Waited();
    no_rest_ = busy - busy_before_ > (now - since_) * (1 - kRest);
    since_ = now;
    busy_before_ = busy;
  }
  // With one or two clients it comes around to its peers soon, without any rest.
  if (work == Tag::Work::kPeers) peers_at_ = now;
  behind_.store(no_rest_ && now - peers_at_ >= kBehind, std::memory_order_relaxed);
}

bool PollerPool::HandsOn(const Event& event, Tag::Work work) {
  if (work != Tag::Work::kClients) return false;
  if (!behind_.load(std::memory_order_relaxed) && patient_->empty()) return false;
  patient_->Push(event);
  return true;
}

void PollerPool::RunRarely() {
  NameThread(name_);
  Event event;
  while (true) {
    switch (queue_->AsyncNext(&event.tag, &event.ok, std::chrono::system_clock::now())) {
      case grpc::CompletionQueue::SHUTDOWN:
        return;
      case grpc::CompletionQueue::GOT_EVENT:
        Finish(event.tag, event.ok);
        break;
      case grpc::CompletionQueue::TIMEOUT: {
        base::MutexLock lock(mu_);
        if (!stopping_) changed_.WaitFor(mu_, rare_);
        break;
      }
    }
  }
}

}  // namespace atoll::rpc
