#include "server/service/exchange_call.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/async_stream.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <memory>
#include <utility>

#include "base/mutex.h"
#include "base/status.h"
#include "rpc/completion_queue.h"
#include "rpc/status.h"
#include "server/replication/afterwards.h"
#include "server/service/call_context.h"
#include "server/service/operation_batch.h"
#include "server/service/waiting_time.h"

namespace atoll::service {
namespace {

constexpr absl::Duration kDefaultTimeout = absl::Seconds(30);
// What an operation under way costs beside its message.
constexpr size_t kWaitingBytes = 256;
constexpr size_t kMostExpected = OperationBatch::kMessageBytes;

class Stream final : public OperationBatch::Owner, public std::enable_shared_from_this<Stream> {
 public:
  static void Serve(const StreamEntry& entry, grpc::ServerCompletionQueue* queue) {
    if (!entry.calls->Enter()) return;
    auto stream = std::make_shared<Stream>(entry, queue);
    stream->self_ = stream;
    stream->context_.AsyncNotifyWhenDone(stream->over_.Arm());
    entry.service->RequestExchange(&stream->context_, &stream->stream_, queue, queue,
                                   stream->opened_.Arm());
  }

  Stream(const StreamEntry& entry, grpc::ServerCompletionQueue* queue)
      : entry_(entry),
        queue_(queue),
        opened_(this, &Stream::OnOpened),
        read_(this, &Stream::OnRead),
        written_(this, &Stream::OnWritten),
        finished_(this, &Stream::OnFinished),
        over_(this, &Stream::OnOver),
        stream_(&context_) {}

 private:
  class Event final : public rpc::Tag {
   public:
    Event(Stream* stream, void (Stream::*method)(bool)) : stream_(stream), method_(method) {}
    void Proceed(bool ok) override { (stream_->*method_)(ok); }
    Work work() const override {
      // What was written may make room for the rest of a message.
      const bool carries_out =
          method_ == &Stream::OnRead ||
          (method_ == &Stream::OnWritten && stream_->pauses_.load(std::memory_order_relaxed));
      return carries_out ? Work::kClients : Work::kBrief;
    }

   private:
    Stream* const stream_;
    void (Stream::*const method_)(bool);
  };

  // Part of what goes out: whole results.
  struct Ready {
    grpc::ByteBuffer bytes;
    size_t size = 0;
  };

  void OnOpened(bool ok) {
    if (!ok) return End();  // The end of a stream that never came is not told.
    entry_.handler->CountStream(1);
    Serve(entry_, queue_);
    last_hop_ = InfoOf(context_, entry_.hop).options.hop == routing::Hop::kLast;
    base::MutexLock lock(mu_);
    ReadLocked();
  }

  // Of a read and of a write at the same time, on two threads. Whoever finds that the stream is
  // over finishes it, and another thread may have let it go then: hence `keep`.

  void OnRead(bool ok) {
    const std::shared_ptr<Stream> keep = shared_from_this();
    std::unique_ptr<OperationBatch> batch;
    {
      base::MutexLock lock(mu_);
      batch = std::move(reading_);
      if (!ok) {
        ended_ = true;
        return AdvanceLocked();
      }
      // Completed operations gather until all of the message were started. From here to Settle the
      // output is this thread's.
      gathering_ = true;
    }
    if (absl::Status status = batch->Decode(); !status.ok()) return Reject(status);
    if (!std::exchange(seen_first_, true)) {
      if (batch->refuse_wrong_owner()) last_hop_ = true;
      max_value_bytes_ = std::clamp(batch->max_value_bytes(), routing::kExchangeValueBytes,
                                    routing::kUnaryValueBytes);
      message_bytes_ = OperationBatch::MessageBytes(max_value_bytes_);
    }
    // Late operations keep the stream, too.
    batch->keep = shared_from_this();
    GoOn(std::move(batch), /*anew=*/true);
  }

  // What came is no message.
  void Reject(const absl::Status& status) {
    base::MutexLock lock(mu_);
    gathering_ = false;
    ended_ = true;
    status_ = status;
    AdvanceLocked();
  }

