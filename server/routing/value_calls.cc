#include "server/routing/value_calls.h"

#include <grpcpp/support/proto_buffer_reader.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "rpc/chunks.h"
#include "rpc/status.h"
#include "server/routing/peer_forwarder.h"
#include "server/routing/wire.h"

namespace atoll::routing {
namespace {

constexpr char kGetStream[] = "/atoll.v1.CacheService/GetStream";
constexpr char kSetStream[] = "/atoll.v1.CacheService/SetStream";
// Of a caller without one.
constexpr absl::Duration kLongestCall = absl::Seconds(30);

// What a fetched value's bytes live in.
struct Received {
  std::vector<grpc::Slice> slices;
  ByteBudget::Ticket ticket;
};

class FetchCall final : public rpc::Tag {
 public:
  FetchCall(grpc::GenericStub* stub, grpc::CompletionQueue* queue, ByteBudget* budget,
            const base::Clock* clock, const replication::Operation& get, Forwarder::StreamDone done)
      : budget_(budget), clock_(clock), done_(std::move(done)) {
    context_.AddMetadata(kNoForwardMetadata, "1");
    context_.set_deadline(SystemDeadline(get.deadline));
    v1::Operation operation = EncodeOperation(get);
    v1::GetStreamRequest request;
    *request.mutable_get() = std::move(*operation.mutable_get());
    const grpc::Slice slice(request.SerializeAsString());
    request_ = grpc::ByteBuffer(&slice, 1);
    call_ = stub->PrepareCall(&context_, kGetStream, queue);
    call_->StartCall(Arm());
  }

  void Proceed(bool ok) override {
    switch (state_) {
      case State::kStarting:
        if (!ok) return Finish();
        state_ = State::kWriting;
        return call_->WriteLast(request_, grpc::WriteOptions(), Arm());
      case State::kWriting:
        if (!ok) return Finish();
        state_ = State::kReading;
        return call_->Read(&buffer_, Arm());
      case State::kReading:
        if (!ok) return Finish();
        if (absl::Status status = Take(); !status.ok()) {
          failure_ = std::move(status);
          context_.TryCancel();
          return Finish();
        }
        return call_->Read(&buffer_, Arm());
      case State::kFinishing:
        Done();
        delete this;
        return;
    }
  }

 private:
  enum class State : uint8_t { kStarting, kWriting, kReading, kFinishing };

  void Finish() {
    state_ = State::kFinishing;
    call_->Finish(&status_, Arm());
  }

  absl::Status Take() {
    rpc::ChunkMessage message;
    if (absl::Status status = rpc::DecodeChunk(buffer_, &message); !status.ok()) return status;
    if (message.is_header == has_header_) return absl::InternalError("one header comes first");
    if (message.is_header) {
      has_header_ = true;
      v1::GetResponse header;
      if (!header.ParseFromString(message.header)) return absl::InternalError("header: malformed");
      result_ = ReadGet(header, clock_->Now());
      if (result_.outcome != v1::OUTCOME_OK || result_.value_size == 0) return absl::OkStatus();
      received_ = std::make_shared<Received>();
      received_->ticket = budget_->Take(result_.value_size);
      if (!received_->ticket) {
        return base::Overloaded(
            absl::StrCat("no memory to pass a value of ", result_.value_size, " bytes on now"));
      }
      return absl::OkStatus();
    }
    size_ += message.size;
    if (received_ == nullptr || size_ > result_.value_size) {
      return absl::InternalError("more came than the header said");
    }
    for (grpc::Slice& slice : message.pieces) received_->slices.push_back(std::move(slice));
    return absl::OkStatus();
  }

  void Done() {
    Forwarder::StreamReply reply;
    reply.fate = rpc::Fate::kAnswered;
    if (!failure_.ok()) {
      reply.result.status = std::move(failure_);
    } else if (!status_.ok()) {
      reply.result.status = rpc::FromGrpc(status_);
      if (base::Reason(reply.result.status).empty()) reply.fate = rpc::Fate::kSent;
    } else if (!has_header_ || (received_ != nullptr && size_ != result_.value_size)) {
      reply.result.status = absl::UnavailableError("the stream ended before the value did");
      reply.fate = rpc::Fate::kSent;
    } else {
      reply.result = std::move(result_);
      if (received_ != nullptr) {
        // Views only now: a short slice holds its bytes itself, and the vector moved it.
        std::vector<std::string_view> pieces;
        for (const grpc::Slice& slice : received_->slices) {
          pieces.emplace_back(reinterpret_cast<const char*>(slice.begin()), slice.size());
        }
        reply.result.value = store::Value(pieces, std::move(received_));
      }
    }
    done_(std::move(reply));
  }

