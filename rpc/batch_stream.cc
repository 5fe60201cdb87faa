#include "rpc/batch_stream.h"

#include <google/protobuf/io/coded_stream.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "atoll/v1/cache.pb.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"
#include "rpc/channel.h"
#include "rpc/completion_queue.h"
#include "rpc/status.h"
#include "rpc/timers.h"

namespace atoll::rpc {
namespace {

using google::protobuf::io::CodedOutputStream;

constexpr char kMethod[] = "/atoll.v1.CacheService/Exchange";

// Tags of the fields that are written by hand (number << 3 | wire type).
constexpr uint8_t kOperationsTag = (v1::ExchangeRequest::kOperationsFieldNumber << 3) | 2;
constexpr uint8_t kRefuseTag = (v1::ExchangeRequest::kRefuseWrongOwnerFieldNumber << 3) | 0;
constexpr uint8_t kIdTag = (v1::Operation::kIdFieldNumber << 3) | 0;
constexpr uint8_t kTimeoutTag = (v1::Operation::kTimeoutMsFieldNumber << 3) | 0;

// What an operation adds to a message beside its bytes, at the most: tag and length, id, timeout.
constexpr size_t kOperationOverhead = 1 + 5 + 1 + 10 + 1 + 5;

// One operation alone may fill a message.
constexpr size_t kMaxOperationBytes = size_t{kMaxMessageBytes} - 1024;

absl::Duration Now() { return base::Clock::Real().BootTime(); }

// One operation of a message that is about to be written.
struct Outgoing {
  uint64_t id;
  uint32_t timeout_ms;
  OperationBytes bytes;
  BatchStream::Departs departs;
};

grpc::ByteBuffer EncodeMessage(const std::vector<Outgoing>& batch, bool refuse_wrong_owner) {
  size_t limit = 2;
  for (const Outgoing& op : batch) limit += op.bytes->size() + kOperationOverhead;
  grpc_slice slice = grpc_slice_malloc(limit);
  uint8_t* const start = GRPC_SLICE_START_PTR(slice);
  uint8_t* out = start;
  if (refuse_wrong_owner) {
    *out++ = kRefuseTag;
    *out++ = 1;
  }
  for (const Outgoing& op : batch) {
    const size_t size = op.bytes->size() + 2 + CodedOutputStream::VarintSize64(op.id) +
                        CodedOutputStream::VarintSize32(op.timeout_ms);
    *out++ = kOperationsTag;
    out = CodedOutputStream::WriteVarint32ToArray(static_cast<uint32_t>(size), out);
    // The last of a field counts, so that what the caller encoded cannot contradict.
    out = CodedOutputStream::WriteRawToArray(op.bytes->data(), static_cast<int>(op.bytes->size()),
                                             out);
    *out++ = kIdTag;
    out = CodedOutputStream::WriteVarint64ToArray(op.id, out);
    *out++ = kTimeoutTag;
    out = CodedOutputStream::WriteVarint32ToArray(op.timeout_ms, out);
  }
  GRPC_SLICE_SET_LENGTH(slice, static_cast<size_t>(out - start));
  const grpc::Slice owned(slice, grpc::Slice::STEAL_REF);
  return grpc::ByteBuffer(&owned, 1);
}

bool Decode(grpc::ByteBuffer* buffer, v1::ExchangeResponse* message) {
  grpc::ProtoBufferReader reader(buffer);
  return reader.status().ok() && message->ParseFromZeroCopyStream(&reader);
}

}  // namespace

OperationBytes EncodeOperation(const v1::Operation& operation) {
  auto bytes = std::make_shared<std::string>();
  operation.SerializeToString(bytes.get());
  return bytes;
}

class BatchStream::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(std::shared_ptr<grpc::Channel> channel, grpc::CompletionQueue* queue, Timers* timers,
       const BatchStreamOptions& options)
      : queue_(queue), timers_(timers), options_(options), stub_(std::move(channel)) {}

  uint64_t Start(OperationBytes operation, absl::Duration deadline, Done done, Departs departs)
      ABSL_LOCKS_EXCLUDED(mu_);
  void Cancel(uint64_t id) ABSL_LOCKS_EXCLUDED(mu_);
  void Shutdown() ABSL_LOCKS_EXCLUDED(mu_);
  void WaitUntilDrained() ABSL_LOCKS_EXCLUDED(mu_);
  size_t outstanding() const ABSL_LOCKS_EXCLUDED(mu_) {
    base::MutexLock lock(mu_);
    return operations_.size();
  }
  bool drained() const ABSL_LOCKS_EXCLUDED(mu_) {
    base::MutexLock lock(mu_);
    return stopped_ && state_ == State::kIdle;
  }
  uint64_t messages() const { return messages_.load(std::memory_order_relaxed); }

