#include "server/service/exchange_call.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/proto_buffer_writer.h>

#include <deque>
#include <memory>
#include <utility>

#include "base/mutex.h"
#include "base/status.h"
#include "rpc/completion_queue.h"
#include "rpc/status.h"
#include "server/service/call_context.h"

namespace atoll::service {
namespace {

constexpr absl::Duration kDefaultTimeout = absl::Seconds(30);
// What an operation under way costs beside its message.
constexpr size_t kWaitingBytes = 256;

class Stream final : public std::enable_shared_from_this<Stream> {
 public:
  static void Serve(const StreamEntry& entry, grpc::ServerCompletionQueue* queue) {
    if (!entry.calls->Enter()) return;
    auto stream = std::make_shared<Stream>(entry, queue);
    stream->self_ = stream;
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
        stream_(&context_) {}

 private:
  class Event final : public rpc::Tag {
   public:
    Event(Stream* stream, void (Stream::*method)(bool)) : stream_(stream), method_(method) {}
    void Proceed(bool ok) override { (stream_->*method_)(ok); }

   private:
    Stream* const stream_;
    void (Stream::*const method_)(bool);
  };

  struct Ready {
    std::unique_ptr<v1::OperationResult> result;
    size_t bytes = 0;
  };

  // A received message, which its operations point into.
  struct Message {
    v1::ExchangeRequest request;
  };

  void OnOpened(bool ok) {
    if (!ok) return Release();
    Serve(entry_, queue_);
    last_hop_ = InfoOf(context_, entry_.hop).options.hop == routing::Hop::kLast;
    stream_.Read(&input_, read_.Arm());
  }

  void OnRead(bool ok) {
    if (!ok) {
      base::MutexLock lock(mu_);
      reading_ = false;
      ended_ = true;
      return AdvanceLocked();
    }
    auto message = std::make_shared<Message>();
    grpc::ProtoBufferReader reader(&input_);
    if (!message->request.ParseFromZeroCopyStream(&reader)) {
      base::MutexLock lock(mu_);
      reading_ = false;
      ended_ = true;
      status_ = base::InvalidArgument("message", "malformed");
      return AdvanceLocked();
    }
    if (!std::exchange(seen_first_, true) && message->request.refuse_wrong_owner()) {
      last_hop_ = true;
    }
    {
      // Completed operations gather until all of the message were started.
      base::MutexLock lock(mu_);
      gathering_ = true;
    }
    const absl::Duration now = base::Clock::Real().BootTime();
    for (const v1::Operation& operation : message->request.operations()) {
      Start(message, operation, now);
    }
    base::MutexLock lock(mu_);
    gathering_ = false;
    reading_ = false;
    AdvanceLocked();
  }

  void Start(const std::shared_ptr<Message>& message, const v1::Operation& operation,
             absl::Duration now) {
    auto result = std::make_unique<v1::OperationResult>();
    result->set_id(operation.id());
    const size_t bytes = operation.ByteSizeLong() + kWaitingBytes;
    {
      base::MutexLock lock(mu_);
      ++waiting_;
      held_bytes_ += bytes;
    }
    CallInfo info;
    info.options.hop = last_hop_ ? routing::Hop::kLast : routing::Hop::kFirst;
    info.options.max_value_bytes = routing::kExchangeValueBytes;
    info.deadline =
        now + (operation.timeout_ms() == 0 ? kDefaultTimeout
                                           : absl::Milliseconds(operation.timeout_ms()));
    v1::OperationResult* const out = result.get();
    entry_.handler->Handle(
        operation, info, out,
        [self = shared_from_this(), message, bytes, result = std::move(result)]() mutable {
          self->OnDone(std::move(result), bytes);
        });
  }

  void OnDone(std::unique_ptr<v1::OperationResult> result, size_t bytes) {
    const size_t size = result->ByteSizeLong() + 8;
    base::MutexLock lock(mu_);
    --waiting_;
    held_bytes_ -= bytes;
    if (!broken_) {
      held_bytes_ += size;
      ready_.push_back({std::move(result), size});
    }
    AdvanceLocked();
  }

  void OnWritten(bool ok) {
    base::MutexLock lock(mu_);
    writing_ = false;
    held_bytes_ -= writing_bytes_;
    writing_bytes_ = 0;
    if (!ok) broken_ = true;
    AdvanceLocked();
  }

  // Starts whatever can be started. Everything that changes the state ends here.
  void AdvanceLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (finishing_ || gathering_) return;
    if (broken_) {
      for (const Ready& ready : ready_) held_bytes_ -= ready.bytes;
      ready_.clear();
    }
    if (!writing_ && !ready_.empty()) WriteLocked();
    if (!reading_ && !ended_ && held_bytes_ <= ExchangeCall::kPauseBytes) {
      reading_ = true;
      stream_.Read(&input_, read_.Arm());
    }
    // A message that is no message ends the stream at once; else all is answered first.
    const bool answered = waiting_ == 0 && ready_.empty();
    if (ended_ && !reading_ && !writing_ && (answered || broken_ || !status_.ok())) {
      finishing_ = true;
      stream_.Finish(rpc::ToGrpc(status_), finished_.Arm());
    }
  }

  void WriteLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    v1::ExchangeResponse response;
    while (!ready_.empty() && (writing_bytes_ == 0 || writing_bytes_ + ready_.front().bytes <=
                                                          ExchangeCall::kMessageBytes)) {
      writing_bytes_ += ready_.front().bytes;
      response.mutable_results()->AddAllocated(ready_.front().result.release());
      ready_.pop_front();
    }
    grpc::ByteBuffer output;
    bool own_buffer = false;
    const grpc::Status serialized =
        grpc::SerializationTraits<v1::ExchangeResponse>::Serialize(response, &output, &own_buffer);
    if (!serialized.ok()) {
      broken_ = true;
      held_bytes_ -= std::exchange(writing_bytes_, 0);
      return;
    }
    writing_ = true;
    stream_.Write(output, written_.Arm());
  }

  void OnFinished(bool /*ok*/) { Release(); }

  void Release() {
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
  grpc::ServerContext context_;
  grpc::ByteBuffer input_;
  grpc::ServerAsyncReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer> stream_;
  std::shared_ptr<Stream> self_;
  // Of the reading side: one read at a time.
  bool last_hop_ = false;
  bool seen_first_ = false;

  base::Mutex mu_;
  bool reading_ ABSL_GUARDED_BY(mu_) = true;
  bool gathering_ ABSL_GUARDED_BY(mu_) = false;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;  // nothing more will be read
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool broken_ ABSL_GUARDED_BY(mu_) = false;  // nothing can be written any more
  bool finishing_ ABSL_GUARDED_BY(mu_) = false;
  size_t waiting_ ABSL_GUARDED_BY(mu_) = 0;  // operations under way
  size_t held_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  size_t writing_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  std::deque<Ready> ready_ ABSL_GUARDED_BY(mu_);
  absl::Status status_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

void ExchangeCall::Serve(const StreamEntry& entry, grpc::ServerCompletionQueue* queue) {
  Stream::Serve(entry, queue);
}

}  // namespace atoll::service
