#include "client/transfers.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "atoll/v1/cache.grpc.pb.h"
#include "base/clock.h"
#include "base/status.h"
#include "client/active_call.h"
#include "client/get_calls.h"
#include "client/translate.h"
#include "rpc/completion_queue.h"
#include "rpc/status.h"

namespace atoll::client {
namespace {

constexpr size_t kChunkBytes = size_t{256} << 10;
constexpr int kMaxTries = 3;

absl::Duration Now() { return base::Clock::Real().BootTime(); }

class SetCall final : public ActiveCall {
 public:
  // `complete`: the last chunk was handed to the transport.
  using Done = absl::AnyInvocable<void(absl::Status, v1::SetResponse, bool complete)>;

  SetCall(Transfers* transfers, LinkPtr link, absl::Duration deadline, const v1::SetRequest& set,
          std::shared_ptr<const std::string> value, Done done)
      : ActiveCall(transfers, std::move(link), deadline),
        done_(std::move(done)),
        value_(std::move(value)),
        stub_(v1::CacheService::NewStub(link_->bulk())),
        started_(this, &SetCall::OnStarted),
        written_(this, &SetCall::OnWritten),
        finished_(this, &SetCall::OnFinished) {
    *part_.mutable_header()->mutable_set() = set;
    part_.mutable_header()->set_size(value_->size());
  }

 private:
  void Begin() override {
    call_ = stub_->PrepareAsyncSetStream(&context_, &response_, link_->queue());
    call_->StartCall(started_.Arm());
  }
  void OnStarted(bool ok) {
    if (ok) {
      call_->Write(part_, written_.Arm());
    } else {
      call_->Finish(&status_, finished_.Arm());
    }
  }
  void OnWritten(bool ok) {
    if (!ok || complete_) {
      call_->Finish(&status_, finished_.Arm());
      return;
    }
    const size_t size = std::min(kChunkBytes, value_->size() - sent_);
    part_.set_chunk(value_->data() + sent_, size);
    sent_ += size;
    if (sent_ < value_->size()) {
      call_->Write(part_, written_.Arm());
      return;
    }
    complete_ = true;
    call_->WriteLast(part_, grpc::WriteOptions(), written_.Arm());
  }
  void OnFinished(bool /*ok*/) { Finished(); }
  void Ended(absl::Status status) override {
    auto done = std::move(done_);
    done(std::move(status), std::move(*response_.mutable_result()), complete_);
  }

  Done done_;
  const std::shared_ptr<const std::string> value_;
  const std::unique_ptr<v1::CacheService::Stub> stub_;
  v1::SetStreamRequest part_;
  v1::SetStreamResponse response_;
  std::unique_ptr<grpc::ClientAsyncWriter<v1::SetStreamRequest>> call_;
  size_t sent_ = 0;
  bool complete_ = false;
  Event<SetCall> started_, written_, finished_;
};

template <typename Request, typename Response>
class UnaryCall final : public ActiveCall {
 public:
  using Done = absl::AnyInvocable<void(absl::Status, Response)>;
  using Prepare = std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> (
      v1::CacheService::Stub::*)(grpc::ClientContext*, const Request&, grpc::CompletionQueue*);

  UnaryCall(Transfers* transfers, LinkPtr link, absl::Duration deadline, Prepare prepare,
            const Request& request, Done done)
      : ActiveCall(transfers, std::move(link), deadline),
        prepare_(prepare),
        request_(request),
        done_(std::move(done)),
        stub_(v1::CacheService::NewStub(link_->bulk())),
        finished_(this, &UnaryCall::OnFinished) {}

 private:
  void Begin() override {
    call_ = (stub_.get()->*prepare_)(&context_, request_, link_->queue());
    call_->StartCall();
    call_->Finish(&response_, &status_, finished_.Arm());
  }
  void OnFinished(bool /*ok*/) { Finished(); }
  void Ended(absl::Status status) override {
    auto done = std::move(done_);
    done(std::move(status), std::move(response_));
  }

