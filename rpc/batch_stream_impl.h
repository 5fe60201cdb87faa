// What is behind a BatchStream: what goes out in batch_stream.cc, what comes back in
// batch_stream_answers.cc. Private to this folder.
//
// Thread safety: all public methods; handlers of tags run on the queue's poller.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <array>
#include <atomic>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "rpc/batch_stream.h"
#include "rpc/completion_queue.h"
#include "rpc/congestion.h"
#include "rpc/crowd.h"
#include "rpc/gathering.h"
#include "rpc/operation_table.h"
#include "rpc/pacer.h"
#include "rpc/send_and_read.h"
#include "rpc/value_block.h"
#include "rpc/wire/input.h"

namespace atoll::rpc {

class BatchStream::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(std::shared_ptr<grpc::Channel> channel, grpc::CompletionQueue* queue, Timers* timers,
       const BatchStreamOptions& options)
      : queue_(queue), timers_(timers), options_(options), stub_(std::move(channel)) {}

  uint64_t Start(BatchOperation* operation) ABSL_LOCKS_EXCLUDED(mu_);
  void StartSoon(BatchOperation* operation) ABSL_LOCKS_EXCLUDED(mu_);
  bool PutsOff() const { return delivering == this && options_.paced; }
  void Cancel(uint64_t id) ABSL_LOCKS_EXCLUDED(mu_);
  void Shutdown() ABSL_LOCKS_EXCLUDED(mu_);
  void WaitUntilDrained() ABSL_LOCKS_EXCLUDED(mu_);
  size_t outstanding() const { return outstanding_.load(std::memory_order_relaxed); }
  bool drained() const ABSL_LOCKS_EXCLUDED(mu_) {
    base::MutexLock lock(mu_);
    return stopped_ && state_ == State::kIdle;
  }
  size_t outstanding_bytes() const { return outstanding_bytes_.load(std::memory_order_relaxed); }
  bool crowded() const { return crowded_.load(std::memory_order_relaxed); }
  void SendHeld() ABSL_LOCKS_EXCLUDED(mu_);
  bool slowed() const { return slowed_.load(std::memory_order_relaxed); }
  uint64_t slowdowns() const { return slowdowns_.load(std::memory_order_relaxed); }
  void Overloaded(uint64_t message, absl::Duration pause) ABSL_LOCKS_EXCLUDED(mu_);
  uint64_t messages() const { return messages_.load(std::memory_order_relaxed); }

 private:
  using Verdict = BatchOperation::Verdict;

  // A tag that calls one method.
  class Event final : public Tag {
   public:
    Event(Impl* impl, void (Impl::*handler)(bool)) : impl_(impl), handler_(handler) {}
    void Proceed(bool ok) override { (impl_->*handler_)(ok); }

   private:
    Impl* const impl_;
    void (Impl::*const handler_)(bool);
  };

  // One Exchange call, from its start until gRPC has given back every tag.
  struct Session {
    explicit Session(Impl* impl)
        : started(impl, &Impl::OnStarted),
          read(impl, &Impl::OnRead),
          written(impl, &Impl::OnWritten),
          sent_and_read(impl, &Impl::OnSentAndRead),
          finished(impl, &Impl::OnFinished) {}
    grpc::ClientContext context;
    std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call;
    // In turns: one is read into while the other's results are handed out.
    std::array<std::shared_ptr<wire::Input>, 2> inputs = {std::make_shared<wire::Input>(),
                                                          std::make_shared<wire::Input>()};
    size_t reading = 0;
    grpc::Status status;
    SendAndRead send_and_read;
    Event started, read, written, sent_and_read, finished;
  };

  enum class State : uint8_t {
    kIdle,      // no session
    kStarting,  // StartCall under way
    kOpen,      // a read is under way, but while OnRead runs, which starts the next
    kEnding,    // the read side ended; Finish follows when no write is under way
  };

  // A message that is about to be written, and what was past its deadline instead, or had too
  // little time left for an overloaded node.
  struct Batch {
    OperationQueue operations;
    OperationQueue expired;
    OperationQueue hopeless;
    size_t count = 0;
    size_t bytes = 0;
    absl::Duration now;
    uint64_t message = 0;
    bool first = false;
    bool blocking = false;
    bool departures = false;
    // The next read goes with it.
    bool reads = false;
    Session* session = nullptr;  // nullptr: there is nothing to write
  };

  void OnStarted(bool ok);
  void OnRead(bool ok);
  void OnWritten(bool ok);
  void OnSentAndRead(bool ok);
  void OnFinished(bool ok);