  // Carries a message out, or what is left of it.
  void GoOn(std::unique_ptr<OperationBatch> batch, bool anew) {
    // Large values go by reference, and need none.
    if (max_value_bytes_ == routing::kExchangeValueBytes) {
      output_.Expect(std::min(kMostExpected, batch->count() * bytes_per_answer_));
    }
    const size_t before = written_bytes_ + output_.size();
    const bool done = anew ? Run(batch.get()) : batch->Resume();
    if (!done) return Pause(std::move(batch));
    const size_t written = written_bytes_ + output_.size() - before;
    const size_t answers = batch->count() - batch->late();
    if (anew && answers > 0) {
      const size_t size = written / answers + 1;
      // Seldom too small: memory for the rest of a message costs more than memory that is not used.
      bytes_per_answer_ = std::max(size, bytes_per_answer_ - bytes_per_answer_ / 16);
    }
    // One that has paused did so because 4 MiB were not written: more than what is under way.
    const bool owes_answer = anew && written == 0 && batch->answer_at_once();
    Settle(std::move(batch), owes_answer);
  }

  bool Run(OperationBatch* batch) {
    const absl::Duration now = base::Clock::Real().BootTime();
    // What it waited for its own caller, who took no answers, is not the node's.
    const absl::Duration waited =
        std::min(waiting_time_.Observe(batch->sent_us(), now), now - read_again_at_);
    if (!waiting_time_.IsOverload(waited, CacheHandler::kRound, now)) {
      return batch->Run(Info(absl::InfiniteDuration()), &output_, this);
    }
    batch->Refuse(Info(absl::InfiniteDuration()),
                  base::Overloaded("messages wait too long for this node",
                                   std::min(waited, absl::Seconds(1))),
                  &output_, this);
    return true;
  }

  // Until some of what it has answered was taken. A write is under way then.
  void Pause(std::unique_ptr<OperationBatch> batch) {
    base::MutexLock lock(mu_);
    gathering_ = false;
    paused_ = std::move(batch);
    pauses_.store(true, std::memory_order_relaxed);
    AdvanceLocked();
  }

  // The message's operations were started. `owes_answer`: its caller waits for one, and there is
  // none.
  void Settle(std::unique_ptr<OperationBatch> batch, bool owes_answer) {
    // Goes when the mutex is free.
    std::shared_ptr<void> keep;
    base::MutexLock lock(mu_);
    gathering_ = false;
    owes_answer_ |= owes_answer;
    const size_t late = batch->late();
    if (late > 0) {
      batch->charged = batch->input().size() + late * kWaitingBytes;
      held_bytes_ += batch->charged;
      ++waiting_;
    }
    OperationBatch* const left = batch.release();
    if (left->Leave()) {
      keep = std::move(left->keep);
      ReuseLocked(left, late > 0);
    }
    AdvanceLocked();
  }

  // --- OperationBatch::Owner ---

  void OnFull() override {
    written_bytes_ += output_.size();
    base::MutexLock lock(mu_);
    QueueLocked(&output_);
  }

  bool HasRoom() override {
    base::MutexLock lock(mu_);
    return broken_ || writing_bytes_ + UnwrittenLocked() <= ExchangeCall::kPauseBytes;
  }

  void OnFailed(const absl::Status& /*status*/) override {}

  void StartOther(std::unique_ptr<v1::Operation> operation) override {
    auto result = std::make_unique<v1::OperationResult>();
    result->set_id(operation->id());
    const size_t bytes = operation->ByteSizeLong() + kWaitingBytes;
    {
      base::MutexLock lock(mu_);
      ++waiting_;
      held_bytes_ += bytes;
    }
    const uint32_t timeout_ms = operation->timeout_ms();
    CallInfo info = Info(base::Clock::Real().BootTime() +
                         (timeout_ms == 0 ? kDefaultTimeout : absl::Milliseconds(timeout_ms)));
    info.cancelled = &cancelled_;
    v1::OperationResult* const out = result.get();
    const v1::Operation& in = *operation;
    entry_.handler->Handle(in, info, out,
                           [self = shared_from_this(), bytes, operation = std::move(operation),
                            result = std::move(result)] { self->OnOther(*result, bytes); });
  }

  void OnLate(OperationBatch::Late* late, replication::OperationResult result) override {
    std::shared_ptr<void> keep;
    base::MutexLock lock(mu_);
    OperationBatch* const batch = late->batch;
    if (!broken_) {
      batch->Encode(late, std::move(result), &late_output_);
      if (late_output_.size() >= message_bytes_) QueueLocked(&late_output_);
    }
    if (batch->Leave()) {
      keep = std::move(batch->keep);
      ReuseLocked(batch, true);
    }
    AdvanceSoonLocked();
  }

