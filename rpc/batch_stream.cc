#include "rpc/batch_stream.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/status.h"
#include "rpc/batch_stream_impl.h"
#include "rpc/channel.h"
#include "rpc/operation_end.h"
#include "rpc/timers.h"
#include "rpc/wire/encode.h"

namespace atoll::rpc {
namespace {

// One operation alone may fill a message.
constexpr size_t kMaxOperationBytes = size_t{kMaxMessageBytes} - 1024;

absl::Duration Now() { return base::Clock::Real().BootTime(); }

}  // namespace

inline bool BatchStream::Impl::HasRoomLocked(size_t bytes) const {
  return operations_.size() < std::min(options_.max_operations, OperationTable::kMostOperations) &&
         bytes_ + bytes <= options_.max_bytes;
}

inline bool BatchStream::Impl::SurelyTakesLocked(size_t bytes) const {
  return !stopped_ && state_ == State::kOpen && bytes <= kMaxOperationBytes && HasRoomLocked(bytes);
}

absl::Status BatchStream::Impl::Refusal(size_t bytes) const {
  if (stopped_) return absl::CancelledError("the stream is closed");
  if (state_ == State::kIdle && closed_until_ != -absl::InfiniteDuration() &&
      Now() < closed_until_) {
    return last_error_;
  }
  if (bytes > kMaxOperationBytes) {
    return base::InvalidArgument("operation", absl::StrCat(bytes, " bytes"), kMaxOperationBytes);
  }
  if (HasRoomLocked(bytes)) return absl::OkStatus();
  return base::WithReason(
      absl::ResourceExhaustedError(absl::StrCat(
          "too much under way to this node: ", operations_.size(), " operations, limit ",
          options_.max_operations, "; ", bytes_, " bytes, limit ", options_.max_bytes)),
      base::reason::kOverload);
}

uint64_t BatchStream::Impl::Start(BatchOperation* operation) {
  Session* to_start = nullptr;
  uint64_t id = 0;
  Batch batch;
  absl::Status refusal;
  {
    base::MutexLock lock(mu_);
    refusal = Refusal(operation->body_size());
    if (refusal.ok()) {
      id = InsertLocked(operation);
      if (operation->blocking) crowd_.Came();
      TellSizesLocked();
      to_start = ConnectLocked();
      const bool leaves_it = options_.paced && (delivering == this || gathering_.active());
      if (to_start == nullptr && !leaves_it) batch = TakeBatchLocked();
    }
  }
  if (!refusal.ok()) {
    OperationEnd::End(operation, std::move(refusal), Fate::kNotSent);
    return 0;
  }
  if (to_start != nullptr) {
    to_start->call->StartCall(to_start->started.Arm());
  } else {
    Send(batch);
  }
  return id;
}

void BatchStream::Impl::StartSoon(BatchOperation* operation) {
  if (!PutsOff()) {
    Start(operation);
    return;
  }
  arrivals_.PushBack(operation);
  // One callback may start any number, of which the stream's limits refuse most.
  if (++arrivals_count_ == kMostArrivals) TakeArrivals();
}

void BatchStream::Impl::TakeArrivals() {
  OperationQueue refused;
  absl::Status refusal;
  {
    base::MutexLock lock(mu_);
    TakeArrivalsLocked(refused, refusal);
    TellSizesLocked();
  }
  EndAll(refused, refusal);
}

void BatchStream::Impl::TakeArrivalsLocked(OperationQueue& refused, absl::Status& refusal) {
  arrivals_count_ = 0;
  while (BatchOperation* const operation = arrivals_.PopFront()) {
    absl::Status status;
    if (SurelyTakesLocked(operation->body_size()) ||
        (status = Refusal(operation->body_size())).ok()) {
      InsertLocked(operation);
      continue;
    }
    operation->message_ = 0;
    refused.PushBack(operation);
    refusal = std::move(status);
  }
}

uint64_t BatchStream::Impl::InsertLocked(BatchOperation* operation) {
  operation->id_ = operations_.Insert(operation);
  operation->message_ = 0;
  operation->verdict_ = Verdict::kNone;
  bytes_ += operation->body_size();
  waiting_.PushBack(operation);
  ++waiting_count_;
  ScheduleSweepLocked(operation->deadline);
  return operation->id_;
}

BatchStream::Impl::Session* BatchStream::Impl::ConnectLocked() {
  if (state_ != State::kIdle || stopped_) return nullptr;
  state_ = State::kStarting;
  self_ = shared_from_this();
  first_message_ = true;
  pacer_.Restart();
  crowd_.GiveUp();
  session_ = std::make_unique<Session>(this);
  session_->call = stub_.PrepareCall(&session_->context, kExchangeMethod, queue_);
  return session_.get();
}

void BatchStream::Impl::OnStarted(bool ok) {
  Session* session = nullptr;
  {
    base::MutexLock lock(mu_);
    session = session_.get();
    state_ = ok ? State::kOpen : State::kEnding;
  }
  if (!ok) {
    Finish();
    return;
  }
  session->call->Read(session->inputs[0]->buffer(), session->read.Arm());
  Write();
}

BatchStream::Impl::Batch BatchStream::Impl::TakeBatchLocked() {
  Batch batch;
  if (waiting_.empty() || state_ != State::kOpen || writing_) return batch;
  const bool blocking = waiting_.front()->blocking;
  if (options_.paced && !pacer_.MayWrite(blocking)) {
    WaitUntilLocked(pacer_.patience_ends());
    return batch;
  }
  if (blocking && crowd_.Holds()) {
    WaitUntilLocked(crowd_.patience_ends());
    return batch;
  }
  batch.now = Now();
  size_t most = std::numeric_limits<size_t>::max();
  if (options_.paced) {
    most =
        std::min({Pacer::MostOperations(blocking, operations_.size()),
                  congestion_.Room(operations_.size() - waiting_count_), congestion_.MostAtOnce()});
    if (congestion_.paused_until() > batch.now) {
      WaitUntilLocked(congestion_.paused_until());
      return batch;
    }
  }
  while (!waiting_.empty() && batch.count < most) {
    BatchOperation* const operation = waiting_.front();
    if (operation->deadline <= batch.now) {
      RemoveLocked(operation);
      batch.expired.PushBack(operation);
      continue;
    }
    // Asked first: the subtraction costs more than all of the rest.
    if (options_.paced && congestion_.limited() &&
        congestion_.Hopeless(operation->deadline - batch.now)) {
      RemoveLocked(operation);
      batch.hopeless.PushBack(operation);
      continue;
    }
    const size_t cost = operation->body_size() + kOperationOverhead;
    if (batch.count > 0 && batch.bytes + cost > options_.max_message_bytes) break;
    waiting_.Remove(operation);
    --waiting_count_;
    batch.bytes += cost;
    ++batch.count;
    operation->message_ = pacer_.written() + 1;
    batch.departures |= operation->tells_departure;
    batch.operations.PushBack(operation);
  }
  if (batch.count == 0) {
    if (!batch.hopeless.empty()) congestion_.AllWereHopeless();
    return batch;
  }
  batch.message = being_read_ = pacer_.Write(batch.now);
  congestion_.Written(batch.message, batch.now);
  batch.session = session_.get();
  batch.first = std::exchange(first_message_, false);
  batch.blocking = blocking;
  writing_ = true;
  return batch;
}

grpc::ByteBuffer BatchStream::Impl::Encode(const Batch& batch) const {
  grpc_slice slice =
      grpc_slice_malloc_large(batch.bytes + wire::kRefuseWrongOwnerSize + wire::kMaxValueLimitSize +
                              wire::kMaxSentSize + wire::kAnswerAtOnceSize);
  uint8_t* const start = GRPC_SLICE_START_PTR(slice);
  uint8_t* out = start;
  if (batch.first) {
    if (options_.refuse_wrong_owner) out = wire::WriteRefuseWrongOwner(out);
    if (options_.max_value_bytes != 0) out = wire::WriteValueLimit(options_.max_value_bytes, out);
  }
  // So that an overloaded node knows what waited for too long on the way to it.
  out = wire::WriteSent(static_cast<uint64_t>(absl::ToInt64Microseconds(batch.now)), out);
  // Nobody writes before it has come: a message that waits as a whole must not hold up others.
  if (batch.reads) out = wire::WriteAnswerAtOnce(out);
  // Callers' deadlines are mostly equal: the division is done once for each different one.
  absl::Duration deadline = absl::InfiniteDuration();
  uint32_t timeout_ms = TimeoutMs(deadline);
  batch.operations.ForEach([&](const BatchOperation* operation) {
    if (operation->deadline != deadline) {
      deadline = operation->deadline;
      timeout_ms = TimeoutMs(deadline - batch.now);
    }
    out = WriteOperation(*operation, operation->id_, timeout_ms, out);
  });
  GRPC_SLICE_SET_LENGTH(slice, static_cast<size_t>(out - start));
  const grpc::Slice owned(slice, grpc::Slice::STEAL_REF);
  return grpc::ByteBuffer(&owned, 1);
}

void BatchStream::Impl::Send(Batch batch) {
  OperationQueue cancelled;
  if (batch.session != nullptr) {
    if (batch.departures) {
      batch.operations.ForEach([](BatchOperation* operation) {
        if (operation->tells_departure) OperationEnd::Depart(operation);
      });
    }
    const grpc::ByteBuffer message = Encode(batch);
    {
      base::MutexLock lock(mu_);
      being_read_ = 0;
      if (doomed_ > 0) {
        // They end as sent: the message goes out.
        doomed_ = 0;
        while (BatchOperation* const operation = batch.operations.PopFront()) {
          if (operation->verdict_ == Verdict::kNone) continue;
          RemoveLocked(operation);
          (operation->verdict_ == Verdict::kExpired ? batch.expired : cancelled)
              .PushBack(operation);
        }
      }
    }
    // Sequentially consistent: departures are seen before anybody can learn that the message went.
    messages_.fetch_add(1, std::memory_order_seq_cst);
    Session& session = *batch.session;
    if (batch.reads) {
      session.send_and_read.Start(session.context, queue_, message,
                                  session.inputs[session.reading]->buffer(), session.sent_and_read);
    } else {
      session.call->Write(message, session.written.Arm());
    }
  }
  // Mostly there is none, and a status with words takes memory.
  if (!batch.expired.empty()) {
    EndAll(batch.expired, absl::DeadlineExceededError("no answer in time"));
  }
  if (!cancelled.empty()) EndAll(cancelled, absl::CancelledError("cancelled"));
  if (!batch.hopeless.empty()) {
    EndAll(
        batch.hopeless,
        base::WithReason(absl::ResourceExhaustedError("the node is overloaded: no answer in time"),
                         base::reason::kOverload));
  }
}

void BatchStream::Impl::Write() {
  Batch batch;
  {
    base::MutexLock lock(mu_);
    batch = TakeBatchLocked();
  }
  Send(batch);
}

bool BatchStream::Impl::WriteAfterRead(size_t read_bytes, absl::Duration came, bool may_take_read) {
  Batch batch;
  {
    base::MutexLock lock(mu_);
    // Else something may be sent before the next answer: what is not answered in time holds up
    // nothing.
    if (options_.paced) pacer_.Learn(came);
    const bool prompt = options_.paced && pacer_.WasPrompt(came);
    batch = TakeBatchLocked();
    could_take_read_ = prompt && batch.session != nullptr && !batch.blocking &&
                       !pacer_.MayWrite(/*blocking=*/false) && batch.bytes <= kMostWithRead &&
                       read_bytes <= kMostBeforeRead;
  }
  batch.reads = could_take_read_ && may_take_read;
  Send(batch);
  return batch.reads;
}

void BatchStream::Impl::SendHeld() {
  Batch batch;
  {
    base::MutexLock lock(mu_);
    if (!crowd_.Holds()) return;
    crowd_.GiveUp();
    batch = TakeBatchLocked();
  }
  Send(batch);
}

void BatchStream::Impl::OnWritten(bool /*ok*/) {
  // A write fails only on a broken call, which ends the read too.
  bool finish = false;
  Batch batch;
  {
    base::MutexLock lock(mu_);
    writing_ = false;
    finish = state_ == State::kEnding;
    if (!finish) batch = TakeBatchLocked();
  }
  if (finish) {
    Finish();
  } else {
    Send(batch);
  }
}

void BatchStream::Impl::OnSentAndRead(bool ok) {
  {
    base::MutexLock lock(mu_);
    writing_ = false;
  }
  OnRead(ok);
}

void BatchStream::Impl::Finish() {
  Session* session = nullptr;
  {
    base::MutexLock lock(mu_);
    session = session_.get();
  }
  session->call->Finish(&session->status, session->finished.Arm());
}

void BatchStream::Impl::OnFinished(bool /*ok*/) {
  std::shared_ptr<Impl> self;  // Released last: it may be the only one.
  OperationQueue ended;
  absl::Status error;
  {
    base::MutexLock lock(mu_);
    self = std::move(self_);
    self_ = nullptr;
    error = StreamError(session_->status);
    backoff_ = std::clamp(backoff_ * 2, options_.min_backoff, options_.max_backoff);
    closed_until_ = Now() + backoff_;
    last_error_ = error;
    state_ = State::kIdle;
    session_.reset();
    operations_.ForEach([&](BatchOperation* operation) ABSL_NO_THREAD_SAFETY_ANALYSIS {
      EndLocked(operation, Verdict::kCancelled, ended);
    });
  }
  EndAll(ended, error);
  base::MutexLock lock(mu_);
  drained_.SignalAll();
}

void BatchStream::Impl::RemoveLocked(BatchOperation* operation) {
  if (operation->message_ == 0) {
    waiting_.Remove(operation);
    --waiting_count_;
  }
  bytes_ -= operation->body_size();
  operations_.Erase(operation->id_);
  TellSizesLocked();
}

void BatchStream::Impl::TellSizesLocked() {
  outstanding_.store(operations_.size(), std::memory_order_relaxed);
  outstanding_bytes_.store(bytes_, std::memory_order_relaxed);
}

void BatchStream::Impl::EndLocked(BatchOperation* operation, Verdict verdict,
                                  OperationQueue& ended) {
  if (being_read_ != 0 && operation->message_ == being_read_) {
    if (operation->verdict_ == Verdict::kNone) ++doomed_;
    operation->verdict_ = verdict;
    return;
  }
  RemoveLocked(operation);
  ended.PushBack(operation);
}

void BatchStream::Impl::EndAll(OperationQueue& ended, const absl::Status& status) {
  while (BatchOperation* const operation = ended.PopFront()) {
    OperationEnd::End(operation, status, operation->message_ != 0 ? Fate::kSent : Fate::kNotSent);
  }
}

void BatchStream::Impl::Overloaded(uint64_t message, absl::Duration pause) {
  base::MutexLock lock(mu_);
  const uint64_t written = pacer_.written();
  // What did not go by this stream was refused just now.
  if (!congestion_.Refused(message == 0 ? written + 1 : message, written,
                           operations_.size() - waiting_count_, pause, Now())) {
    return;
  }
  slowed_.store(true, std::memory_order_relaxed);
  slowdowns_.fetch_add(1, std::memory_order_relaxed);
}

void BatchStream::Impl::WaitUntilLocked(absl::Duration when) {
  if (when >= pace_at_) return;
  pace_at_ = when;
  timers_->At(when, [weak = weak_from_this()] {
    if (const std::shared_ptr<Impl> impl = weak.lock()) impl->LookAgain();
  });
}

void BatchStream::Impl::LookAgain() {
  Batch batch;
  {
    base::MutexLock lock(mu_);
    // Answered or written to meanwhile: TakeBatch sets the timer anew where it is needed.
    const absl::Duration now = Now();
    // Else one that was set for later, before this one was.
    if (pace_at_ <= now) pace_at_ = absl::InfiniteDuration();
    if (pacer_.patience_ends() <= now) pacer_.GiveUp();
    if (crowd_.patience_ends() <= now) crowd_.GiveUp();
    batch = TakeBatchLocked();
  }
  Send(batch);
}

void BatchStream::Impl::ScheduleSweepLocked(absl::Duration deadline) {
  if (deadline >= sweep_at_) return;
  sweep_at_ = deadline;
  timers_->At(deadline, [weak = weak_from_this(), deadline] {
    if (const std::shared_ptr<Impl> impl = weak.lock()) impl->Sweep(deadline);
  });
}

void BatchStream::Impl::Sweep(absl::Duration scheduled_for) {
  // Deadlines are mostly one period after their start, and most operations are long over by then:
  // a sweep of those that are left, about once a period, costs less than a timer for each.
  OperationQueue expired;
  {
    base::MutexLock lock(mu_);
    if (sweep_at_ != scheduled_for) return;  // An earlier one took over.
    sweep_at_ = absl::InfiniteDuration();
    const absl::Duration now = Now();
    absl::Duration next = absl::InfiniteDuration();
    operations_.ForEach([&](BatchOperation* operation) ABSL_NO_THREAD_SAFETY_ANALYSIS {
      if (operation->deadline <= now) {
        EndLocked(operation, Verdict::kExpired, expired);
      } else {
        next = std::min(next, operation->deadline);
      }
    });
    // 1 ms of grain, so that deadlines close together share a sweep.
    if (next != absl::InfiniteDuration()) {
      ScheduleSweepLocked(std::max(next, now + absl::Milliseconds(1)));
    }
  }
  EndAll(expired, absl::DeadlineExceededError("no answer in time"));
}

void BatchStream::Impl::Cancel(uint64_t id) {
  OperationQueue ended;
  {
    base::MutexLock lock(mu_);
    BatchOperation* const operation = operations_.Find(id);
    if (operation != nullptr) EndLocked(operation, Verdict::kCancelled, ended);
  }
  EndAll(ended, absl::CancelledError("cancelled"));
}

void BatchStream::Impl::Shutdown() {
  OperationQueue ended;
  {
    base::MutexLock lock(mu_);
    stopped_ = true;
    if (session_ != nullptr) session_->context.TryCancel();
    operations_.ForEach([&](BatchOperation* operation) ABSL_NO_THREAD_SAFETY_ANALYSIS {
      EndLocked(operation, Verdict::kCancelled, ended);
    });
  }
  EndAll(ended, absl::CancelledError("the stream is closed"));
}

void BatchStream::Impl::WaitUntilDrained() {
  base::MutexLock lock(mu_);
  while (state_ != State::kIdle) drained_.Wait(mu_);
}

BatchStream::BatchStream(std::shared_ptr<grpc::Channel> channel, grpc::CompletionQueue* queue,
                         Timers* timers, const BatchStreamOptions& options)
    // Not make_shared: timers hold a weak pointer until an operation's deadline, which would keep
    // the memory of a stream that has ended.
    : impl_(new Impl(std::move(channel), queue, timers, options)) {}

BatchStream::~BatchStream() { Stop(); }

uint64_t BatchStream::Start(BatchOperation* operation) { return impl_->Start(operation); }
void BatchStream::StartSoon(BatchOperation* operation) { impl_->StartSoon(operation); }
bool BatchStream::PutsOff() const { return impl_->PutsOff(); }
void BatchStream::Cancel(uint64_t id) { impl_->Cancel(id); }
void BatchStream::Shutdown() { impl_->Shutdown(); }
void BatchStream::Stop() {
  impl_->Shutdown();
  impl_->WaitUntilDrained();
}
bool BatchStream::drained() const { return impl_->drained(); }
size_t BatchStream::outstanding() const { return impl_->outstanding(); }
size_t BatchStream::outstanding_bytes() const { return impl_->outstanding_bytes(); }
void BatchStream::Overloaded(uint64_t message, absl::Duration pause) {
  impl_->Overloaded(message, pause);
}
bool BatchStream::crowded() const { return impl_->crowded(); }
void BatchStream::SendHeld() { impl_->SendHeld(); }
bool BatchStream::slowed() const { return impl_->slowed(); }
uint64_t BatchStream::slowdowns() const { return impl_->slowdowns(); }
uint64_t BatchStream::messages() const { return impl_->messages(); }

}  // namespace atoll::rpc
