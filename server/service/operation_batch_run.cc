// A batch carried out.
#include <time.h>

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "rpc/wire/encode.h"
#include "server/replication/errors.h"
#include "server/service/operation_batch.h"

namespace atoll::service {

using replication::Operation;
using replication::OperationResult;
using replication::OpKind;

// Answers of a MultiSet's entries or a MultiDelete's keys, until all are there. Each is written by
// whoever completes it; whoever brings `missing` to nought sees them all, and writes the answer.
struct OperationBatch::MultiWrite {
  struct Item {
    wire::WriteResponse answer;
    absl::Status status;
  };
  explicit MultiWrite(const Frame& f, size_t count) : frame(f), items(count), missing(count) {}
  // Whether that was the last.
  bool Done(size_t count) { return missing.fetch_sub(count, std::memory_order_acq_rel) == count; }

  const Frame frame;
  std::vector<Item> items;
  std::atomic<size_t> missing;
};

namespace {

constexpr absl::Duration kDefaultTimeout = absl::Seconds(30);

// So many operations are carried out between two looks at the clock.
constexpr size_t kPiece = 64;
// And so many where each may answer 1 MiB: what was found stays where it is until it was taken.
constexpr size_t kPieceOfLarge = 4;
constexpr absl::Duration kLongestPause = absl::Seconds(1);

// Nanoseconds. Of this thread alone: a machine that is busy with other processes is not overload.
int64_t ThreadCpu() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

wire::WriteResponse AnswerOf(const OperationResult& result) {
  return {.outcome = result.outcome, .version = result.meta.version.raw(), .copies = result.copies};
}

}  // namespace

// Writes what was found into the output; a small value is copied there from where it is stored.
class OperationBatch::Reads final : public replication::ReadSink {
 public:
  Reads(OperationBatch* batch, const Step& step)
      : batch_(batch), first_(step.first), multi_(step.kind == Step::Kind::kMultiGet) {}

  char* Place(size_t index, const store::EntryMeta& meta, size_t size) override {
    const Get& get = batch_->gets_[first_ + index];
    if (IsUnchanged(get, meta) || !Fits(size)) return nullptr;
    const GetHead head{.meta = meta, .value_size = size, .sent_bytes = size};
    placed_ = WriteGetHead(get.frame, head, batch_->now_ms_,
                           batch_->output_->Reserve(kMostHeadBytes + size));
    return reinterpret_cast<char*>(placed_);
  }

  void Answer(size_t index, store::Found& found) override {
    const Get& get = batch_->gets_[first_ + index];
    if (uint8_t* const placed = std::exchange(placed_, nullptr); placed != nullptr) {
      sent_ += found.value_size;
      batch_->output_->Advance(placed + found.value_size);
    } else {
      AnswerWithoutPlace(get, found);
    }
    if (!multi_) batch_->Flush();
  }

  void Refuse(size_t index) override {
    placed_ = nullptr;
    refused_ = true;
    if (!multi_) batch_->ExecuteGet(first_ + index);
  }

  bool refused() const { return refused_; }

 private:
  static bool IsUnchanged(const Get& get, const store::EntryMeta& meta) {
    return get.if_version_not != 0 && get.if_version_not == meta.version.raw();
  }

  // A multi answer holds only so much.
  bool Fits(uint64_t size) const { return !multi_ || sent_ + size <= kAnswerBytes; }

  void AnswerWithoutPlace(const Get& get, const store::Found& found) {
    GetHead head{.meta = found.meta, .value_size = found.value_size};
    if (found.presence == store::Presence::kAbsent) {
      head.outcome = v1::OUTCOME_MISS;
    } else if (IsUnchanged(get, found.meta)) {
      head.outcome = v1::OUTCOME_UNCHANGED;
    } else if (found.presence == store::Presence::kPinLimit) {
      return batch_->AppendFailure(get.frame, replication::TooManyPinned(), batch_->output_);
    } else if (found.value_size > batch_->options_.max_value_bytes || !Fits(found.value_size)) {
      head.outcome = v1::OUTCOME_USE_STREAM;
    } else {
      head.sent_bytes = found.value_size;
      sent_ += found.value_size;
    }
    AppendGet(get.frame, head, found.value, batch_->now_ms_, batch_->output_);
  }

  OperationBatch* const batch_;
  const size_t first_;
  const bool multi_;
  bool refused_ = false;
  uint64_t sent_ = 0;
  uint8_t* placed_ = nullptr;
};

class OperationBatch::Writes final : public replication::WriteSink {
 public:
  Writes(OperationBatch* batch, size_t first, MultiWrite* set)
      : batch_(batch), first_(first), set_(set) {}