 private:
  struct Pending {
    OperationBytes bytes;
    absl::Duration deadline;
    Done done;
    Departs departs;
    bool sent = false;
  };
  struct Ended {
    Done done;
    Fate fate;
  };

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
          finished(impl, &Impl::OnFinished) {}
    grpc::ClientContext context;
    std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call;
    grpc::ByteBuffer incoming;
    grpc::Status status;
    Event started, read, written, finished;
  };

  enum class State : uint8_t {
    kIdle,      // no session
    kStarting,  // StartCall under way
    kOpen,      // a read is always under way
    kEnding,    // the read side ended; Finish follows when no write is under way
  };

  void OnStarted(bool ok);
  void OnRead(bool ok);
  void OnWritten(bool ok);
  void OnFinished(bool ok);

  // Starts a session if there is none and there should be one. Returns it for the caller to start
  // without the lock.
  Session* ConnectLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Writes the next message if there is one and the stream is free.
  void Write() ABSL_LOCKS_EXCLUDED(mu_);
  // Takes the next message from the queue; fills `expired` with what is past its deadline.
  std::vector<Outgoing> NextBatchLocked(std::vector<Ended>* expired)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Finish() ABSL_LOCKS_EXCLUDED(mu_);
  // Removes an operation; nullopt if it has ended.
  std::optional<Ended> TakeLocked(uint64_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::vector<Ended> TakeAllLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Sees to it that expired operations are ended at `deadline` or earlier.
  void ScheduleSweepLocked(absl::Duration deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Sweep(absl::Duration scheduled_for) ABSL_LOCKS_EXCLUDED(mu_);
  static void EndAll(std::vector<Ended> ended, const absl::Status& status);

  grpc::CompletionQueue* const queue_;
  Timers* const timers_;
  const BatchStreamOptions options_;
  grpc::GenericStub stub_;

  mutable base::Mutex mu_;
  base::CondVar drained_;
  absl::flat_hash_map<uint64_t, Pending> operations_ ABSL_GUARDED_BY(mu_);
  // Numbers of operations that wait; those that have ended meanwhile are skipped.
  std::deque<uint64_t> queue_of_ids_ ABSL_GUARDED_BY(mu_);
  size_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t next_id_ ABSL_GUARDED_BY(mu_) = 1;
  State state_ ABSL_GUARDED_BY(mu_) = State::kIdle;
  // Made and destroyed under the lock; used without it by whoever has a tag under way, or is the
  // writer (`writing_`), for neither lets it end.
  std::unique_ptr<Session> session_ ABSL_GUARDED_BY(mu_);
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool first_message_ ABSL_GUARDED_BY(mu_) = true;
  // Keeps this object while gRPC has a tag of it.
  std::shared_ptr<Impl> self_ ABSL_GUARDED_BY(mu_);
  absl::Duration backoff_ ABSL_GUARDED_BY(mu_);
  absl::Duration closed_until_ ABSL_GUARDED_BY(mu_) = -absl::InfiniteDuration();
  absl::Status last_error_ ABSL_GUARDED_BY(mu_);
  absl::Duration sweep_at_ ABSL_GUARDED_BY(mu_) = absl::InfiniteDuration();
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;

  std::atomic<uint64_t> messages_{0};  // relaxed: a figure
};

uint64_t BatchStream::Impl::Start(OperationBytes operation, absl::Duration deadline, Done done,
                                  Departs departs) {
  absl::Status refusal;
  Session* to_start = nullptr;
  uint64_t id = 0;
  {
    base::MutexLock lock(mu_);
    id = next_id_++;
    if (stopped_) {
      refusal = absl::CancelledError("the stream is closed");
    } else if (state_ == State::kIdle && Now() < closed_until_) {
      refusal = last_error_;
    } else if (operation->size() > kMaxOperationBytes) {
      refusal = base::InvalidArgument("operation", absl::StrCat(operation->size(), " bytes"),
                                      kMaxOperationBytes);
    } else if (operations_.size() >= options_.max_operations ||
               bytes_ + operation->size() > options_.max_bytes) {
      refusal = base::WithReason(
          absl::ResourceExhaustedError(absl::StrCat(
              "too much under way to this node: ", operations_.size(), " operations, limit ",
              options_.max_operations, "; ", bytes_, " bytes, limit ", options_.max_bytes)),
          base::reason::kOverload);
    } else {
      bytes_ += operation->size();
      operations_.emplace(
          id, Pending{std::move(operation), deadline, std::move(done), std::move(departs)});
      queue_of_ids_.push_back(id);
      ScheduleSweepLocked(deadline);
      to_start = ConnectLocked();
    }
  }
  if (!refusal.ok()) {
    done({refusal, Fate::kNotSent, nullptr});
    return id;
  }
  if (to_start != nullptr) {
    to_start->call->StartCall(to_start->started.Arm());
  } else {
    Write();
  }
  return id;
}

BatchStream::Impl::Session* BatchStream::Impl::ConnectLocked() {
  if (state_ != State::kIdle || stopped_) return nullptr;
  state_ = State::kStarting;
  self_ = shared_from_this();
  first_message_ = true;
  session_ = std::make_unique<Session>(this);
  session_->call = stub_.PrepareCall(&session_->context, kMethod, queue_);
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
  session->call->Read(&session->incoming, session->read.Arm());
  Write();
}

std::vector<Outgoing> BatchStream::Impl::NextBatchLocked(std::vector<Ended>* expired) {
  std::vector<Outgoing> batch;
  size_t size = 0;
  const absl::Duration now = Now();
  while (!queue_of_ids_.empty()) {
    const uint64_t id = queue_of_ids_.front();
    const auto found = operations_.find(id);
    if (found == operations_.end()) {
      queue_of_ids_.pop_front();
      continue;
    }
    Pending& pending = found->second;
    const size_t cost = pending.bytes->size() + kOperationOverhead;
    if (!batch.empty() && size + cost > options_.max_message_bytes) break;
    queue_of_ids_.pop_front();
    const absl::Duration left = pending.deadline - now;
    if (left <= absl::ZeroDuration()) {
      expired->push_back(*TakeLocked(id));
      continue;
    }
    size += cost;
    pending.sent = true;
    // Rounded up: 0 would mean the node's default.
    const int64_t ms =
        std::min<int64_t>(absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1))),
                          std::numeric_limits<int32_t>::max());
    batch.push_back({id, static_cast<uint32_t>(ms), pending.bytes, std::move(pending.departs)});
  }
  return batch;
}