  void OnOther(const v1::OperationResult& result, size_t bytes) {
    std::string body = result.SerializeAsString();
    base::MutexLock lock(mu_);
    --waiting_;
    held_bytes_ -= bytes;
    if (!broken_) {
      AppendOther(body, &late_output_);
      if (late_output_.size() >= message_bytes_) QueueLocked(&late_output_);
    }
    AdvanceSoonLocked();
  }

  // After a late answer. Those that one message of a replica sets off go out as one, too.
  void AdvanceSoonLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (!replication::Afterwards::InScope()) return AdvanceLocked();
    if (std::exchange(advancing_soon_, true)) return;
    replication::Afterwards::Do([self = shared_from_this()] {
      base::MutexLock lock(self->mu_);
      self->advancing_soon_ = false;
      self->AdvanceLocked();
    });
  }

  CallInfo Info(absl::Duration deadline) const {
    CallInfo info;
    info.options.hop = last_hop_ ? routing::Hop::kLast : routing::Hop::kFirst;
    info.options.max_value_bytes = max_value_bytes_;
    info.deadline = deadline;
    return info;
  }

  // A batch of which nothing is under way any more.
  void ReuseLocked(OperationBatch* batch, bool waited) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (waited) {
      held_bytes_ -= std::exchange(batch->charged, 0);
      --waiting_;
    }
    if (idle_ != nullptr) {
      delete batch;
      return;
    }
    batch->Clear();
    idle_.reset(batch);
  }

