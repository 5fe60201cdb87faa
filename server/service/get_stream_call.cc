#include "server/service/get_stream_call.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "rpc/chunks.h"
#include "rpc/completion_queue.h"
#include "rpc/status.h"
#include "server/routing/wire.h"
#include "server/service/call_context.h"

namespace atoll::service {
namespace {

class Call final : public rpc::Tag {
 public:
  Call(const StreamEntry& entry, grpc::ServerCompletionQueue* queue)
      : entry_(entry), queue_(queue), writer_(&context_) {
    entry_.service->RequestGetStream(&context_, &buffer_, &writer_, queue_, queue_, Arm());
  }

  Work work() const override { return state_ == State::kAwaiting ? Work::kClients : Work::kBrief; }
  void Proceed(bool ok) override {
    switch (state_) {
      case State::kAwaiting:
        if (!ok) return End();
        GetStreamCall::Serve(entry_, queue_);
        return Start();
      case State::kWriting:
        return ok ? WriteNext() : Finish(absl::CancelledError("the caller went away"));
      case State::kFinishing:
        return End();
    }
  }

 private:
  enum class State : uint8_t { kAwaiting, kWriting, kFinishing };

  void Start() {
    grpc::ProtoBufferReader reader(&buffer_);
    if (!request_.ParseFromZeroCopyStream(&reader)) {
      return Finish(base::InvalidArgument("message", "malformed"));
    }
    entry_.handler->Read(request_.get(), InfoOf(context_, entry_.hop),
                         [this](replication::OperationResult result) {
                           if (!result.status.ok()) return Finish(result.status);
                           OnResult(std::move(result));
                         });
  }

  void OnResult(replication::OperationResult result) {
    value_ = std::move(result.value);
    // A small value lives in the engine's buffer, and only during this call.
    if (value_.size() != 0 && value_.owner() == nullptr)
      value_ = store::Value::Own(value_.Flatten());
    result.value = store::Value();
    v1::GetResponse header;
    routing::FillGet(result, entry_.handler->Now(), &header);
    cutter_.emplace(value_.pieces());
    state_ = State::kWriting;
    writer_.Write(rpc::EncodeHeader(header.SerializeAsString()), Arm());
  }

  void WriteNext() {
    const std::vector<std::string_view> pieces = cutter_->Next();
    if (pieces.empty()) return Finish(absl::OkStatus());
    writer_.Write(rpc::EncodeChunk(pieces, value_.owner()), Arm());
  }

  void Finish(const absl::Status& status) {
    state_ = State::kFinishing;
    writer_.Finish(rpc::ToGrpc(status), Arm());
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
  grpc::ServerAsyncWriter<grpc::ByteBuffer> writer_;
  v1::GetStreamRequest request_;
  store::Value value_;
  std::optional<rpc::ChunkCutter> cutter_;
};

}  // namespace

void GetStreamCall::Serve(const StreamEntry& entry, grpc::ServerCompletionQueue* queue) {
  if (entry.calls->Enter()) new Call(entry, queue);  // Ends itself.
}

}  // namespace atoll::service
