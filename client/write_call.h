// Writes of one key: Set and Delete by the codec, and whatever else by generated messages.
//
// Thread safety: none of its own; see Call.
#pragma once

#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "atoll/v1/cache.pb.h"
#include "client/answered_call.h"
#include "client/include/atoll/options.h"
#include "client/include/atoll/value.h"
#include "rpc/batch_operation.h"

namespace atoll::client {

// What a set stores beside its key.
struct EntryOptions {
  std::optional<absl::Duration> ttl;
  absl::Duration max_idle = absl::ZeroDuration();
  uint32_t flags = 0;
};

// Set or Delete.
class WriteCall : public AnsweredCall<WriteResult> {
 public:
  // `own`: what is given may be gone before the call ends. `deadline` is set by the caller.
  void PrepareSet(std::string_view ns, std::string_view key, std::string_view value,
                  const EntryOptions& options, bool own);
  void PrepareDelete(std::string_view ns, std::string_view key);

 private:
  void Finish(rpc::BatchEnd& end) override;
};

// The message of a result, whichever way it was read. `own` is where it is put together if need be.
v1::OperationResult& MessageOf(rpc::BatchEnd& end, v1::OperationResult& own);

// Any operation on one key, as a generated message.
template <typename R>
class MessageCall : public AnsweredCall<R> {
 public:
  using Decode = absl::StatusOr<R> (*)(v1::OperationResult&);

  void Prepare(const v1::Operation& operation, base::PartitionId of, RetryRule rule,
               Decode decode) {
    this->partition = of;
    this->attempts.rule = rule;
    this->attempts.write = true;
    const size_t size = operation.ByteSizeLong();
    uint8_t* const start = this->bytes.Take(size);
    operation.SerializeWithCachedSizesToArray(start);
    this->head = {reinterpret_cast<const char*>(start), size};
    decode_ = decode;
  }

 private:
  void Finish(rpc::BatchEnd& end) override {
    if (!end.status.ok()) {
      this->Answer(std::move(end.status));
      return;
    }
    v1::OperationResult own;
    this->Answer(decode_(MessageOf(end, own)));
  }

  Decode decode_ = nullptr;
};

}  // namespace atoll::client