void BatchStream::Impl::Write() {
  std::vector<Ended> expired;
  std::vector<Outgoing> batch;
  Session* session = nullptr;
  bool refuse = false;
  {
    base::MutexLock lock(mu_);
    if (state_ != State::kOpen || writing_) return;
    batch = NextBatchLocked(&expired);
    if (!batch.empty()) {
      writing_ = true;
      session = session_.get();
      refuse = first_message_ && options_.refuse_wrong_owner;
      first_message_ = false;
    }
  }
  if (session != nullptr) {
    for (Outgoing& op : batch) {
      if (op.departs != nullptr) op.departs();
    }
    const grpc::ByteBuffer message = EncodeMessage(batch, refuse);
    messages_.fetch_add(1, std::memory_order_relaxed);
    session->call->Write(message, session->written.Arm());
  }
  EndAll(std::move(expired), absl::DeadlineExceededError("waiting to be sent"));
}

void BatchStream::Impl::OnWritten(bool /*ok*/) {
  // A write fails only on a broken call, which ends the read too.
  bool finish = false;
  {
    base::MutexLock lock(mu_);
    writing_ = false;
    finish = state_ == State::kEnding;
  }
  if (finish) {
    Finish();
  } else {
    Write();
  }
}

void BatchStream::Impl::OnRead(bool ok) {
  Session* session = nullptr;
  v1::ExchangeResponse message;
  std::vector<std::pair<Done, v1::OperationResult*>> answered;
  {
    base::MutexLock lock(mu_);
    session = session_.get();
  }
  if (ok && !Decode(&session->incoming, &message)) {
    session->context.TryCancel();
    ok = false;
  }
  bool finish = false;
  {
    base::MutexLock lock(mu_);
    if (!ok) {
      state_ = State::kEnding;
      finish = !writing_;
    } else {
      backoff_ = absl::ZeroDuration();
      answered.reserve(static_cast<size_t>(message.results_size()));
      for (v1::OperationResult& result : *message.mutable_results()) {
        // Unknown: it has expired or was cancelled meanwhile. Never sent: the node is mad.
        const auto found = operations_.find(result.id());
        if (found == operations_.end() || !found->second.sent) continue;
        answered.emplace_back(std::move(TakeLocked(result.id())->done), &result);
      }
    }
  }
  if (finish) {
    Finish();
    return;
  }
  if (!ok) return;  // OnWritten finishes.
  // The next message may be on its way while this one's callbacks run; but they run in this
  // thread, the only one that reads, so that results of one stream stay in order.
  session->call->Read(&session->incoming, session->read.Arm());
  for (auto& [done, result] : answered) {
    if (result->has_error()) {
      absl::Status status = FromProto(result->error());
      if (status.ok()) status = absl::InternalError("the node answered an error without a code");
      done({std::move(status), Fate::kAnswered, nullptr});
    } else {
      done({absl::OkStatus(), Fate::kAnswered, result});
    }
  }
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
  std::vector<Ended> ended;
  absl::Status error;
  {
    base::MutexLock lock(mu_);
    self = std::move(self_);
    self_ = nullptr;
    error = FromGrpc(session_->status);
    // A server that ends the stream politely (it stops) leaves its operations as unanswered as one
    // that breaks. UNAVAILABLE by contract, but for refusals of the caller himself.
    if (error.code() != absl::StatusCode::kUnauthenticated &&
        error.code() != absl::StatusCode::kPermissionDenied &&
        error.code() != absl::StatusCode::kUnimplemented) {
      error = absl::UnavailableError(error.ok() ? absl::string_view("the node ended the stream")
                                                : error.message());
    }
    backoff_ = std::clamp(backoff_ * 2, options_.min_backoff, options_.max_backoff);
    closed_until_ = Now() + backoff_;
    last_error_ = error;
    state_ = State::kIdle;
    session_.reset();
    ended = TakeAllLocked();
  }
  EndAll(std::move(ended), error);
  base::MutexLock lock(mu_);
  drained_.SignalAll();
}

