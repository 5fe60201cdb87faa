// What a BatchStream does with a message of answers: hands them out, wakes who blocks, and waits
// for what they ask next.
#include <grpcpp/support/proto_buffer_reader.h>
#include <sched.h>

#include <utility>

#include "atoll/v1/cache.pb.h"
#include "base/clock.h"
#include "rpc/batch_stream_impl.h"
#include "rpc/operation_end.h"
#include "rpc/value_block.h"
#include "rpc/wake_group.h"
#include "rpc/wire/decode.h"

namespace atoll::rpc {
namespace {

// What an operation and its caller's part of it take, mostly.
constexpr size_t kLargeOperation = 512;

absl::Duration Now() { return base::Clock::Real().BootTime(); }

}  // namespace

constinit thread_local const BatchStream::Impl* BatchStream::Impl::delivering = nullptr;

void BatchStream::Impl::OnRead(bool ok) {
  Session* session = nullptr;
  bool finish = false;
  const absl::Duration came = options_.paced ? Now() : absl::ZeroDuration();
  {
    base::MutexLock lock(mu_);
    session = session_.get();
    if (ok) {
      backoff_ = absl::ZeroDuration();
      // Who waits for a large value does not know of a crowd, and would not say that it is to go.
      if (options_.paced && options_.max_value_bytes == 0) {
        crowd_.Count(operations_.size(), came);
        crowded_.store(crowd_.there(), std::memory_order_relaxed);
      }
    } else {
      state_ = State::kEnding;
      finish = !writing_;
    }
  }
  if (finish) {
    Finish();
    return;
  }
  if (!ok) return;  // OnWritten finishes.
  std::shared_ptr<wire::Input>& input = session->inputs[session->reading];
  session->reading ^= 1;
  const auto read = [session] {
    session->call->Read(session->inputs[session->reading]->buffer(), session->read.Arm());
  };
  // The next message may be on its way while this one's results are handed out; but those are
  // handed out by one thread at a time, so that what it keeps is its own, and they stay in order.
  // Nor is it asked for ahead where it could go with what was written the last time, and hence
  // will.
  const bool ahead = options_.one_thread && !could_take_read_;
  if (ahead) read();
  bool whole = input->Load();
  const size_t bytes = input->size();
  ValueBlock values(input);
  {
    const WakeScope wakes;
    const Impl* const before = std::exchange(delivering, this);
    whole = whole && Deliver(*input, values);
    delivering = before;
  }
  if (values.kept_message()) {
    // A value's now.
    input = std::make_shared<wire::Input>();
  } else {
    input->Clear();
  }
  // The read that is under way, or follows, will fail.
  if (!whole) session->context.TryCancel();
  TakeArrivals();
  if (options_.paced) Gather();
  if (WriteAfterRead(bytes, came, /*may_take_read=*/options_.one_thread && !ahead)) return;
  // Last: another thread may be in here with it at once. Until it has come back with an end the
  // session stays.
  if (!ahead) read();
}

bool BatchStream::Impl::Deliver(wire::Input& input, ValueBlock& values) {
  constexpr size_t kAtOnce = 16;
  wire::Result results[kAtOnce];
  BatchOperation* answered[kAtOnce];
  wire::ResponseReader reader(input);
  bool whole = true;
  for (wire::Step step = wire::Step::kItem; step == wire::Step::kItem;) {
    size_t count = 0;
    while (count < kAtOnce && (step = reader.Next(&results[count])) == wire::Step::kItem) ++count;
    OperationQueue refused;
    absl::Status refusal;
    {
      base::MutexLock lock(mu_);
      // Since they were sent others have had the cache: all at once, instead of one after the
      // other.
      for (size_t i = 0; i < count; ++i) {
        const auto* const lines = reinterpret_cast<const char*>(operations_.Find(results[i].id));
        if (lines == nullptr) continue;
        for (size_t at = 0; at < kLargeOperation; at += 64) __builtin_prefetch(lines + at);
      }
      for (size_t i = 0; i < count; ++i) answered[i] = TakeAnsweredLocked(results[i].id);
      TakeArrivalsLocked(refused, refusal);
      TellSizesLocked();
    }
    if (!refused.empty()) EndAll(refused, refusal);
    for (size_t i = 0; i < count; ++i) {
      if (answered[i] != nullptr)
        whole = OperationEnd::Answer(answered[i], results[i], values) && whole;
    }
    // What was answered already is not known any more when it is read again.
    if (step == wire::Step::kOther) return DeliverParsed(input, values) && whole;
  }
  return whole;
}

void BatchStream::Impl::Gather() {
  {
    base::MutexLock lock(mu_);
    if (!gathering_.active()) return;
    gathering_.Begin(waiting_count_, Now());
  }
  for (;;) {
    // To those who were woken, as far as they are to run on this processor.
    sched_yield();
    base::MutexLock lock(mu_);
    if (!gathering_.GoesOn(waiting_count_, Now())) return;
  }
}

bool BatchStream::Impl::DeliverParsed(wire::Input& input, ValueBlock& values) {
  v1::ExchangeResponse message;
  grpc::ProtoBufferReader bytes(input.buffer());
  if (!bytes.status().ok() || !message.ParseFromZeroCopyStream(&bytes)) return false;
  for (v1::OperationResult& result : *message.mutable_results()) {
    BatchOperation* operation = nullptr;
    {
      base::MutexLock lock(mu_);
      operation = TakeAnsweredLocked(result.id());
      TellSizesLocked();
    }
    if (operation != nullptr) OperationEnd::Answer(operation, &result, values);
  }
  return true;
}

BatchOperation* BatchStream::Impl::TakeAnsweredLocked(uint64_t id) {
  BatchOperation* const operation = operations_.Find(id);
  if (operation == nullptr || operation->message_ == 0 || operation->message_ == being_read_) {
    return nullptr;
  }
  pacer_.Answered(operation->message_);
  if (congestion_.limited()) {
    congestion_.Answered(operation->message_, Now());
    slowed_.store(congestion_.limited(), std::memory_order_relaxed);
  }
  bytes_ -= operation->body_size();
  operations_.Erase(id);
  if (operation->blocking) crowd_.there() ? crowd_.Answered() : gathering_.Woken();
  return operation;
}

}  // namespace atoll::rpc
