#include "rpc/lone_stream.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <utility>

#include "base/clock.h"
#include "base/mutex.h"
#include "rpc/attentive_queue.h"
#include "rpc/channel.h"
#include "rpc/completion_queue.h"
#include "rpc/operation_end.h"
#include "rpc/wire/decode.h"
#include "rpc/wire/encode.h"
#include "rpc/wire/input.h"

namespace atoll::rpc {
namespace {

using Time = std::chrono::system_clock::time_point;

absl::Duration Now() { return base::Clock::Real().BootTime(); }

Time At(absl::Duration deadline) {
  const absl::Duration left = std::clamp(deadline - Now(), absl::ZeroDuration(), absl::Hours(24));
  return std::chrono::system_clock::now() +
         std::chrono::ceil<std::chrono::system_clock::duration>(absl::ToChronoNanoseconds(left));
}

}  // namespace

class LoneStream::Impl {
 public:
  Impl(std::shared_ptr<grpc::Channel> channel, const Options& options)
      : options_(options), stub_(std::move(channel)) {}

  bool Run(BatchOperation* operation) ABSL_LOCKS_EXCLUDED(taken_, session_mu_);
  void Shutdown() ABSL_LOCKS_EXCLUDED(session_mu_);
  void Stop() ABSL_LOCKS_EXCLUDED(taken_, session_mu_);
  uint64_t messages() const { return messages_.load(std::memory_order_relaxed); }

 private:
  // A tag that notes that it came back.
  class Event final : public Tag {
   public:
    void Proceed(bool ok) override {
      pending_ = false;
      ok_ = ok;
    }
    void* Begin() {
      pending_ = true;
      return Arm();
    }
    bool pending() const { return pending_; }
    bool ok() const { return ok_; }

   private:
    bool pending_ = false;
    bool ok_ = true;
  };

  struct Session {
    grpc::ClientContext context;
    std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call;
    grpc::ByteBuffer outgoing;
    wire::Input input;
    grpc::Status status;
    Event started, read, written, finished;
    bool first_message = true;
  };

