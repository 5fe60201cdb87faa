// Operations that a BatchStream makes itself, for callers with a message and a callback.
#include <utility>

#include "atoll/v1/cache.pb.h"
#include "rpc/batch_stream.h"
#include "rpc/result_message.h"

namespace atoll::rpc {
namespace {

class BytesOperation final : public BatchOperation {
 public:
  BytesOperation(OperationBytes bytes, absl::Duration deadline_in, BatchStream::Done done,
                 BatchStream::Departs departs)
      : bytes_(std::move(bytes)), done_(std::move(done)), departs_(std::move(departs)) {
    head = *bytes_;
    deadline = deadline_in;
    tells_departure = departs_ != nullptr;
  }

 private:
  void OnDeparture() override { departs_(); }
  void OnEnd(BatchEnd& end) override {
    auto done = std::move(done_);
    delete this;
    if (end.result != nullptr) {
      v1::OperationResult message;
      ToMessage(*end.result, &message);
      done({std::move(end.status), end.fate, &message});
    } else {
      done({std::move(end.status), end.fate, end.message});
    }
  }

  const OperationBytes bytes_;
  BatchStream::Done done_;
  BatchStream::Departs departs_;
};

}  // namespace

OperationBytes EncodeOperation(const v1::Operation& operation) {
  auto bytes = std::make_shared<std::string>();
  if (operation.id() == 0 && operation.timeout_ms() == 0) {
    operation.SerializeToString(bytes.get());
    return bytes;
  }
  // The stream writes its own before them.
  v1::Operation bare = operation;
  bare.clear_id();
  bare.clear_timeout_ms();
  bare.SerializeToString(bytes.get());
  return bytes;
}

uint64_t BatchStream::Start(OperationBytes operation, absl::Duration deadline, Done done,
                            Departs departs) {
  return Start(
      new BytesOperation(std::move(operation), deadline, std::move(done), std::move(departs)));
}

}  // namespace atoll::rpc
