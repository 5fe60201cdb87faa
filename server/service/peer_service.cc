#include "server/service/peer_service.h"

#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <utility>

#include "rpc/completion_queue.h"
#include "rpc/status.h"
#include "server/service/unary_call.h"

namespace atoll::service {

// One link: reads a message, hands it on, reads the next. One event is under way at a time, so that
// the queue orders everything and there is no lock.
//
// Lifetime: owns itself, from the accept until the stream's end was carried out.
class PeerService::Link final : public rpc::Tag {
 public:
  static void Serve(PeerService* owner, grpc::ServerCompletionQueue* queue, base::Gate* calls) {
    if (!calls->Enter()) return;
    auto* link = new Link(owner, queue, calls);
    owner->service_.RequestLink(&link->context_, &link->stream_, queue, queue, link->Arm());
  }

  Work work() const override { return step_ == Step::kRead ? Work::kPeers : Work::kBrief; }
  void Proceed(bool ok) override {
    switch (step_) {
      case Step::kAccept:
        if (!ok) break;
        Serve(owner_, queue_, calls_);
        return Read();
      case Step::kRead:
        // The caller is done, or the connection is.
        return ok ? OnRequest() : Finish(absl::OkStatus());
      case Step::kAnswer:
        return ok ? Deliver() : Finish(absl::OkStatus());
      case Step::kFinish:
        break;
    }
    base::Gate* const calls = calls_;
    delete this;
    calls->Leave();
  }

 private:
  enum class Step : uint8_t { kAccept, kRead, kAnswer, kFinish };

  Link(PeerService* owner, grpc::ServerCompletionQueue* queue, base::Gate* calls)
      : owner_(owner), queue_(queue), calls_(calls) {}

  void Read() {
    step_ = Step::kRead;
    stream_.Read(input_.buffer(), Arm());
  }

  void OnRequest() {
    if (from_.value() != 0) return Deliver();
    internal::v1::LinkRequest request;
    grpc::ProtoBufferReader reader(input_.buffer());
    if (!request.ParseFromZeroCopyStream(&reader) || !request.has_hello()) {
      return Finish(absl::InvalidArgumentError("hello: missing in a link's first message"));
    }
    if (absl::Status accepted = owner_->sink_->OnHello(request.hello()); !accepted.ok()) {
      return Finish(accepted);
    }
    from_ = base::Incarnation(request.hello().from_incarnation());
    step_ = Step::kAnswer;
    // An empty LinkResponse.
    const grpc::Slice nothing;
    stream_.Write(grpc::ByteBuffer(&nothing, 1), Arm());
  }

  void Deliver() {
    if (absl::Status read = owner_->sink_->OnMessages(from_, input_); !read.ok()) {
      return Finish(read);
    }
    input_.Clear();
    Read();
  }

  void Finish(const absl::Status& status) {
    step_ = Step::kFinish;
    stream_.Finish(rpc::ToGrpc(status), Arm());
  }

  PeerService* const owner_;
  grpc::ServerCompletionQueue* const queue_;
  base::Gate* const calls_;
  grpc::ServerContext context_;
  grpc::ServerAsyncReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer> stream_{&context_};
  wire::Input input_;
  base::Incarnation from_;  // 0 before the hello
  Step step_ = Step::kAccept;
};

void PeerService::Start(grpc::ServerCompletionQueue* queue, base::Gate* calls) {
  Link::Serve(this, queue, calls);
  ServeUnary(&service_, &Service::RequestAskController, queue, calls, [this](auto& call) {
    membership_->HandleAskController(call.request(), [&call](auto answer) {
      const absl::Status status = answer.status();
      if (status.ok()) call.response() = *std::move(answer);
      call.Finish(status);
    });
  });
}

}  // namespace atoll::service