  // Whether an operation may be written now; gets on with connecting where it may not.
  bool Ready(Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(taken_);
  void Connect() ABSL_EXCLUSIVE_LOCKS_REQUIRED(taken_);
  // Waits for the next tag that comes back, and notes it. False if none has come until then.
  bool Next(Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(taken_);
  void Write(const BatchOperation& operation, uint64_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(taken_);
  // Ends it if what was read is its answer.
  bool Answered(BatchOperation* operation, uint64_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(taken_);
  // After a read that failed: learns why, and lets the session go.
  absl::Status Break() ABSL_EXCLUSIVE_LOCKS_REQUIRED(taken_);

  const Options options_;
  grpc::GenericStub stub_;
  // Served by whoever holds `taken_`.
  grpc::CompletionQueue queue_;

  AttentiveQueue attentive_ ABSL_GUARDED_BY(taken_){&queue_};

  // Held for as long as an operation takes: what is guarded by it belongs to one thread at a time.
  base::Mutex taken_;
  // The last operation's deadline came before its answer.
  bool gave_up_ ABSL_GUARDED_BY(taken_) = false;
  uint64_t last_id_ ABSL_GUARDED_BY(taken_) = 0;
  absl::Duration backoff_ ABSL_GUARDED_BY(taken_);
  absl::Duration closed_until_ ABSL_GUARDED_BY(taken_) = -absl::InfiniteDuration();
  bool stopped_ ABSL_GUARDED_BY(taken_) = false;

  // Guards the pointer, for Shutdown; the session itself is its taker's.
  base::Mutex session_mu_ ABSL_ACQUIRED_AFTER(taken_);
  std::unique_ptr<Session> session_;  // written under both
  // Release and acquire: who sees it set sees why.
  std::atomic<bool> shut_down_{false};
  std::atomic<uint64_t> messages_{0};  // relaxed: a figure
};

bool LoneStream::Impl::Next(Time deadline) {
  void* tag = nullptr;
  bool ok = false;
  if (attentive_.Next(deadline, &tag, &ok) != grpc::CompletionQueue::GOT_EVENT) return false;
  AcquireFromGrpc(tag);
  static_cast<Tag*>(tag)->Proceed(ok);
  return true;
}

void LoneStream::Impl::Connect() {
  if (Now() < closed_until_) return;
  auto session = std::make_unique<Session>();
  session->call = stub_.PrepareCall(&session->context, kExchangeMethod, &queue_);
  Session* const started = session.get();
  {
    base::MutexLock lock(session_mu_);
    if (shut_down_.load(std::memory_order_relaxed)) return;
    session_ = std::move(session);
  }
  started->call->StartCall(started->started.Begin());
}

bool LoneStream::Impl::Ready(Time deadline) {
  if (session_ == nullptr) {
    Connect();
    return false;
  }
  // What has come back since. A write whose answer is there is on its way back; that of an
  // operation that was given up may be stuck.
  const bool may_take_long = session_->started.pending() || gave_up_;
  while ((session_->started.pending() || session_->written.pending()) &&
         Next(may_take_long ? Time() : deadline)) {
  }
  if (session_->started.pending() || session_->written.pending()) return false;
  if (!session_->started.ok() || (!session_->read.pending() && !session_->read.ok())) {
    Break().IgnoreError();  // Nobody waits for an answer.
    return false;
  }
  return true;
}

void LoneStream::Impl::Write(const BatchOperation& operation, uint64_t id) {
  Session& session = *session_;
  grpc_slice slice =
      grpc_slice_malloc(operation.body_size() + kOperationOverhead + wire::kRefuseWrongOwnerSize);
  uint8_t* const start = GRPC_SLICE_START_PTR(slice);
  uint8_t* out = start;
  if (std::exchange(session.first_message, false) && options_.refuse_wrong_owner) {
    out = wire::WriteRefuseWrongOwner(out);
  }
  out = WriteOperation(operation, id, TimeoutMs(operation.deadline - Now()), out);
  GRPC_SLICE_SET_LENGTH(slice, static_cast<size_t>(out - start));
  const grpc::Slice owned(slice, grpc::Slice::STEAL_REF);
  session.outgoing = grpc::ByteBuffer(&owned, 1);
  messages_.fetch_add(1, std::memory_order_relaxed);
  session.call->Write(session.outgoing, session.written.Begin());
  // Only now: it gives the node back the last answer's share of the window, by a message of its
  // own.
  if (!session.read.pending()) {
    session.call->Read(session.input.buffer(), session.read.Begin());
  }
}

bool LoneStream::Impl::Answered(BatchOperation* operation, uint64_t id) {
  wire::Input& input = session_->input;
  bool answered = false;
  bool whole = input.Load();
  if (whole) {
    ValueBlock values(input.size());
    wire::ResponseReader reader(input);
    wire::Result result;
    wire::Step step;
    while ((step = reader.Next(&result)) == wire::Step::kItem) {
      // Others: of operations that were given up.
      if (result.id != id || answered) continue;
      answered = true;
      whole = OperationEnd::Answer(operation, result, values);
    }
    // This stream has no use for a node that writes otherwise than by the codec.
    whole = whole && step == wire::Step::kEnd;
  }
  input.Clear();
  if (!whole) session_->context.TryCancel();
  return answered;
}

absl::Status LoneStream::Impl::Break() {
  Session& session = *session_;
  session.context.TryCancel();
  constexpr Time kForever = Time::max();
  while (session.read.pending() || session.written.pending()) Next(kForever);
  session.call->Finish(&session.status, session.finished.Begin());
  while (session.finished.pending()) Next(kForever);
  absl::Status error = shut_down_.load(std::memory_order_acquire)
                           ? absl::CancelledError("the stream is closed")
                           : StreamError(session.status);
  backoff_ = std::clamp(backoff_ * 2, options_.min_backoff, options_.max_backoff);
  closed_until_ = Now() + backoff_;
  std::unique_ptr<Session> ended;
  base::MutexLock lock(session_mu_);
  ended = std::move(session_);
  return error;
}

bool LoneStream::Impl::Run(BatchOperation* operation) {
  const Time deadline = At(operation->deadline);
  if (operation->body_size() > static_cast<size_t>(kMaxMessageBytes) / 2 || !taken_.TryLock()) {
    return false;
  }
  if (stopped_ || shut_down_.load(std::memory_order_acquire) || operation->deadline <= Now() ||
      !Ready(deadline)) {
    taken_.Unlock();
    return false;
  }
  gave_up_ = false;
  const uint64_t id = ++last_id_;
  if (operation->tells_departure) OperationEnd::Depart(operation);
  Write(*operation, id);
  bool ended = false;
  while (!ended) {
    if (!Next(deadline)) {
      gave_up_ = true;
      OperationEnd::End(operation, absl::DeadlineExceededError("no answer in time"), Fate::kSent);
      break;
    }
    if (session_->read.pending()) continue;
    if (!session_->read.ok()) {
      OperationEnd::End(operation, Break(), Fate::kSent);
      break;
    }
    backoff_ = absl::ZeroDuration();
    ended = Answered(operation, id);
    if (!ended) session_->call->Read(session_->input.buffer(), session_->read.Begin());
  }
  taken_.Unlock();
  return true;
}

void LoneStream::Impl::Shutdown() {
  base::MutexLock lock(session_mu_);
  shut_down_.store(true, std::memory_order_release);
  if (session_ != nullptr) session_->context.TryCancel();
}

void LoneStream::Impl::Stop() {
  Shutdown();
  base::MutexLock lock(taken_);
  if (std::exchange(stopped_, true)) return;
  if (session_ != nullptr) {
    while (session_->started.pending()) Next(Time::max());
    Break().IgnoreError();
  }
  queue_.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
  }
}

LoneStream::LoneStream(std::shared_ptr<grpc::Channel> channel, const Options& options)
    : impl_(std::make_unique<Impl>(std::move(channel), options)) {}

LoneStream::~LoneStream() { Stop(); }

bool LoneStream::Run(BatchOperation* operation) { return impl_->Run(operation); }
void LoneStream::Shutdown() { impl_->Shutdown(); }
void LoneStream::Stop() { impl_->Stop(); }
uint64_t LoneStream::messages() const { return impl_->messages(); }

}  // namespace atoll::rpc