  // Whether an operation may be taken, as far as a glance tells: if not, Refusal says.
  bool SurelyTakesLocked(size_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool HasRoomLocked(size_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // OK if the operation may be taken.
  absl::Status Refusal(size_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Starts a session if there is none and there should be one. Returns it for the caller to start
  // without the lock.
  Session* ConnectLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Takes the next message from the queue, if there is one and the stream is free.
  Batch TakeBatchLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Writes it, and ends what has expired.
  void Send(Batch batch) ABSL_LOCKS_EXCLUDED(mu_);
  void Write() ABSL_LOCKS_EXCLUDED(mu_);
  // The same, after a message of so many bytes was read, which came at `came`. The next read goes
  // with what is written if that is all that may be sent before an answer: true then.
  bool WriteAfterRead(size_t read_bytes, absl::Duration came, bool may_take_read)
      ABSL_LOCKS_EXCLUDED(mu_);
  grpc::ByteBuffer Encode(const Batch& batch) const;
  // Hands out the results of a message; false if it cannot be read.
  bool Deliver(wire::Input& input, ValueBlock& values) ABSL_LOCKS_EXCLUDED(mu_);
  // Waits for what those callers ask who were woken by it (rpc/gathering.h).
  void Gather() ABSL_LOCKS_EXCLUDED(mu_);
  bool DeliverParsed(wire::Input& input, ValueBlock& values) ABSL_LOCKS_EXCLUDED(mu_);
  void Finish() ABSL_LOCKS_EXCLUDED(mu_);

  // What StartSoon put off; `refused` has been taken out of everything. TellSizes is left to the
  // caller.
  void TakeArrivals() ABSL_LOCKS_EXCLUDED(mu_);
  void TakeArrivalsLocked(OperationQueue& refused, absl::Status& refusal)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Queues one that was not refused; returns its number. TellSizes is left to the caller.
  uint64_t InsertLocked(BatchOperation* operation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Keeps the figures that are read without the lock.
  void TellSizesLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Takes an operation out of everything.
  void RemoveLocked(BatchOperation* operation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The answered one; nullptr if it has ended meanwhile, or was never sent (the node is mad).
  // TellSizes is left to the caller.
  BatchOperation* TakeAnsweredLocked(uint64_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Takes it to `ended`; one that is being written ends when that is done.
  void EndLocked(BatchOperation* operation, Verdict verdict, OperationQueue& ended)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  static void EndAll(OperationQueue& ended, const absl::Status& status);
  // Sees to it that expired operations are ended at `deadline` or earlier.
  void ScheduleSweepLocked(absl::Duration deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Sweep(absl::Duration scheduled_for) ABSL_LOCKS_EXCLUDED(mu_);
  // Looks at what waits again then: messages that are not answered must not hold it up.
  void WaitUntilLocked(absl::Duration when) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void LookAgain() ABSL_LOCKS_EXCLUDED(mu_);

  // More are not put off.
  static constexpr size_t kMostArrivals = 256;
  // Where answers are larger, as the last one tells, the next might stop on its way for want of a
  // read, while this one's results are handed out.
  static constexpr size_t kMostBeforeRead = size_t{64} << 10;
  // A larger message may have to wait for room at the node, and what has come would wait with it:
  // HTTP/2's first window has 64 KiB, and gRPC only widens it.
  static constexpr size_t kMostWithRead = size_t{48} << 10;

  grpc::CompletionQueue* const queue_;
  Timers* const timers_;
  const BatchStreamOptions options_;
  grpc::GenericStub stub_;

  mutable base::Mutex mu_;
  base::CondVar drained_;
  OperationTable operations_ ABSL_GUARDED_BY(mu_);
  // Those that wait.
  OperationQueue waiting_ ABSL_GUARDED_BY(mu_);
  size_t waiting_count_ ABSL_GUARDED_BY(mu_) = 0;
  size_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
  State state_ ABSL_GUARDED_BY(mu_) = State::kIdle;
  // Made and destroyed under the lock; used without it by whoever has a tag under way, or is the
  // writer (`writing_`), for neither lets it end.
  std::unique_ptr<Session> session_ ABSL_GUARDED_BY(mu_);
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  // The message whose operations the writer is reading; 0: none.
  uint64_t being_read_ ABSL_GUARDED_BY(mu_) = 0;
  // Of them, those with a verdict.
  size_t doomed_ ABSL_GUARDED_BY(mu_) = 0;
  Pacer pacer_ ABSL_GUARDED_BY(mu_){options_.patience};
  // Of a paced stream.
  Gathering gathering_ ABSL_GUARDED_BY(mu_);
  Crowd crowd_ ABSL_GUARDED_BY(mu_);
  Congestion congestion_ ABSL_GUARDED_BY(mu_);
  // When the timer for what waits goes off.
  absl::Duration pace_at_ ABSL_GUARDED_BY(mu_) = absl::InfiniteDuration();
  bool first_message_ ABSL_GUARDED_BY(mu_) = true;
  // Keeps this object while gRPC has a tag of it.
  std::shared_ptr<Impl> self_ ABSL_GUARDED_BY(mu_);
  absl::Duration backoff_ ABSL_GUARDED_BY(mu_);
  absl::Duration closed_until_ ABSL_GUARDED_BY(mu_) = -absl::InfiniteDuration();
  absl::Status last_error_ ABSL_GUARDED_BY(mu_);
  absl::Duration sweep_at_ ABSL_GUARDED_BY(mu_) = absl::InfiniteDuration();
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;

  // Relaxed, but for what Send says of `messages_`: figures. Those of `operations_`, `bytes_`,
  // `crowd_` and `congestion_` are written under the lock.
  std::atomic<size_t> outstanding_{0};
  std::atomic<size_t> outstanding_bytes_{0};
  std::atomic<bool> slowed_{false};
  std::atomic<bool> crowded_{false};
  std::atomic<uint64_t> slowdowns_{0};
  std::atomic<uint64_t> messages_{0};

  // Of the thread that is `delivering`: what its callbacks started since it last had the lock.
  OperationQueue arrivals_;
  size_t arrivals_count_ = 0;
  // Of the thread that is in OnRead: the read could have gone with what was written the last time.
  bool could_take_read_ = false;

  // The stream whose results this thread is handing out: what its callers ask for meanwhile goes
  // together, when it is through.
  static constinit thread_local const Impl* delivering;
};

}  // namespace atoll::rpc
