#include "bench/peers/auto_pipeline.h"

#include <utility>

namespace atoll::bench {

absl::StatusOr<std::unique_ptr<AutoPipeline>> AutoPipeline::Connect(PeerKind kind, uint16_t port,
                                                                    bool one_message) {
  absl::StatusOr<std::unique_ptr<Socket>> socket = Socket::Connect(port);
  if (!socket.ok()) return socket.status();
  std::unique_ptr<AutoPipeline> pipeline(new AutoPipeline(kind, *std::move(socket), one_message));
  pipeline->reader_ = std::thread([raw = pipeline.get()] { raw->ReadAnswers(); });
  return pipeline;
}

AutoPipeline::~AutoPipeline() {
  socket_->Shutdown();
  reader_.join();
}

absl::StatusOr<uint64_t> AutoPipeline::Get(std::string_view request) {
  Waiter waiter;
  {
    base::MutexLock lock(mu_);
    if (!broken_.ok()) return broken_;
    gathered_ += request;
    gathered_waiters_.push_back(&waiter);
    SendLocked();
  }
  while (waiter.answered.load(std::memory_order_acquire) == 0) {
    waiter.answered.wait(0, std::memory_order_acquire);
  }
  if (!waiter.status.ok()) return waiter.status;
  return waiter.hits;
}

void AutoPipeline::SendLocked() {
  // Whoever sends goes on with what gathers meanwhile: the others need not wait for the socket.
  if (sending_) return;
  sending_ = true;
  std::string message;
  while (!gathered_.empty() && !(one_message_ && unanswered_ != 0)) {
    message.clear();
    message.swap(gathered_);
    unanswered_ += gathered_waiters_.size();
    sent_.insert(sent_.end(), gathered_waiters_.begin(), gathered_waiters_.end());
    gathered_waiters_.clear();
    mu_.Unlock();
    // A failure is the reading thread's to tell.
    if (!socket_->Send(message).ok()) socket_->Shutdown();
    mu_.Lock();
  }
  sending_ = false;
}

void AutoPipeline::ReadAnswers() {
  AnswerReader reader(kind_, *socket_);
  std::vector<Waiter*> answered;
  for (;;) {
    absl::Status status = socket_->WaitForBytes();
    if (status.ok()) {
      base::MutexLock lock(mu_);
      expected_.insert(expected_.end(), sent_.begin(), sent_.end());
      sent_.clear();
    }
    // Whatever has come, before anybody is woken.
    answered.clear();
    while (status.ok() && !expected_.empty() && socket_->HasBytes()) {
      const absl::StatusOr<uint64_t> hits = reader.Reads(1);
      status = hits.status();
      if (!hits.ok()) break;
      expected_.front()->hits = *hits;
      answered.push_back(expected_.front());
      expected_.pop_front();
    }
    {
      base::MutexLock lock(mu_);
      unanswered_ -= answered.size();
      SendLocked();
    }
    for (Waiter* waiter : answered) Wake(waiter);
    if (!status.ok()) return FailAll(status);
  }
}

void AutoPipeline::FailAll(const absl::Status& status) {
  {
    base::MutexLock lock(mu_);
    broken_ = status;
    expected_.insert(expected_.end(), sent_.begin(), sent_.end());
    expected_.insert(expected_.end(), gathered_waiters_.begin(), gathered_waiters_.end());
    sent_.clear();
    gathered_waiters_.clear();
  }
  for (Waiter* waiter : expected_) {
    waiter->status = status;
    Wake(waiter);
  }
}

void AutoPipeline::Wake(Waiter* waiter) {
  waiter->answered.store(1, std::memory_order_release);
  // Only the address is used from here on: the waiter may be gone.
  waiter->answered.notify_one();
}

}  // namespace atoll::bench
