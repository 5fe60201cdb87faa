#include "server/service/set_stream_call.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/async_stream.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "rpc/chunks.h"
#include "rpc/completion_queue.h"
#include "rpc/status.h"
#include "server/service/call_context.h"
#include "server/service/validate.h"

namespace atoll::service {
namespace {

class Call final : public rpc::Tag {
 public:
  Call(const StreamEntry& entry, grpc::ServerCompletionQueue* queue)
      : entry_(entry), queue_(queue), reader_(&context_) {
    entry_.service->RequestSetStream(&context_, &reader_, queue_, queue_, Arm());
  }

  Work work() const override { return state_ == State::kFinishing ? Work::kBrief : Work::kClients; }
  void Proceed(bool ok) override {
    switch (state_) {
      case State::kAwaiting:
        if (!ok) return End();
        SetStreamCall::Serve(entry_, queue_);
        state_ = State::kReading;
        return reader_.Read(&buffer_, Arm());
      case State::kReading: {
        if (!ok) return Store();
        if (absl::Status status = Take(); !status.ok()) return Fail(status);
        return reader_.Read(&buffer_, Arm());
      }
      case State::kFinishing:
        return End();
    }
  }

 private:
  enum class State : uint8_t { kAwaiting, kReading, kFinishing };

  absl::Status Take() {
    rpc::ChunkMessage message;
    if (absl::Status s = rpc::DecodeChunk(buffer_, &message); !s.ok()) return s;
    if (message.is_header == has_header_) {
      return base::InvalidArgument("message", has_header_ ? "a second header" : "a chunk first");
    }
    if (message.is_header) {
      has_header_ = true;
      if (!header_.ParseFromString(message.header)) {
        return base::InvalidArgument("header", "malformed");
      }
      if (!header_.set().value().empty()) {
        return base::InvalidArgument("value", "in the header of a stream");
      }
      if (absl::Status s = CheckKey(header_.set().key()); !s.ok()) return s;
      if (absl::Status s = CheckValue(header_.size(), entry_.handler->limits().max_value_bytes);
          !s.ok()) {
        return s;
      }
      return entry_.handler->Reserve(header_.size(), &ticket_);
    }
    size_ += message.size;
    if (size_ > header_.size()) return WrongSize();
    for (grpc::Slice& slice : message.pieces) slices_.push_back(std::move(slice));
    return absl::OkStatus();
  }

  absl::Status WrongSize() const {
    return base::InvalidArgument(
        "size", absl::StrCat(size_, " bytes sent, ", header_.size(), " announced"));
  }

  // All chunks are there.
  void Store() {
    // A caller that went away looks the same, and has sent less than it announced. (IsCancelled may
    // not be asked: without a notification of the end it plucks from the queue, which aborts.)
    if (!has_header_) return Fail(base::InvalidArgument("message", "no header"));
    if (size_ != header_.size()) return Fail(WrongSize());
    // Views only now: a short slice holds its bytes itself, and the vector moved it.
    for (const grpc::Slice& slice : slices_) {
      pieces_.emplace_back(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
    entry_.handler->Store(header_.set(), pieces_, InfoOf(context_, entry_.hop),
                          response_.mutable_result(), [this](const absl::Status& status) {
                            if (!status.ok()) return Fail(status);
                            const grpc::Slice slice(response_.SerializeAsString());
                            state_ = State::kFinishing;
                            reader_.Finish(grpc::ByteBuffer(&slice, 1), grpc::Status::OK, Arm());
                          });
  }

  void Fail(const absl::Status& status) {
    state_ = State::kFinishing;
    reader_.FinishWithError(rpc::ToGrpc(status), Arm());
  }

  void End() {
    base::Gate* const calls = entry_.calls;
    delete this;
    calls->Leave();
  }

  const StreamEntry entry_;
  grpc::ServerCompletionQueue* const queue_;
  State state_ = State::kAwaiting;
  grpc::ServerContext context_;
  grpc::ByteBuffer buffer_;
  grpc::ServerAsyncReader<grpc::ByteBuffer, grpc::ByteBuffer> reader_;
  bool has_header_ = false;
  v1::SetStreamHeader header_;
  routing::ByteBudget::Ticket ticket_;
  uint64_t size_ = 0;
  std::vector<grpc::Slice> slices_;
  std::vector<std::string_view> pieces_;
  v1::SetStreamResponse response_;
};

}  // namespace

void SetStreamCall::Serve(const StreamEntry& entry, grpc::ServerCompletionQueue* queue) {
  if (entry.calls->Enter()) new Call(entry, queue);  // Ends itself.
}

}  // namespace atoll::service