  void Answer(size_t index, OperationResult result) override {
    const Frame& frame = batch_->write_frames_[first_ + index];
    if (set_ != nullptr) {
      set_->items[index] = {AnswerOf(result), std::move(result.status)};
      ++answered_;
      return;
    }
    batch_->AppendResult(frame, result, batch_->now_ms_, batch_->output_);
    batch_->Flush();
  }

  replication::Done Later(size_t index) override {
    Late* const late = NewLate(index);
    // No more than a pointer, so that no operation of a batch needs memory for it.
    return [late](OperationResult result) {
      OperationBatch* const batch = late->batch;
      batch->handler_->router_->Conclude(*late->operation, batch->options_, std::move(result),
                                         [late](OperationResult concluded) {
                                           late->batch->owner_->OnLate(late, std::move(concluded));
                                         });
    };
  }

  void Refuse(size_t index) override {
    Late* const late = NewLate(index);
    batch_->handler_->router_->Execute(
        *late->operation, batch_->options_,
        [late](OperationResult result) { late->batch->owner_->OnLate(late, std::move(result)); });
  }

  size_t answered() const { return answered_; }

 private:
  Late* NewLate(size_t index) {
    return batch_->MakeLate(batch_->write_frames_[first_ + index], &batch_->writes_[first_ + index],
                            set_);
  }