std::optional<BatchStream::Impl::Ended> BatchStream::Impl::TakeLocked(uint64_t id) {
  const auto found = operations_.find(id);
  if (found == operations_.end()) return std::nullopt;
  Ended ended{std::move(found->second.done), found->second.sent ? Fate::kSent : Fate::kNotSent};
  bytes_ -= found->second.bytes->size();
  operations_.erase(found);
  return ended;
}

std::vector<BatchStream::Impl::Ended> BatchStream::Impl::TakeAllLocked() {
  std::vector<Ended> all;
  all.reserve(operations_.size());
  for (auto& [id, pending] : operations_) {
    all.push_back({std::move(pending.done), pending.sent ? Fate::kSent : Fate::kNotSent});
  }
  operations_.clear();
  queue_of_ids_.clear();
  bytes_ = 0;
  return all;
}

void BatchStream::Impl::EndAll(std::vector<Ended> ended, const absl::Status& status) {
  for (Ended& one : ended) one.done({status, one.fate, nullptr});
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
  std::vector<Ended> expired;
  {
    base::MutexLock lock(mu_);
    if (sweep_at_ != scheduled_for) return;  // An earlier one took over.
    sweep_at_ = absl::InfiniteDuration();
    const absl::Duration now = Now();
    absl::Duration next = absl::InfiniteDuration();
    std::vector<uint64_t> ids;
    for (const auto& [id, pending] : operations_) {
      if (pending.deadline <= now) {
        ids.push_back(id);
      } else {
        next = std::min(next, pending.deadline);
      }
    }
    for (const uint64_t id : ids) expired.push_back(*TakeLocked(id));
    // 1 ms of grain, so that deadlines close together share a sweep.
    if (next != absl::InfiniteDuration()) {
      ScheduleSweepLocked(std::max(next, now + absl::Milliseconds(1)));
    }
  }
  EndAll(std::move(expired), absl::DeadlineExceededError("no answer in time"));
}

void BatchStream::Impl::Cancel(uint64_t id) {
  std::optional<Ended> ended;
  {
    base::MutexLock lock(mu_);
    ended = TakeLocked(id);
  }
  if (ended.has_value()) ended->done({absl::CancelledError("cancelled"), ended->fate, nullptr});
}

void BatchStream::Impl::Shutdown() {
  std::vector<Ended> ended;
  {
    base::MutexLock lock(mu_);
    stopped_ = true;
    if (session_ != nullptr) session_->context.TryCancel();
    ended = TakeAllLocked();
  }
  EndAll(std::move(ended), absl::CancelledError("the stream is closed"));
}

void BatchStream::Impl::WaitUntilDrained() {
  base::MutexLock lock(mu_);
  while (state_ != State::kIdle) drained_.Wait(mu_);
}

BatchStream::BatchStream(std::shared_ptr<grpc::Channel> channel, grpc::CompletionQueue* queue,
                         Timers* timers, const BatchStreamOptions& options)
    : impl_(std::make_shared<Impl>(std::move(channel), queue, timers, options)) {}

BatchStream::~BatchStream() { Stop(); }

uint64_t BatchStream::Start(OperationBytes operation, absl::Duration deadline, Done done,
                            Departs departs) {
  return impl_->Start(std::move(operation), deadline, std::move(done), std::move(departs));
}
void BatchStream::Cancel(uint64_t id) { impl_->Cancel(id); }
void BatchStream::Shutdown() { impl_->Shutdown(); }
void BatchStream::Stop() {
  impl_->Shutdown();
  impl_->WaitUntilDrained();
}
bool BatchStream::drained() const { return impl_->drained(); }
size_t BatchStream::outstanding() const { return impl_->outstanding(); }
uint64_t BatchStream::messages() const { return impl_->messages(); }

}  // namespace atoll::rpc