  const Prepare prepare_;
  const Request request_;
  Done done_;
  const std::unique_ptr<v1::CacheService::Stub> stub_;
  Response response_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> call_;
  Event<UnaryCall> finished_;
};

}  // namespace

struct Transfers::GetJob {
  v1::GetRequest request;
  base::PartitionId partition;
  absl::Duration deadline;
  Done<GetResult> done;
  int tries = 0;
  int waits = 0;  // for a primary that serves
  std::string failed_at;
};

struct Transfers::SetJob {
  v1::SetRequest request;
  std::shared_ptr<const std::string> value;
  base::PartitionId partition;
  absl::Duration deadline;
  Done<WriteResult> done;
  int tries = 0;
  int waits = 0;
  std::string failed_at;
};

template <typename Request, typename Response>
struct Transfers::UnaryJob {
  typename UnaryCall<Request, Response>::Prepare prepare;
  Request request;
  // A try that broke may be followed by another though it may have been carried out.
  bool repeatable = false;
  absl::Duration deadline;
  typename UnaryCall<Request, Response>::Done done;
  int tries = 0;
  int waits = 0;
  std::string failed_at;
};

Transfers::~Transfers() {
  Shutdown();
  Stop();
}

bool Transfers::Add(std::shared_ptr<ActiveCall> call) {
  base::MutexLock lock(mu_);
  if (stopped_) return false;
  active_.insert(std::move(call));
  dispatcher_->nodes().CallBegins();
  return true;
}

void Transfers::Remove(const std::shared_ptr<ActiveCall>& call) {
  base::MutexLock lock(mu_);
  active_.erase(call);
  dispatcher_->nodes().CallEnds();
  changed_.SignalAll();
}

void Transfers::Shutdown() {
  std::vector<std::shared_ptr<ActiveCall>> calls;
  {
    base::MutexLock lock(mu_);
    stopped_ = true;
    calls.assign(active_.begin(), active_.end());
  }
  for (const auto& call : calls) call->Cancel();
}

void Transfers::Stop() {
  base::MutexLock lock(mu_);
  while (!active_.empty()) changed_.Wait(mu_);
}

LinkPtr Transfers::Choose(base::PartitionId partition, const std::string& failed_at) {
  if (dispatcher_->closed()) return nullptr;
  Nodes& nodes = dispatcher_->nodes();
  if (failed_at.empty()) {
    const std::string owner = dispatcher_->OwnerOf(partition);
    if (!owner.empty()) {
      if (LinkPtr link = nodes.LinkIfAllowed(owner)) return link;
    }
  }
  return nodes.AnyLink(failed_at);
}

template <typename Job>
bool Transfers::Again(const std::shared_ptr<Job>& job, const absl::Status& status,
                      void (Transfers::*attempt)(const std::shared_ptr<Job>&)) {
  // As the dispatcher does: a primary that is on its way is waited for.
  const bool waits = base::HasReason(status, base::reason::kNoPrimary);
  if (waits) {
    --job->tries;
    ++job->waits;
  }
  const absl::Duration pause = RetryPolicy::Pause(waits ? job->waits : job->tries);
  if (dispatcher_->closed() || job->tries >= kMaxTries || Now() + pause >= job->deadline ||
      !(waits || dispatcher_->SpendRetry())) {
    return false;
  }
  dispatcher_->RunAfter(pause, [this, job, attempt] { (this->*attempt)(job); });
  return true;
}

void Transfers::Get(v1::GetRequest request, base::PartitionId partition, absl::Duration deadline,
                    Done<GetResult> done) {
  auto job = std::make_shared<GetJob>();
  job->request = std::move(request);
  job->partition = partition;
  job->deadline = deadline;
  job->done = std::move(done);
  TryGet(job);
}

void Transfers::TryGet(const std::shared_ptr<GetJob>& job) {
  LinkPtr link = Choose(job->partition, job->failed_at);
  if (link == nullptr) {
    job->done(absl::CancelledError("the client is closed"));
    return;
  }
  ++job->tries;
  const std::string address = link->address();
  auto on_end = [this, job, address](absl::StatusOr<GetResult> result) {
    const absl::Status& status = result.status();
    dispatcher_->nodes().Record(address, status.code() != absl::StatusCode::kUnavailable);
    if (!status.ok()) {
      job->failed_at = address;
      const bool passing = RetryPolicy::IsPassingRefusal(status) || dispatcher_->MendFrom(status);
      if (passing && Again(job, status, &Transfers::TryGet)) return;
    }
    job->done(std::move(result));
  };
  MakeStreamedGet(this, std::move(link), job->deadline, job->request, std::move(on_end))->Launch();
}

void Transfers::Set(v1::SetRequest request, std::shared_ptr<const std::string> value,
                    base::PartitionId partition, absl::Duration deadline, Done<WriteResult> done) {
  auto job = std::make_shared<SetJob>();
  job->request = std::move(request);
  job->value = std::move(value);
  job->partition = partition;
  job->deadline = deadline;
  job->done = std::move(done);
  TrySet(job);
}

void Transfers::TrySet(const std::shared_ptr<SetJob>& job) {
  LinkPtr link = Choose(job->partition, job->failed_at);
  if (link == nullptr) {
    job->done(absl::CancelledError("the client is closed"));
    return;
  }
  ++job->tries;
  const std::string address = link->address();
  auto on_end = [this, job, address](absl::Status status, const v1::SetResponse& response,
                                     bool complete) {
    dispatcher_->nodes().Record(address, status.code() != absl::StatusCode::kUnavailable);
    if (status.ok()) {
      job->done(ToWriteResult(response));
      return;
    }
    job->failed_at = address;
    // A refusal of the node carries a reason; what gRPC makes up when a connection breaks has none.
    const bool refused = !base::Reason(status).empty();
    if (status.code() == absl::StatusCode::kUnavailable && complete && !refused) {
      status = base::WithReason(
          absl::AbortedError(
              absl::StrCat("the write may or may not have been carried out: ", status.message())),
          base::reason::kAmbiguous);
    } else if (RetryPolicy::IsPassingRefusal(status) && Again(job, status, &Transfers::TrySet)) {
      return;
    }
    job->done(std::move(status));
  };
  std::make_shared<SetCall>(this, std::move(link), job->deadline, job->request, job->value,
                            std::move(on_end))
      ->Launch();
}

template <typename Request, typename Response>
void Transfers::TryUnary(const std::shared_ptr<UnaryJob<Request, Response>>& job) {
  LinkPtr link = dispatcher_->closed() ? nullptr : dispatcher_->nodes().AnyLink(job->failed_at);
  if (link == nullptr) {
    job->done(absl::CancelledError("the client is closed"), Response());
    return;
  }
  ++job->tries;
  const std::string address = link->address();
  auto on_end = [this, job, address](absl::Status status, Response response) {
    dispatcher_->nodes().Record(address, status.code() != absl::StatusCode::kUnavailable);
    if (!status.ok()) {
      job->failed_at = address;
      const bool unapplied = job->repeatable || !base::Reason(status).empty();
      if (RetryPolicy::IsPassingRefusal(status) && unapplied &&
          Again(job, status, &Transfers::TryUnary<Request, Response>)) {
        return;
      }
    }
    job->done(std::move(status), std::move(response));
  };
  std::make_shared<UnaryCall<Request, Response>>(this, std::move(link), job->deadline, job->prepare,
                                                 job->request, std::move(on_end))
      ->Launch();
}

void Transfers::Scan(v1::ScanRequest request, absl::Duration deadline, Done<ScanPage> done) {
  auto job = std::make_shared<UnaryJob<v1::ScanRequest, v1::ScanResponse>>();
  job->prepare = &v1::CacheService::Stub::PrepareAsyncScan;
  job->request = std::move(request);
  job->repeatable = true;
  job->deadline = deadline;
  job->done = [done = std::move(done)](absl::Status status, v1::ScanResponse response) mutable {
    if (status.ok()) {
      done(ToScanPage(&response));
    } else {
      done(std::move(status));
    }
  };
  TryUnary(job);
}

void Transfers::Flush(v1::FlushRequest request, absl::Duration deadline,
                      absl::AnyInvocable<void(absl::Status)> done) {
  auto job = std::make_shared<UnaryJob<v1::FlushRequest, v1::FlushResponse>>();
  job->prepare = &v1::CacheService::Stub::PrepareAsyncFlush;
  job->request = std::move(request);
  job->deadline = deadline;
  job->done = [done = std::move(done)](absl::Status status, const v1::FlushResponse&) mutable {
    done(std::move(status));
  };
  TryUnary(job);
}

}  // namespace atoll::client
