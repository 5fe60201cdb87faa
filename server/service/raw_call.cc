#include "server/service/raw_call.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/async_unary_call.h>

#include <atomic>
#include <memory>
#include <utility>

#include "base/mutex.h"
#include "rpc/completion_queue.h"
#include "rpc/status.h"
#include "server/service/call_context.h"
#include "server/service/operation_batch.h"

namespace atoll::service {
namespace {

// Lifetime: owns itself, from the accept until its answer was sent.
class Call final : public rpc::Tag, public OperationBatch::Owner {
 public:
  static void Serve(const StreamEntry& entry, wire::Kind kind, grpc::ServerCompletionQueue* queue) {
    if (!entry.calls->Enter()) return;
    auto* const call = new Call(entry, kind, queue);
    call->Accept();
  }

  Work work() const override { return answering_ ? Work::kBrief : Work::kClients; }
  void Proceed(bool ok) override {
    if (answering_ || !ok) {
      base::Gate* const calls = entry_.calls;
      delete this;
      calls->Leave();
      return;
    }
    answering_ = true;
    Serve(entry_, kind_, queue_);
    info_ = InfoOf(context_, entry_.hop);
    if (absl::Status status = batch_.DecodeOne(kind_); !status.ok()) {
      failed_ = std::move(status);
      return Finish();
    }
    batch_.Run(info_, &output_, this);
    if (batch_.Leave()) PartDone();
  }

 private:
  Call(const StreamEntry& entry, wire::Kind kind, grpc::ServerCompletionQueue* queue)
      : entry_(entry), kind_(kind), queue_(queue), batch_(entry.handler) {}

  void Accept() {
    CacheAsyncService& service = *entry_.service;
    grpc::ByteBuffer* const in = batch_.input().buffer();
    switch (kind_) {
      case wire::Kind::kGet:
        return service.RequestGet(&context_, in, &writer_, queue_, queue_, Arm());
      case wire::Kind::kSet:
        return service.RequestSet(&context_, in, &writer_, queue_, queue_, Arm());
      case wire::Kind::kMultiGet:
        return service.RequestMultiGet(&context_, in, &writer_, queue_, queue_, Arm());
      case wire::Kind::kMultiSet:
        return service.RequestMultiSet(&context_, in, &writer_, queue_, queue_, Arm());
      case wire::Kind::kMultiDelete:
        return service.RequestMultiDelete(&context_, in, &writer_, queue_, queue_, Arm());
      case wire::Kind::kDelete:
      case wire::Kind::kOther:
        return;
    }
  }

  // --- OperationBatch::Owner ---

  void OnFull() override {}
  // Limited by what one answer may hold.
  bool HasRoom() override { return true; }
  void OnFailed(const absl::Status& status) override { failed_ = status; }

  void StartOther(std::unique_ptr<v1::Operation> operation) override {
    parts_.fetch_add(1, std::memory_order_relaxed);
    other_ = std::move(operation);
    entry_.handler->Handle(*other_, info_, &other_result_, [this] { OnOther(); });
  }

  void OnLate(OperationBatch::Late* late, replication::OperationResult result) override {
    {
      base::MutexLock lock(mu_);
      batch_.Encode(late, std::move(result), &output_);
    }
    if (batch_.Leave()) PartDone();
  }

  void OnOther() {
    if (other_result_.has_error()) {
      failed_ = rpc::FromProto(other_result_.error());
    } else {
      output_.Append(OneOf(other_result_)->SerializeAsString());
    }
    PartDone();
  }

  static const google::protobuf::Message* OneOf(const v1::OperationResult& result) {
    switch (result.kind_case()) {
      case v1::OperationResult::kSet:
        return &result.set();
      case v1::OperationResult::kMultiGet:
        return &result.multi_get();
      case v1::OperationResult::kMultiSet:
        return &result.multi_set();
      case v1::OperationResult::kMultiDelete:
        return &result.multi_delete();
      default:
        return &result.get();
    }
  }

  // Of the batch, and of an operation that the generated classes have taken.
  void PartDone() {
    if (parts_.fetch_sub(1, std::memory_order_acq_rel) == 1) Finish();
  }

  void Finish() {
    if (failed_.ok()) {
      writer_.Finish(output_.Finish(), grpc::Status::OK, Arm());
    } else {
      writer_.FinishWithError(rpc::ToGrpc(failed_), Arm());
    }
  }

  const StreamEntry entry_;
  const wire::Kind kind_;
  grpc::ServerCompletionQueue* const queue_;
  grpc::ServerContext context_;
  grpc::ServerAsyncResponseWriter<grpc::ByteBuffer> writer_{&context_};
  bool answering_ = false;
  CallInfo info_;
  OperationBatch batch_;
  std::atomic<int> parts_{1};
  // Written by the parts, one after the other, read by the last.
  absl::Status failed_;
  wire::Output output_;
  base::Mutex mu_;  // held while late answers are written
  std::unique_ptr<v1::Operation> other_;
  v1::OperationResult other_result_;
};

}  // namespace

void RawCall::Serve(const StreamEntry& entry, wire::Kind kind, grpc::ServerCompletionQueue* queue) {
  Call::Serve(entry, kind, queue);
}

}  // namespace atoll::service
