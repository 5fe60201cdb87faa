#include "client/include/atoll/client.h"

#include <limits>
#include <optional>
#include <utility>

#include "atoll/v1/cache.pb.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/status.h"
#include "client/answered_call.h"
#include "client/engine.h"
#include "client/multi.h"
#include "client/translate.h"
#include "client/waiter.h"
#include "client/write_call.h"

namespace atoll {

using client::RetryRule;

class Client::Impl {
 public:
  explicit Impl(std::unique_ptr<client::Engine> engine_in) : engine(std::move(engine_in)) {}
  const std::unique_ptr<client::Engine> engine;
};

namespace {

using client::Async;
using client::Blocking;
using client::CallbackScope;

absl::Status BlockingInCallback() {
  return absl::FailedPreconditionError(
      "a blocking call from a callback would wait for its own thread: use the asynchronous one");
}

// Starts a call on this thread's stack and waits for its answer.
template <typename Kind, typename Start>
absl::StatusOr<typename Kind::Result> Await(client::Engine& engine, Start start) {
  if (CallbackScope::Active()) return BlockingInCallback();
  Blocking<Kind> call(&engine);
  start(call);
  return call.Wait();
}

// The same for calls that answer by a callback.
template <typename Answer, typename Start>
Answer AwaitCallback(Start start) {
  std::optional<Answer> answer;
  client::Waiter waiter;
  start([&](Answer given) {
    answer.emplace(std::move(given));
    waiter.Wake();
  });
  waiter.Wait();
  return *std::move(answer);
}

template <typename Result, typename Start>
Client::Results<Result> AwaitMany(size_t keys, Start start) {
  if (CallbackScope::Active()) return Client::Results<Result>(keys, BlockingInCallback());
  return AwaitCallback<Client::Results<Result>>(std::move(start));
}

// Marks the thread while the caller's code runs.
template <typename Result>
Client::MultiCallback<Result> Scoped(Client::MultiCallback<Result> done) {
  return [done = std::move(done)](Client::Results<Result> results) mutable {
    const CallbackScope scope;
    done(std::move(results));
  };
}

absl::Status Check(std::string_view ns, std::string_view key) {
  absl::Status status = client::CheckKey(key);
  if (status.ok()) status = client::CheckNamespace(ns);
  return status;
}

absl::Status Check(std::string_view ns, std::string_view key, std::string_view value,
                   const SetOptions& options) {
  absl::Status status = Check(ns, key);
  if (status.ok()) status = client::CheckValue(value);
  if (status.ok()) status = client::CheckTtl(options.ttl);
  if (status.ok()) status = client::CheckMaxIdle(options.max_idle);
  return status;
}

absl::Status Check(std::string_view ns, std::string_view key, const TouchOptions& options) {
  absl::Status status = Check(ns, key);
  if (status.ok()) status = client::CheckTtl(options.ttl);
  if (status.ok()) {
    status = client::CheckMaxIdle(options.max_idle.value_or(absl::ZeroDuration()));
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
  if (options.ttl.has_value()) message->set_ttl_ms(client::TtlMs(*options.ttl));
  message->set_max_idle_ms(client::TtlMs(options.max_idle));
  message->set_flags(options.flags);
}

template <typename Message>
void FillTouch(std::string_view ns, std::string_view key, const TouchOptions& options,
               Message* message) {
  FillKey(ns, key, message);
  if (options.ttl.has_value()) message->set_ttl_ms(client::TtlMs(*options.ttl));
  if (options.max_idle.has_value()) message->set_max_idle_ms(client::TtlMs(*options.max_idle));
}

// -- The calls: checked, prepared and started. `own`: arguments may be gone before the end.
// --------

using client::Engine;
using client::MessageCall;
using client::ReadCall;
using client::WriteCall;

void StartGet(Engine& engine, std::string_view key, const GetOptions& options, bool own,
              ReadCall& call) {
  const std::string_view ns = engine.NamespaceOr(options.ns);
  if (absl::Status bad = Check(ns, key); !bad.ok()) return call.Answer(std::move(bad));
  const absl::Duration now = base::Clock::Real().BootTime();
  call.Prepare({.ns = ns,
                .key = key,
                .consistency = options.consistency,
                .if_version_not = options.if_version_not,
                .metadata_only = options.metadata_only,
                .deadline = now + engine.Timeout(options.timeout),
                .stream_deadline = now + engine.StreamTimeout(options.timeout)},
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

// What is sent as a generated message; its arguments need not live on.
template <typename Result>
void StartMessage(Engine& engine, const v1::Operation& operation, base::PartitionId partition,
                  RetryRule rule, absl::Duration timeout,
                  typename MessageCall<Result>::Decode decode, MessageCall<Result>& call) {
  call.Prepare(operation, partition, rule, decode);
  call.deadline = engine.Deadline(timeout);
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
      [](v1::OperationResult& result) { return client::ToWriteResult(result.add()); }, call);
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
      [](v1::OperationResult& result) { return client::ToWriteResult(result.replace()); }, call);
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
      [](v1::OperationResult& result) { return client::ToWriteResult(result.compare_and_swap()); },
      call);
}

void StartTouch(Engine& engine, std::string_view key, const TouchOptions& options,
                MessageCall<WriteResult>& call) {
  const std::string_view ns = engine.NamespaceOr(options.ns);
  if (absl::Status bad = Check(ns, key, options); !bad.ok()) return call.Answer(std::move(bad));
  v1::Operation operation;
  FillTouch(ns, key, options, operation.mutable_touch());
  StartMessage(
      engine, operation, PartitionOf(ns, key), RetryRule::kOnlyUnapplied, options.timeout,
      [](v1::OperationResult& result) { return client::ToWriteResult(result.touch()); }, call);
}

// Touches; a large value is then fetched by a stream of its own.
class GetAndTouchCall : public client::AnsweredCall<GetResult> {
 public:
  void Start(Engine& through, std::string_view ns, std::string_view key,
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

 private:
  void Finish(absl::Status status, rpc::BatchEnd* end) override {
    if (!status.ok()) return Answer(std::move(status));
    v1::OperationResult own;
    v1::GetResponse* entry = client::MessageOf(*end, own).mutable_get_and_touch()->mutable_entry();
    if (entry->outcome() != v1::OUTCOME_USE_STREAM) return Answer(client::ToGetResult(entry));
    through_->transfers().Get(
        std::move(get_), partition, stream_deadline_,
        [this](absl::StatusOr<GetResult> result) { Answer(std::move(result)); });
  }

  Engine* through_ = nullptr;
  v1::GetRequest get_;
  absl::Duration stream_deadline_;
};

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
  if (bad.ok()) bad = client::CheckTtl(options.ttl);
  if (!bad.ok()) return call.Answer(std::move(bad));
  v1::Operation operation;
  v1::IncrementRequest* increment = operation.mutable_increment();
  FillKey(ns, key, increment);
  increment->set_delta(delta);
  if (options.initial.has_value()) increment->set_initial(*options.initial);
  if (options.ttl.has_value()) increment->set_ttl_ms(client::TtlMs(*options.ttl));
  engine.Name(increment->mutable_request_id());
  StartMessage(
      engine, operation, PartitionOf(ns, key), RetryRule::kAlways, options.timeout,
      [](v1::OperationResult& result) { return client::ToCounterResult(result.increment()); },
      call);
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
      [](v1::OperationResult& result) { return client::ToWriteResult(result.append()); }, call);
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
      [](v1::OperationResult& result) { return client::ToWriteResult(result.prepend()); }, call);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Client::Create(ClientOptions options) {
  auto engine = client::Engine::Create(options);
  if (!engine.ok()) return engine.status();
  return std::unique_ptr<Client>(new Client(std::make_unique<Impl>(*std::move(engine))));
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

absl::Status Client::WaitUntilReady(absl::Time deadline) {
  return impl_->engine->WaitUntilReady(deadline);
}

ClientStats Client::stats() const { return impl_->engine->stats(); }

// -- Asynchronous -------------------------------------------------------------------------------

void Client::GetAsync(std::string_view key, const GetOptions& options, Callback<GetResult> done) {
  Engine& engine = *impl_->engine;
  StartGet(engine, key, options, /*own=*/true, *new Async<ReadCall>(&engine, std::move(done)));
}

void Client::SetAsync(std::string_view key, std::string_view value, const SetOptions& options,
                      Callback<WriteResult> done) {
  Engine& engine = *impl_->engine;
  StartSet(engine, key, value, options, /*own=*/true,
           *new Async<WriteCall>(&engine, std::move(done)));
}

void Client::AddAsync(std::string_view key, std::string_view value, const SetOptions& options,
                      Callback<WriteResult> done) {
  Engine& engine = *impl_->engine;
  StartAdd(engine, key, value, options,
           *new Async<MessageCall<WriteResult>>(&engine, std::move(done)));
}

void Client::ReplaceAsync(std::string_view key, std::string_view value, const SetOptions& options,
                          Callback<WriteResult> done) {
  Engine& engine = *impl_->engine;
  StartReplace(engine, key, value, options,
               *new Async<MessageCall<WriteResult>>(&engine, std::move(done)));
}

void Client::CompareAndSwapAsync(std::string_view key, std::string_view value,
                                 uint64_t expected_version, const SetOptions& options,
                                 Callback<WriteResult> done) {
  Engine& engine = *impl_->engine;
  StartCompareAndSwap(engine, key, value, expected_version, options,
                      *new Async<MessageCall<WriteResult>>(&engine, std::move(done)));
}

void Client::DeleteAsync(std::string_view key, const CallOptions& options,
                         Callback<WriteResult> done) {
  Engine& engine = *impl_->engine;
  StartDelete(engine, key, options, *new Async<WriteCall>(&engine, std::move(done)));
}

void Client::TouchAsync(std::string_view key, const TouchOptions& options,
                        Callback<WriteResult> done) {
  Engine& engine = *impl_->engine;
  StartTouch(engine, key, options, *new Async<MessageCall<WriteResult>>(&engine, std::move(done)));
}

void Client::GetAndTouchAsync(std::string_view key, const TouchOptions& options,
                              Callback<GetResult> done) {
  Engine& engine = *impl_->engine;
  StartGetAndTouch(engine, key, options, *new Async<GetAndTouchCall>(&engine, std::move(done)));
}

void Client::IncrementAsync(std::string_view key, int64_t delta, const CounterOptions& options,
                            Callback<CounterResult> done) {
  Engine& engine = *impl_->engine;
  StartIncrement(engine, key, delta, options,
                 *new Async<MessageCall<CounterResult>>(&engine, std::move(done)));
}

void Client::DecrementAsync(std::string_view key, int64_t delta, const CounterOptions& options,
                            Callback<CounterResult> done) {
  Engine& engine = *impl_->engine;
  StartDecrement(engine, key, delta, options,
                 *new Async<MessageCall<CounterResult>>(&engine, std::move(done)));
}

void Client::AppendAsync(std::string_view key, std::string_view suffix, const CallOptions& options,
                         Callback<WriteResult> done) {
  Engine& engine = *impl_->engine;
  StartAppend(engine, key, suffix, options,
              *new Async<MessageCall<WriteResult>>(&engine, std::move(done)));
}

void Client::PrependAsync(std::string_view key, std::string_view prefix, const CallOptions& options,
                          Callback<WriteResult> done) {
  Engine& engine = *impl_->engine;
  StartPrepend(engine, key, prefix, options,
               *new Async<MessageCall<WriteResult>>(&engine, std::move(done)));
}

void Client::MultiGetAsync(absl::Span<const std::string_view> keys, const MultiGetOptions& options,
                           MultiCallback<GetResult> done) {
  client::MultiGet(*impl_->engine, keys, options, /*blocking=*/false, Scoped(std::move(done)));
}

void Client::MultiSetAsync(absl::Span<const SetEntry> entries, const CallOptions& options,
                           MultiCallback<WriteResult> done) {
  client::MultiSet(*impl_->engine, entries, options, /*blocking=*/false, Scoped(std::move(done)));
}

void Client::MultiDeleteAsync(absl::Span<const std::string_view> keys, const CallOptions& options,
                              MultiCallback<WriteResult> done) {
  client::MultiDelete(*impl_->engine, keys, options, /*blocking=*/false, Scoped(std::move(done)));
}

void Client::ScanAsync(const ScanOptions& options, Callback<ScanPage> done) {
  Engine& engine = *impl_->engine;
  auto counted = [&engine, done = std::move(done)](absl::StatusOr<ScanPage> page) mutable {
    engine.Count(page.ok());
    const CallbackScope scope;
    done(std::move(page));
  };
  v1::ScanRequest scan;
  scan.set_namespace_(std::string(engine.NamespaceOr(options.ns)));
  if (absl::Status bad = client::CheckNamespace(scan.namespace_()); !bad.ok()) {
    return counted(std::move(bad));
  }
  scan.set_prefix(options.prefix);
  scan.set_cursor(options.cursor);
  scan.set_limit(options.limit);
  scan.set_with_values(options.with_values);
  engine.transfers().Scan(std::move(scan), engine.StreamDeadline(options.timeout),
                          std::move(counted));
}

void Client::FlushAsync(const CallOptions& options, absl::AnyInvocable<void(absl::Status)> done) {
  Engine& engine = *impl_->engine;
  auto counted = [&engine, done = std::move(done)](absl::Status status) mutable {
    engine.Count(status.ok());
    const CallbackScope scope;
    done(std::move(status));
  };
  v1::FlushRequest flush;
  flush.set_namespace_(std::string(engine.NamespaceOr(options.ns)));
  if (absl::Status bad = client::CheckNamespace(flush.namespace_()); !bad.ok()) {
    return counted(bad);
  }
  engine.transfers().Flush(std::move(flush), engine.StreamDeadline(options.timeout),
                           std::move(counted));
}

// -- Blocking -----------------------------------------------------------------------------------

absl::StatusOr<GetResult> Client::Get(std::string_view key, const GetOptions& options) {
  Engine& engine = *impl_->engine;
  return Await<ReadCall>(engine,
                         [&](auto& call) { StartGet(engine, key, options, /*own=*/false, call); });
}

absl::StatusOr<WriteResult> Client::Set(std::string_view key, std::string_view value,
                                        const SetOptions& options) {
  Engine& engine = *impl_->engine;
  return Await<WriteCall>(
      engine, [&](auto& call) { StartSet(engine, key, value, options, /*own=*/false, call); });
}

absl::StatusOr<WriteResult> Client::Add(std::string_view key, std::string_view value,
                                        const SetOptions& options) {
  Engine& engine = *impl_->engine;
  return Await<MessageCall<WriteResult>>(
      engine, [&](auto& call) { StartAdd(engine, key, value, options, call); });
}

absl::StatusOr<WriteResult> Client::Replace(std::string_view key, std::string_view value,
                                            const SetOptions& options) {
  Engine& engine = *impl_->engine;
  return Await<MessageCall<WriteResult>>(
      engine, [&](auto& call) { StartReplace(engine, key, value, options, call); });
}

absl::StatusOr<WriteResult> Client::CompareAndSwap(std::string_view key, std::string_view value,
                                                   uint64_t expected_version,
                                                   const SetOptions& options) {
  Engine& engine = *impl_->engine;
  return Await<MessageCall<WriteResult>>(engine, [&](auto& call) {
    StartCompareAndSwap(engine, key, value, expected_version, options, call);
  });
}

absl::StatusOr<WriteResult> Client::Delete(std::string_view key, const CallOptions& options) {
  Engine& engine = *impl_->engine;
  return Await<WriteCall>(engine, [&](auto& call) { StartDelete(engine, key, options, call); });
}

absl::StatusOr<WriteResult> Client::Touch(std::string_view key, const TouchOptions& options) {
  Engine& engine = *impl_->engine;
  return Await<MessageCall<WriteResult>>(
      engine, [&](auto& call) { StartTouch(engine, key, options, call); });
}

absl::StatusOr<GetResult> Client::GetAndTouch(std::string_view key, const TouchOptions& options) {
  Engine& engine = *impl_->engine;
  return Await<GetAndTouchCall>(engine,
                                [&](auto& call) { StartGetAndTouch(engine, key, options, call); });
}

absl::StatusOr<CounterResult> Client::Increment(std::string_view key, int64_t delta,
                                                const CounterOptions& options) {
  Engine& engine = *impl_->engine;
  return Await<MessageCall<CounterResult>>(
      engine, [&](auto& call) { StartIncrement(engine, key, delta, options, call); });
}

absl::StatusOr<CounterResult> Client::Decrement(std::string_view key, int64_t delta,
                                                const CounterOptions& options) {
  Engine& engine = *impl_->engine;
  return Await<MessageCall<CounterResult>>(
      engine, [&](auto& call) { StartDecrement(engine, key, delta, options, call); });
}

absl::StatusOr<WriteResult> Client::Append(std::string_view key, std::string_view suffix,
                                           const CallOptions& options) {
  Engine& engine = *impl_->engine;
  return Await<MessageCall<WriteResult>>(
      engine, [&](auto& call) { StartAppend(engine, key, suffix, options, call); });
}

absl::StatusOr<WriteResult> Client::Prepend(std::string_view key, std::string_view prefix,
                                            const CallOptions& options) {
  Engine& engine = *impl_->engine;
  return Await<MessageCall<WriteResult>>(
      engine, [&](auto& call) { StartPrepend(engine, key, prefix, options, call); });
}

Client::Results<GetResult> Client::MultiGet(absl::Span<const std::string_view> keys,
                                            const MultiGetOptions& options) {
  return AwaitMany<GetResult>(keys.size(), [&](auto done) {
    client::MultiGet(*impl_->engine, keys, options, /*blocking=*/true, std::move(done));
  });
}

Client::Results<WriteResult> Client::MultiSet(absl::Span<const SetEntry> entries,
                                              const CallOptions& options) {
  return AwaitMany<WriteResult>(entries.size(), [&](auto done) {
    client::MultiSet(*impl_->engine, entries, options, /*blocking=*/true, std::move(done));
  });
}

Client::Results<WriteResult> Client::MultiDelete(absl::Span<const std::string_view> keys,
                                                 const CallOptions& options) {
  return AwaitMany<WriteResult>(keys.size(), [&](auto done) {
    client::MultiDelete(*impl_->engine, keys, options, /*blocking=*/true, std::move(done));
  });
}

absl::StatusOr<ScanPage> Client::Scan(const ScanOptions& options) {
  if (CallbackScope::Active()) return BlockingInCallback();
  return AwaitCallback<absl::StatusOr<ScanPage>>(
      [&](auto done) { ScanAsync(options, std::move(done)); });
}

absl::Status Client::Flush(const CallOptions& options) {
  if (CallbackScope::Active()) return BlockingInCallback();
  return AwaitCallback<absl::Status>([&](auto done) { FlushAsync(options, std::move(done)); });
}

}  // namespace atoll