  void QueueLocked(wire::Output* output) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const size_t size = output->size();
    ready_.push_back({output->Finish(), size});
    ready_bytes_ += size;
  }

  void OnWritten(bool ok) {
    const std::shared_ptr<Stream> keep = shared_from_this();
    std::unique_ptr<OperationBatch> batch;
    {
      base::MutexLock lock(mu_);
      writing_ = false;
      writing_bytes_ = 0;
      if (!ok) broken_ = true;
      // The output is another thread's while that gathers; then nothing is paused.
      if (paused_ == nullptr) return AdvanceLocked();
      if (!broken_ && UnwrittenLocked() > ExchangeCall::kPauseBytes / 2) return AdvanceLocked();
      batch = std::move(paused_);
      pauses_.store(false, std::memory_order_relaxed);
      // What is there goes out meanwhile.
      if (!broken_ && UnwrittenLocked() > 0) WriteLocked();
      gathering_ = true;
    }
    if (ok) return GoOn(std::move(batch), /*anew=*/false);
    batch->Abandon();
    Settle(std::move(batch), /*owes_answer=*/false);
  }

  size_t UnwrittenLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return output_.size() + late_output_.size() + ready_bytes_;
  }

  void ReadLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (std::exchange(held_off_, false)) read_again_at_ = base::Clock::Real().BootTime();
    reading_ = std::move(idle_);
    if (reading_ == nullptr) reading_ = std::make_unique<OperationBatch>(entry_.handler);
    stream_.Read(reading_->input().buffer(), read_.Arm());
  }

  // Starts whatever can be started. Everything that changes the state ends here.
  void AdvanceLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (finishing_ || gathering_) return;
    if (broken_) {
      output_.Clear();
      late_output_.Clear();
      ready_.clear();
      ready_bytes_ = 0;
      owes_answer_ = false;
    }
    if (!writing_ && (UnwrittenLocked() > 0 || owes_answer_)) WriteLocked();
    if (reading_ == nullptr && !ended_) {
      if (paused_ == nullptr &&
          held_bytes_ + writing_bytes_ + UnwrittenLocked() <= ExchangeCall::kPauseBytes) {
        ReadLocked();
      } else {
        held_off_ = paused_ != nullptr || writing_bytes_ + UnwrittenLocked() >= held_bytes_;
      }
    }
    // A message that is no message ends the stream at once; else all is answered first.
    const bool answered = waiting_ == 0 && UnwrittenLocked() == 0;
    if (ended_ && reading_ == nullptr && paused_ == nullptr && !writing_ &&
        (answered || broken_ || !status_.ok())) {
      finishing_ = true;
      stream_.Finish(rpc::ToGrpc(status_), finished_.Arm());
    }
  }

  void WriteLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    Ready next;
    if (!ready_.empty()) {
      next = std::move(ready_.front());
      ready_.pop_front();
      ready_bytes_ -= next.size;
    } else {
      if (output_.size() + late_output_.size() <= message_bytes_) {
        output_.Splice(late_output_);
      }
      wire::Output& from = output_.empty() ? late_output_ : output_;
      written_bytes_ += output_.size();
      next.size = from.size();
      next.bytes = from.Finish();
    }
    owes_answer_ = false;
    writing_ = true;
    writing_bytes_ = next.size;
    stream_.Write(next.bytes, written_.Arm());
  }

  void OnFinished(bool /*ok*/) {
    entry_.handler->CountStream(-1);
    Release();
  }

  // By our Finish, or because the caller has gone.
  void OnOver(bool /*ok*/) {
    cancelled_.store(context_.IsCancelled(), std::memory_order_relaxed);
    Release();
  }

  void Release() {
    if (holds_.fetch_sub(1, std::memory_order_acq_rel) == 1) End();
  }

  void End() {
    base::Gate* const calls = entry_.calls;
    // Operations that are still under way keep the memory, but start nothing any more.
    std::shared_ptr<Stream> self = std::move(self_);
    self.reset();
    calls->Leave();
  }

  const StreamEntry entry_;
  grpc::ServerCompletionQueue* const queue_;
  Event opened_;
  Event read_;
  Event written_;
  Event finished_;
  Event over_;
  grpc::ServerContext context_;
  grpc::ServerAsyncReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer> stream_;
  std::shared_ptr<Stream> self_;
  // Events that come at the end: finished, and over. Acquire and release: the last sees all.
  std::atomic<int> holds_{2};
  // The caller has gone: nobody reads what a scan finds.
  std::atomic<bool> cancelled_{false};
  // Of the reading side: one read at a time.
  bool last_hop_ = false;
  bool seen_first_ = false;
  // As the first message said; not changed any more when the first operation is carried out.
  uint64_t max_value_bytes_ = routing::kExchangeValueBytes;
  size_t message_bytes_ = OperationBatch::kMessageBytes;
  size_t bytes_per_answer_ = 128;
  WaitingTime waiting_time_;
  // When reading was last taken up again, that had to wait for the caller to take answers.
  absl::Duration read_again_at_ = -absl::InfiniteDuration();

  base::Mutex mu_;
  // Answers of the message that is being carried out, by the thread that does it: its own while
  // `gathering_`, guarded by mu_ otherwise.
  wire::Output output_;
  size_t written_bytes_ = 0;  // all that output_ ever gave away
  bool gathering_ ABSL_GUARDED_BY(mu_) = false;
  // What a read is under way for; nullptr: there is none.
  std::unique_ptr<OperationBatch> reading_ ABSL_GUARDED_BY(mu_);
  // For the next read. Batches that are busy belong to those who will leave them.
  std::unique_ptr<OperationBatch> idle_ ABSL_GUARDED_BY(mu_);
  // Waits for room; then nothing is read.
  std::unique_ptr<OperationBatch> paused_ ABSL_GUARDED_BY(mu_);
  // Whether there is one, without the lock: a hint.
  std::atomic<bool> pauses_{false};
  // No read is under way, mostly for what the caller has not taken.
  bool held_off_ ABSL_GUARDED_BY(mu_) = false;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;  // nothing more will be read
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  // A message is to be written at once, be it empty: one that was begun before does not count, for
  // the caller may have had it before he wrote.
  bool owes_answer_ ABSL_GUARDED_BY(mu_) = false;
  bool broken_ ABSL_GUARDED_BY(mu_) = false;  // nothing can be written any more
  bool finishing_ ABSL_GUARDED_BY(mu_) = false;
  bool advancing_soon_ ABSL_GUARDED_BY(mu_) = false;
  size_t waiting_ ABSL_GUARDED_BY(mu_) = 0;     // busy batches, and other operations
  size_t held_bytes_ ABSL_GUARDED_BY(mu_) = 0;  // of what waits
  size_t writing_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  size_t ready_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  // Before what the outputs hold.
  std::deque<Ready> ready_ ABSL_GUARDED_BY(mu_);
  wire::Output late_output_ ABSL_GUARDED_BY(mu_);
  absl::Status status_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

void ExchangeCall::Serve(const StreamEntry& entry, grpc::ServerCompletionQueue* queue) {
  Stream::Serve(entry, queue);
}

}  // namespace atoll::service
