#include "client/get_calls.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/active_call.h"
#include "client/translate.h"
#include "rpc/chunks.h"

namespace atoll::client {
namespace {

// Memory for a value that comes in pieces, of a size that is known before.
class ValueBuffer {
 public:
  void Reserve(size_t size) {
    bytes_ = std::make_shared_for_overwrite<char[]>(size);
    size_ = size;
  }
  // False, and nothing was done: it is more than there is room for.
  bool Append(const std::vector<grpc::Slice>& pieces, size_t size) {
    if (size > size_ - filled_) return false;
    for (const grpc::Slice& piece : pieces) {
      std::memcpy(bytes_.get() + filled_, piece.begin(), piece.size());
      filled_ += piece.size();
    }
    return true;
  }
  size_t filled() const { return filled_; }
  Value Take() {
    const char* const start = bytes_.get();
    return Value(std::move(bytes_), {start, filled_});
  }

 private:
  std::shared_ptr<char[]> bytes_;
  size_t size_ = 0;
  size_t filled_ = 0;
};

// By raw bytes: the value is copied once, from what was received to where it stays.
class GetCall final : public ActiveCall {
 public:
  GetCall(Transfers* transfers, LinkPtr link, absl::Duration deadline, const v1::GetRequest& get,
          GotValue done)
      : ActiveCall(transfers, std::move(link), deadline),
        done_(std::move(done)),
        started_(this, &GetCall::OnStarted),
        read_(this, &GetCall::OnRead),
        finished_(this, &GetCall::OnFinished) {
    v1::GetStreamRequest request;
    *request.mutable_get() = get;
    const grpc::Slice slice(request.SerializeAsString());
    request_ = grpc::ByteBuffer(&slice, 1);
  }

 private:
  void Begin() override {
    static constexpr char kMethod[] = "/atoll.v1.CacheService/GetStream";
    call_.reset(grpc::internal::ClientAsyncReaderFactory<grpc::ByteBuffer>::Create(
        link_->bulk().get(), link_->queue(),
        grpc::internal::RpcMethod(kMethod, grpc::internal::RpcMethod::SERVER_STREAMING), &context_,
        request_, /*start=*/false, nullptr));
    call_->StartCall(started_.Arm());
  }
  void OnStarted(bool ok) {
    if (ok) {
      call_->Read(&incoming_, read_.Arm());
    } else {
      call_->Finish(&status_, finished_.Arm());
    }
  }
  void OnRead(bool ok) {
    if (!ok) {
      call_->Finish(&status_, finished_.Arm());
      return;
    }
    if (broken_.ok()) {
      broken_ = TakePart();
      if (!broken_.ok()) context_.TryCancel();
    }
    call_->Read(&incoming_, read_.Arm());
  }
  absl::Status TakePart() {
    rpc::ChunkMessage part;
    if (absl::Status bad = rpc::DecodeChunk(incoming_, &part); !bad.ok()) {
      return absl::DataLossError(bad.message());
    }
    incoming_.Clear();
    if (part.is_header) {
      if (has_header_ || !header_.ParseFromString(part.header)) {
        return absl::DataLossError("a value with a malformed header");
      }
      has_header_ = true;
      // What a header says is not trusted with memory.
      if (header_.size() > kMaxValueBytes) return absl::DataLossError("a value above the limit");
      if (header_.outcome() == v1::OUTCOME_OK) value_.Reserve(header_.size());
      return absl::OkStatus();
    }
    if (!value_.Append(part.pieces, part.size)) {
      return absl::DataLossError("a value longer than its header says");
    }
    return absl::OkStatus();
  }
  void OnFinished(bool /*ok*/) { Finished(); }
  void Ended(absl::Status status) override {
    if (!broken_.ok()) status = std::move(broken_);
    if (status.ok() && header_.outcome() == v1::OUTCOME_OK && value_.filled() != header_.size()) {
      status = absl::UnavailableError(absl::StrCat("the value ended after ", value_.filled(),
                                                   " of ", header_.size(), " bytes"));
    }
    auto done = std::move(done_);
    if (!status.ok()) return done(std::move(status));
    absl::StatusOr<GetResult> result = ToGetResult(&header_);
    if (result.ok() && result->outcome == Outcome::kOk) result->value = value_.Take();
    done(std::move(result));
  }

  GotValue done_;
  grpc::ByteBuffer request_;
  std::unique_ptr<grpc::ClientAsyncReader<grpc::ByteBuffer>> call_;
  grpc::ByteBuffer incoming_;
  bool has_header_ = false;
  v1::GetResponse header_;
  ValueBuffer value_;
  absl::Status broken_;
  Event<GetCall> started_, read_, finished_;
};

}  // namespace

std::shared_ptr<ActiveCall> MakeStreamedGet(Transfers* transfers, LinkPtr link,
                                            absl::Duration deadline, const v1::GetRequest& get,
                                            GotValue done) {
  return std::make_shared<GetCall>(transfers, std::move(link), deadline, get, std::move(done));
}

}  // namespace atoll::client