  OperationBatch* const batch_;
  const size_t first_;
  MultiWrite* const set_;
  size_t answered_ = 0;
};

absl::Duration OperationBatch::TimeoutOf(uint32_t timeout_ms) {
  return timeout_ms == 0 ? kDefaultTimeout : absl::Milliseconds(timeout_ms);
}

OperationBatch::OperationBatch(CacheHandler* handler) : handler_(handler) {}

OperationBatch::~OperationBatch() = default;

void OperationBatch::Clear() {
  decoded_ = count_ = reads_ = late_count_ = sent_us_ = max_value_bytes_ = 0;
  refuse_wrong_owner_ = answer_at_once_ = false;
  steps_.clear();
  keys_.clear();
  gets_.clear();
  writes_.clear();
  write_frames_.clear();
  others_.clear();
  errors_.clear();
  namespaces_.clear();
  late_gets_.clear();
  multi_writes_.clear();
  input_.Clear();
}

OperationBatch::Late* OperationBatch::MakeLate(const Frame& frame, const Operation* operation,
                                               MultiWrite* set) {
  auto* const late = input_.arena().Array<Late>(1);
  *late = {.batch = this, .operation = operation, .set = set, .frame = frame};
  ++late_count_;
  // Relaxed: this thread is inside itself.
  busy_.fetch_add(1, std::memory_order_relaxed);
  return late;
}

bool OperationBatch::Leave() {
  if (busy_.fetch_sub(1, std::memory_order_acq_rel) > 1) return false;
  admission_.Release();
  return true;
}

void OperationBatch::Flush() {
  if (output_->size() >= MessageBytes(options_.max_value_bytes)) owner_->OnFull();
}

void OperationBatch::Start(const CallInfo& info, wire::Output* output, Owner* owner) {
  options_ = info.options;
  output_ = output;
  owner_ = owner;
  busy_.store(1, std::memory_order_relaxed);
  now_ = base::Clock::Real().BootTime();
  deadline_ = info.deadline;
  now_ms_ = absl::ToUnixMillis(handler_->clock_->Now());
  refusal_.clear();
  turn_is_over_ = absl::OkStatus();
  begun_ = 0;
  next_step_ = 0;
}

void OperationBatch::Refuse(const CallInfo& info, const absl::Status& status, wire::Output* output,
                            Owner* owner) {
  Start(info, output, owner);
  handler_->counters_.refused.fetch_add(count_ + others_.size(), std::memory_order_relaxed);
  for (const Step& step : steps_) RefuseStep(step, status);
}

bool OperationBatch::Run(const CallInfo& info, wire::Output* output, Owner* owner) {
  Start(info, output, owner);
  for (Operation& write : writes_) write.deadline = std::min(now_ + write.deadline, deadline_);
  if (count_ > 0) {
    const absl::Status admitted = handler_->Admit(
        static_cast<uint32_t>(count_), count_ * kOperationBytes + input_.size(), info, &admission_);
    if (!admitted.ok()) {
      for (const Step& step : steps_) RefuseStep(step, admitted);
      return true;
    }
  }
  turn_ = handler_->Turn();
  return Resume();
}

bool OperationBatch::Resume() {
  turn_start_ = count_ > kPiece || burns() ? ThreadCpu() : 0;
  // Reads between them do not part writes.
  const bool hold = writes_.size() > 1;
  if (hold) handler_->router_->HoldWrites();
  while (next_step_ < steps_.size() && RunInTurn(&steps_[next_step_])) ++next_step_;
  if (hold) handler_->router_->ReleaseWrites();
  if (next_step_ < steps_.size()) {
    handler_->counters_.paused.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  EndRun();
  return true;
}

void OperationBatch::Abandon() { EndRun(); }

void OperationBatch::EndRun() {
  CacheCounters& counters = handler_->counters_;
  if (reads_ > 0) counters.reads.fetch_add(reads_, std::memory_order_relaxed);
  if (count_ > reads_) counters.writes.fetch_add(count_ - reads_, std::memory_order_relaxed);
  if (late_count_ == 0) {
    admission_.Release();
  } else {
    admission_.KeepOnly(static_cast<uint32_t>(late_count_),
                        late_count_ * kOperationBytes + input_.size());
  }
}

bool OperationBatch::RunInTurn(Step* step) {
  const bool divisible = step->kind == Step::Kind::kGets || step->kind == Step::Kind::kWrites;
  const bool large = options_.max_value_bytes > routing::kExchangeValueBytes;
  const size_t piece = burns() ? 1 : large ? kPieceOfLarge : kPiece;
  while (step->count > 0) {
    if (TurnIsOver()) {
      RefuseStep(*step, turn_is_over_);
      return true;
    }
    if (begun_ > 0 && !owner_->HasRoom()) return false;
    Step some = *step;
    if (divisible) some.count = std::min(step->count, piece);
    begun_ += some.count;
    RunStep(some);
    Burn(some.count);
    step->first += some.count;
    step->count -= some.count;
  }
  return true;
}

bool OperationBatch::TurnIsOver() {
  if (!turn_is_over_.ok()) return true;
  if (turn_start_ == 0) return false;
  const absl::Duration spent = absl::Nanoseconds(ThreadCpu() - turn_start_);
  if (spent < turn_) return false;
  const size_t left = count_ - std::min(count_, begun_);
  handler_->counters_.refused.fetch_add(left, std::memory_order_relaxed);
  // By then as many as are refused could have been carried out.
  const absl::Duration work =
      spent / static_cast<int64_t>(std::max<size_t>(1, begun_)) * static_cast<int64_t>(left);
  turn_is_over_ = base::Overloaded("more than the node can do in time",
                                   std::clamp(work, absl::Milliseconds(1), kLongestPause));
  return true;
}

void OperationBatch::Burn(size_t count) const {
  if (!burns()) return;
  const int64_t until = ThreadCpu() + absl::ToInt64Nanoseconds(handler_->limits_.test_burn) *
                                          static_cast<int64_t>(count);
  while (ThreadCpu() < until) {
  }
}

void OperationBatch::RunStep(const Step& step) {
  switch (step.kind) {
    case Step::Kind::kGets: {
      Reads reads(this, step);
      handler_->router_->ReadNow(absl::MakeConstSpan(keys_).subspan(step.first, step.count), {},
                                 reads);
      return;
    }
    case Step::Kind::kWrites: {
      Writes writes(this, step.first, nullptr);
      handler_->router_->WriteNow(absl::MakeConstSpan(writes_).subspan(step.first, step.count),
                                  writes);
      return;
    }
    case Step::Kind::kMultiGet:
      return RunMultiGet(step);
    case Step::Kind::kMultiWrite:
      return RunMultiWrite(step);
    case Step::Kind::kOther:
      for (size_t i = step.first; i < step.first + step.count; ++i) {
        owner_->StartOther(std::move(others_[i]));
      }
      return;
    case Step::Kind::kError:
      AppendFailure(step.frame, errors_[step.first], output_);
      return Flush();
  }
}

void OperationBatch::RefuseOne(const Frame& frame, const absl::Status& status) {
  if (frame.form == Frame::Form::kBare) return owner_->OnFailed(status);
  // Often many at once, all alike.
  if (refusal_.empty()) refusal_ = SerializeStatus(status);
  AppendError(frame, refusal_, output_);
  Flush();
}

void OperationBatch::RefuseStep(const Step& step, const absl::Status& status) {
  switch (step.kind) {
    case Step::Kind::kGets:
      for (size_t i = step.first; i < step.first + step.count; ++i)
        RefuseOne(gets_[i].frame, status);
      return;
    case Step::Kind::kWrites:
      for (size_t i = step.first; i < step.first + step.count; ++i)
        RefuseOne(write_frames_[i], status);
      return;
    case Step::Kind::kMultiGet:
    case Step::Kind::kMultiWrite:
      return RefuseOne(step.frame, status);
    case Step::Kind::kOther:
      for (size_t i = step.first; i < step.first + step.count; ++i) {
        Frame frame = step.frame;
        frame.number = others_[i]->id();
        RefuseOne(frame, status);
      }
      return;
    case Step::Kind::kError:
      return RunStep(step);
  }
}

void OperationBatch::ExecuteGet(size_t index) {
  const Get& get = gets_[index];
  Operation& operation = *late_gets_.emplace_back(std::make_unique<Operation>());
  operation.kind = OpKind::kGet;
  operation.ns = namespaces_[get.ns];
  operation.key = keys_[index];
  operation.bounded = get.bounded;
  operation.if_version_not = base::Version(get.if_version_not);
  operation.deadline = std::min(now_ + TimeoutOf(get.timeout_ms), deadline_);
  Late* const late = MakeLate(get.frame, &operation, nullptr);
  handler_->router_->Execute(operation, options_, [late](OperationResult result) {
    late->batch->owner_->OnLate(late, std::move(result));
  });
}

void OperationBatch::RunMultiGet(const Step& step) {
  const bool bare = step.frame.form == Frame::Form::kBare;
  const wire::Output::Mark mark = output_->SetMark();
  const wire::Output::Hole hole = bare ? wire::Output::Hole{} : output_->LeaveHole();
  Reads reads(this, step);
  const auto keys = absl::MakeConstSpan(keys_).subspan(step.first, step.count);
  handler_->router_->ReadNow(keys, {}, reads);
  if (reads.refused()) {
    // Some of it is another node's, or waits.
    output_->RollBack(mark);
    const Get& get = gets_[step.first];
    auto other = NewOther(step.frame, get.timeout_ms);
    v1::MultiGetRequest& message = *other->mutable_multi_get();
    message.set_namespace_(namespaces_[get.ns]->name);
    for (const store::Key& key : keys) message.add_keys(key.key.data(), key.key.size());
    if (get.bounded) message.set_consistency(v1::CONSISTENCY_BOUNDED);
    return owner_->StartOther(std::move(other));
  }
  if (bare) return;
  uint8_t head[wire::Output::kHoleBytes];
  const uint8_t* const end = WriteMultiHead(step.frame, output_->size() - mark.size, head);
  output_->Fill(hole, {reinterpret_cast<const char*>(head), static_cast<size_t>(end - head)});
  Flush();
}

void OperationBatch::RunMultiWrite(const Step& step) {
  MultiWrite& set =
      *multi_writes_.emplace_back(std::make_unique<MultiWrite>(step.frame, step.count));
  Writes writes(this, step.first, &set);
  handler_->router_->WriteNow(absl::MakeConstSpan(writes_).subspan(step.first, step.count), writes);
  if (writes.answered() == 0 || !set.Done(writes.answered())) return;
  AppendMultiWrite(set, output_);
  Flush();
}

void OperationBatch::Encode(Late* late, OperationResult result, wire::Output* output) {
  if (late->set == nullptr) {
    return AppendResult(late->frame, result, absl::ToUnixMillis(handler_->clock_->Now()), output);
  }
  late->set->items[late->frame.number] = {AnswerOf(result), std::move(result.status)};
  if (late->set->Done(1)) AppendMultiWrite(*late->set, output);
}

void OperationBatch::AppendResult(const Frame& frame, const OperationResult& result, int64_t now_ms,
                                  wire::Output* output) {
  if (!result.status.ok()) return AppendFailure(frame, result.status, output);
  if (frame.kind == wire::Kind::kGet) return AppendGet(frame, result, now_ms, output);
  AppendWrite(frame, AnswerOf(result), output);
}

void OperationBatch::AppendMultiWrite(const MultiWrite& set, wire::Output* output) {
  const bool bare = set.frame.form == Frame::Form::kBare;
  const size_t before = output->size();
  const wire::Output::Hole hole = bare ? wire::Output::Hole{} : output->LeaveHole();
  for (size_t i = 0; i < set.items.size(); ++i) {
    const Frame frame{.form = Frame::Form::kItem, .kind = wire::Kind::kSet, .number = i};
    if (set.items[i].status.ok()) {
      AppendWrite(frame, set.items[i].answer, output);
    } else {
      AppendError(frame, SerializeStatus(set.items[i].status), output);
    }
  }
  if (bare) return;
  uint8_t head[wire::Output::kHoleBytes];
  const uint8_t* const end = WriteMultiHead(set.frame, output->size() - before, head);
  output->Fill(hole, {reinterpret_cast<const char*>(head), static_cast<size_t>(end - head)});
}

void OperationBatch::AppendFailure(const Frame& frame, const absl::Status& status,
                                   wire::Output* output) {
  if (frame.form == Frame::Form::kBare) return owner_->OnFailed(status);
  AppendError(frame, SerializeStatus(status), output);
}

}  // namespace atoll::service