  ByteBudget* const budget_;
  const base::Clock* const clock_;
  Forwarder::StreamDone done_;
  State state_ = State::kStarting;
  grpc::ClientContext context_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer buffer_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  replication::OperationResult result_;
  bool has_header_ = false;
  std::shared_ptr<Received> received_;
  uint64_t size_ = 0;
  absl::Status failure_;
  grpc::Status status_;
};

class StoreCall final : public rpc::Tag {
 public:
  StoreCall(grpc::GenericStub* stub, grpc::CompletionQueue* queue,
            const replication::Operation& set, Forwarder::StreamDone done)
      : done_(std::move(done)), cutter_(set.value) {
    context_.AddMetadata(kNoForwardMetadata, "1");
    context_.set_deadline(SystemDeadline(set.deadline));
    v1::SetStreamHeader header;
    replication::Operation without = set;
    without.value = {};
    v1::Operation operation = EncodeOperation(without);
    *header.mutable_set() = std::move(*operation.mutable_set());
    uint64_t size = 0;
    for (const std::string_view piece : set.value) size += piece.size();
    header.set_size(size);
    header_ = header.SerializeAsString();
    call_ = stub->PrepareCall(&context_, kSetStream, queue);
    call_->StartCall(Arm());
  }

  void Proceed(bool ok) override {
    switch (state_) {
      case State::kStarting:
        if (!ok) return Finish();
        state_ = State::kWriting;
        sent_ = true;
        return call_->Write(rpc::EncodeHeader(header_), Arm());
      case State::kWriting: {
        if (!ok) return Finish();
        const std::vector<std::string_view> pieces = cutter_.Next();
        if (pieces.empty()) {
          state_ = State::kClosing;
          return call_->WritesDone(Arm());
        }
        // Copied, a chunk at a time: a cancelled call may leave slices in a transport's buffer
        // after its end, and the caller keeps the bytes only until `done`.
        return call_->Write(rpc::EncodeChunk(pieces, nullptr), Arm());
      }
      case State::kClosing:
        state_ = State::kReading;
        return call_->Read(&buffer_, Arm());
      case State::kReading:
        answered_ = ok;
        return Finish();
      case State::kFinishing:
        Done();
        delete this;
        return;
    }
  }

 private:
  enum class State : uint8_t { kStarting, kWriting, kClosing, kReading, kFinishing };

  void Finish() {
    state_ = State::kFinishing;
    call_->Finish(&status_, Arm());
  }

  void Done() {
    Forwarder::StreamReply reply;
    reply.fate = rpc::Fate::kAnswered;
    v1::SetStreamResponse response;
    if (!status_.ok()) {
      reply.result.status = rpc::FromGrpc(status_);
      // Without a reason it is the transport's word, which does not tell.
      if (base::Reason(reply.result.status).empty()) {
        reply.fate = sent_ ? rpc::Fate::kSent : rpc::Fate::kNotSent;
      }
    } else if (grpc::ProtoBufferReader reader(&buffer_);
               !answered_ || !response.ParseFromZeroCopyStream(&reader)) {
      reply.result.status = absl::InternalError("no answer");
      reply.fate = rpc::Fate::kSent;
    } else {
      reply.result.outcome = response.result().outcome();
      reply.result.meta.version = base::Version(response.result().version());
      reply.result.copies = response.result().copies();
    }
    done_(std::move(reply));
  }

  Forwarder::StreamDone done_;
  rpc::ChunkCutter cutter_;
  State state_ = State::kStarting;
  bool sent_ = false;
  bool answered_ = false;
  std::string header_;
  grpc::ClientContext context_;
  grpc::ByteBuffer buffer_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  grpc::Status status_;
};

}  // namespace

std::chrono::system_clock::time_point SystemDeadline(absl::Duration boot_deadline) {
  const absl::Duration left =
      std::min(boot_deadline - base::Clock::Real().BootTime(), kLongestCall);
  return std::chrono::system_clock::now() + absl::ToChronoMicroseconds(left);
}

void StartFetch(grpc::GenericStub* stub, grpc::CompletionQueue* queue, ByteBudget* budget,
                const base::Clock* clock, const replication::Operation& get,
                Forwarder::StreamDone done) {
  new FetchCall(stub, queue, budget, clock, get, std::move(done));  // Ends itself.
}

void StartStore(grpc::GenericStub* stub, grpc::CompletionQueue* queue,
                const replication::Operation& set, Forwarder::StreamDone done) {
  new StoreCall(stub, queue, set, std::move(done));
}

}  // namespace atoll::routing
