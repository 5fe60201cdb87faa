#include "client/single.h"

#include <limits>
#include <string>
#include <utility>

#include "base/hash.h"
#include "base/status.h"
#include "client/translate.h"

namespace atoll::client {
namespace {

absl::Status Check(std::string_view ns, std::string_view key) {
  absl::Status status = CheckKey(key);
  if (status.ok()) status = CheckNamespace(ns);
  return status;
}

// That the default namespace is one was found out when the client was made.
bool NeedsNoCheck(const std::string& ns_or_none, std::string_view key) {
  return ns_or_none.empty() && !key.empty() && key.size() <= kMaxKeyBytes;
}

absl::Status Check(std::string_view ns, std::string_view key, std::string_view value,
                   const SetOptions& options) {
  absl::Status status = Check(ns, key);
  if (status.ok()) status = CheckValue(value);
  if (status.ok()) status = CheckTtl(options.ttl);
  if (status.ok()) status = CheckMaxIdle(options.max_idle);
  return status;
}

absl::Status Check(std::string_view ns, std::string_view key, const TouchOptions& options) {
  absl::Status status = Check(ns, key);
  if (status.ok()) status = CheckTtl(options.ttl);
  if (status.ok()) {
    status = CheckMaxIdle(options.max_idle.value_or(absl::ZeroDuration()));
  }
  return status;
}

base::PartitionId PartitionOf(std::string_view ns, std::string_view key) {
  return base::PartitionOfHash(base::HashKey(ns, key));
}

template <typename Message>
void FillKey(std::string_view ns, std::string_view key, Message* message) {
  message->set_namespace_(std::string(ns));
  message->set_key(key.data(), key.size());
}

template <typename Message>
void FillEntry(std::string_view ns, std::string_view key, std::string_view value,
               const SetOptions& options, Message* message) {
  FillKey(ns, key, message);
  message->set_value(value.data(), value.size());
  if (options.ttl.has_value()) message->set_ttl_ms(TtlMs(*options.ttl));
  message->set_max_idle_ms(TtlMs(options.max_idle));
  message->set_flags(options.flags);
}

template <typename Message>
void FillTouch(std::string_view ns, std::string_view key, const TouchOptions& options,
               Message* message) {
  FillKey(ns, key, message);
  if (options.ttl.has_value()) message->set_ttl_ms(TtlMs(*options.ttl));
  if (options.max_idle.has_value()) message->set_max_idle_ms(TtlMs(*options.max_idle));
}

// What is sent as a generated message; its arguments need not live on.
template <typename Result>
void StartMessage(Engine& engine, const v1::Operation& operation, base::PartitionId partition,
                  RetryRule rule, absl::Duration timeout,
                  typename MessageCall<Result>::Decode decode, MessageCall<Result>& call) {
  call.Prepare(operation, partition, rule, decode);
  call.deadline = engine.Deadline(timeout);
  engine.dispatcher().Start(&call);
}

}  // namespace

void GetAndTouchCall::Start(Engine& through, std::string_view ns, std::string_view key,
                            const TouchOptions& options) {
  through_ = &through;
  FillKey(ns, key, &get_);
  stream_deadline_ = through.StreamDeadline(options.timeout);
  v1::Operation operation;
  FillTouch(ns, key, options, operation.mutable_get_and_touch());
  partition = PartitionOf(ns, key);
  attempts.rule = RetryRule::kOnlyUnapplied;
  attempts.write = true;
  const size_t size = operation.ByteSizeLong();
  uint8_t* const start = bytes.Take(size);
  operation.SerializeWithCachedSizesToArray(start);
  head = {reinterpret_cast<const char*>(start), size};
  deadline = through.Deadline(options.timeout);
  through.dispatcher().Start(this);
}

void GetAndTouchCall::Finish(rpc::BatchEnd& end) {
  if (!end.status.ok()) return Answer(std::move(end.status));
  v1::OperationResult own;
  v1::GetResponse* entry = MessageOf(end, own).mutable_get_and_touch()->mutable_entry();
  if (entry->outcome() != v1::OUTCOME_USE_STREAM) return Answer(ToGetResult(entry));
  through_->transfers().Get(
      std::move(get_), partition, stream_deadline_,
      [this](absl::StatusOr<GetResult> result) { Answer(std::move(result)); });
}

void StartGet(Engine& engine, std::string_view key, const GetOptions& options, bool own,
              ReadCall& call) {
  const std::string_view ns = engine.NamespaceOr(options.ns);
  if (!NeedsNoCheck(options.ns, key)) {
    if (absl::Status bad = Check(ns, key); !bad.ok()) return call.Answer(std::move(bad));
  }
  const Engine::ReadDeadlines deadlines = engine.DeadlinesOfRead(options.timeout);
  call.Prepare({.ns = ns,
                .key = key,
                .consistency = options.consistency,
                .if_version_not = options.if_version_not,
                .metadata_only = options.metadata_only,
                .deadline = deadlines.call,
                .stream_deadline = deadlines.stream},
               own);
  engine.reads().Get(&call);
}

void StartSet(Engine& engine, std::string_view key, std::string_view value,
              const SetOptions& options, bool own, WriteCall& call) {
  const std::string_view ns = engine.NamespaceOr(options.ns);
  if (absl::Status bad = Check(ns, key, value, options); !bad.ok()) {
    return call.Answer(std::move(bad));
  }
  engine.Set(&call, ns, key, value,
             {.ttl = options.ttl, .max_idle = options.max_idle, .flags = options.flags},
             options.timeout, own);
}

void StartDelete(Engine& engine, std::string_view key, const CallOptions& options,
                 WriteCall& call) {
  const std::string_view ns = engine.NamespaceOr(options.ns);
  if (absl::Status bad = Check(ns, key); !bad.ok()) return call.Answer(std::move(bad));
  call.PrepareDelete(ns, key);
  call.deadline = engine.Deadline(options.timeout);
  engine.dispatcher().Start(&call);
}

void StartAdd(Engine& engine, std::string_view key, std::string_view value,
              const SetOptions& options, MessageCall<WriteResult>& call) {
  const std::string_view ns = engine.NamespaceOr(options.ns);
  if (absl::Status bad = Check(ns, key, value, options); !bad.ok()) {
    return call.Answer(std::move(bad));
  }
  v1::Operation operation;
  FillEntry(ns, key, value, options, operation.mutable_add());
  engine.Name(operation.mutable_add()->mutable_request_id());
  StartMessage(
      engine, operation, PartitionOf(ns, key), RetryRule::kAlways, options.timeout,
      [](v1::OperationResult& result) { return ToWriteResult(result.add()); }, call);
}

void StartReplace(Engine& engine, std::string_view key, std::string_view value,
                  const SetOptions& options, MessageCall<WriteResult>& call) {
  const std::string_view ns = engine.NamespaceOr(options.ns);
  if (absl::Status bad = Check(ns, key, value, options); !bad.ok()) {
    return call.Answer(std::move(bad));
  }
  v1::Operation operation;
  FillEntry(ns, key, value, options, operation.mutable_replace());
  engine.Name(operation.mutable_replace()->mutable_request_id());
  StartMessage(
      engine, operation, PartitionOf(ns, key), RetryRule::kAlways, options.timeout,
      [](v1::OperationResult& result) { return ToWriteResult(result.replace()); }, call);
}

void StartCompareAndSwap(Engine& engine, std::string_view key, std::string_view value,
                         uint64_t expected_version, const SetOptions& options,
                         MessageCall<WriteResult>& call) {
  const std::string_view ns = engine.NamespaceOr(options.ns);
  absl::Status bad = Check(ns, key, value, options);
  if (bad.ok() && expected_version == 0) bad = base::InvalidArgument("expected_version", "0");
  if (!bad.ok()) return call.Answer(std::move(bad));
  v1::Operation operation;
  v1::CompareAndSwapRequest* swap = operation.mutable_compare_and_swap();
  FillEntry(ns, key, value, options, swap);
  swap->set_expected_version(expected_version);
  engine.Name(swap->mutable_request_id());
  StartMessage(
      engine, operation, PartitionOf(ns, key), RetryRule::kAlways, options.timeout,
      [](v1::OperationResult& result) { return ToWriteResult(result.compare_and_swap()); }, call);
}

void StartTouch(Engine& engine, std::string_view key, const TouchOptions& options,
                MessageCall<WriteResult>& call) {
  const std::string_view ns = engine.NamespaceOr(options.ns);
  if (absl::Status bad = Check(ns, key, options); !bad.ok()) return call.Answer(std::move(bad));
  v1::Operation operation;
  FillTouch(ns, key, options, operation.mutable_touch());
  StartMessage(
      engine, operation, PartitionOf(ns, key), RetryRule::kOnlyUnapplied, options.timeout,
      [](v1::OperationResult& result) { return ToWriteResult(result.touch()); }, call);
}

void StartGetAndTouch(Engine& engine, std::string_view key, const TouchOptions& options,
                      GetAndTouchCall& call) {
  const std::string_view ns = engine.NamespaceOr(options.ns);
  if (absl::Status bad = Check(ns, key, options); !bad.ok()) return call.Answer(std::move(bad));
  call.Start(engine, ns, key, options);
}

void StartIncrement(Engine& engine, std::string_view key, int64_t delta,
                    const CounterOptions& options, MessageCall<CounterResult>& call) {
  const std::string_view ns = engine.NamespaceOr(options.ns);
  absl::Status bad = Check(ns, key);
  if (bad.ok()) bad = CheckTtl(options.ttl);
  if (!bad.ok()) return call.Answer(std::move(bad));
  v1::Operation operation;
  v1::IncrementRequest* increment = operation.mutable_increment();
  FillKey(ns, key, increment);
  increment->set_delta(delta);
  if (options.initial.has_value()) increment->set_initial(*options.initial);
  if (options.ttl.has_value()) increment->set_ttl_ms(TtlMs(*options.ttl));
  engine.Name(increment->mutable_request_id());
  StartMessage(
      engine, operation, PartitionOf(ns, key), RetryRule::kAlways, options.timeout,
      [](v1::OperationResult& result) { return ToCounterResult(result.increment()); }, call);
}

void StartDecrement(Engine& engine, std::string_view key, int64_t delta,
                    const CounterOptions& options, MessageCall<CounterResult>& call) {
  if (delta == std::numeric_limits<int64_t>::min()) {
    return call.Answer(base::InvalidArgument("delta", "-2^63", "-2^63+1 to 2^63-1"));
  }
  StartIncrement(engine, key, -delta, options, call);
}

void StartAppend(Engine& engine, std::string_view key, std::string_view suffix,
                 const CallOptions& options, MessageCall<WriteResult>& call) {
  const std::string_view ns = engine.NamespaceOr(options.ns);
  if (absl::Status bad = Check(ns, key, suffix, {}); !bad.ok()) return call.Answer(std::move(bad));
  v1::Operation operation;
  FillKey(ns, key, operation.mutable_append());
  operation.mutable_append()->set_value(suffix.data(), suffix.size());
  engine.Name(operation.mutable_append()->mutable_request_id());
  StartMessage(
      engine, operation, PartitionOf(ns, key), RetryRule::kAlways, options.timeout,
      [](v1::OperationResult& result) { return ToWriteResult(result.append()); }, call);
}

void StartPrepend(Engine& engine, std::string_view key, std::string_view prefix,
                  const CallOptions& options, MessageCall<WriteResult>& call) {
  const std::string_view ns = engine.NamespaceOr(options.ns);
  if (absl::Status bad = Check(ns, key, prefix, {}); !bad.ok()) return call.Answer(std::move(bad));
  v1::Operation operation;
  FillKey(ns, key, operation.mutable_prepend());
  operation.mutable_prepend()->set_value(prefix.data(), prefix.size());
  engine.Name(operation.mutable_prepend()->mutable_request_id());
  StartMessage(
      engine, operation, PartitionOf(ns, key), RetryRule::kAlways, options.timeout,
      [](v1::OperationResult& result) { return ToWriteResult(result.prepend()); }, call);
}

}  // namespace atoll::client
