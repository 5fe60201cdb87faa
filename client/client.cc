#include "client/include/atoll/client.h"

#include <limits>
#include <optional>
#include <utility>

#include "atoll/v1/cache.pb.h"
#include "base/hash.h"
#include "base/mutex.h"
#include "base/status.h"
#include "client/engine.h"
#include "client/multi.h"
#include "client/translate.h"

namespace atoll {

using client::RetryRule;

class Client::Impl {
 public:
  explicit Impl(std::unique_ptr<client::Engine> engine_in) : engine(std::move(engine_in)) {}
  const std::unique_ptr<client::Engine> engine;
};

namespace {

// Set while a callback of the caller's runs in this thread: a blocking call would wait there for
// itself.
thread_local bool in_callback = false;

class CallbackScope {
 public:
  CallbackScope() : before_(std::exchange(in_callback, true)) {}
  ~CallbackScope() { in_callback = before_; }
  CallbackScope(const CallbackScope&) = delete;
  CallbackScope& operator=(const CallbackScope&) = delete;

 private:
  const bool before_;
};

// Runs an asynchronous call and waits for its answer.
template <typename Answer, typename Start>
Answer Await(Start start) {
  struct Slot {
    base::Mutex mu;
    base::CondVar filled;
    std::optional<Answer> answer ABSL_GUARDED_BY(mu);
  } slot;
  start([&slot](Answer answer) {
    // Signalled with the lock held: the slot is gone as soon as the waiter sees the answer.
    base::MutexLock lock(slot.mu);
    slot.answer.emplace(std::move(answer));
    slot.filled.Signal();
  });
  base::MutexLock lock(slot.mu);
  while (!slot.answer.has_value()) slot.filled.Wait(slot.mu);
  return *std::move(slot.answer);
}

absl::Status BlockingInCallback() {
  return absl::FailedPreconditionError(
      "a blocking call from a callback would wait for its own thread: use the asynchronous one");
}

template <typename Result, typename Start>
absl::StatusOr<Result> AwaitOne(Start start) {
  if (in_callback) return BlockingInCallback();
  return Await<absl::StatusOr<Result>>(std::move(start));
}

template <typename Result, typename Start>
Client::Results<Result> AwaitMany(size_t keys, Start start) {
  if (in_callback) return Client::Results<Result>(keys, BlockingInCallback());
  return Await<Client::Results<Result>>(std::move(start));
}

// Counts the end, and marks the thread while the caller's code runs.
template <typename Result>
Client::Callback<Result> Counted(client::Engine& engine, Client::Callback<Result> done) {
  return [&engine, done = std::move(done)](absl::StatusOr<Result> result) mutable {
    engine.Count(result.ok());
    const CallbackScope scope;
    done(std::move(result));
  };
}

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

base::PartitionId PartitionOf(std::string_view ns, std::string_view key) {
  return base::PartitionOfHash(base::HashKey(ns, key));
}

template <typename Message>
void FillKey(const std::string& ns, std::string_view key, Message* message) {
  message->set_namespace_(ns);
  message->set_key(key.data(), key.size());
}

template <typename Message>
void FillEntry(const std::string& ns, std::string_view key, std::string_view value,
               const SetOptions& options, Message* message) {
  FillKey(ns, key, message);
  message->set_value(value.data(), value.size());
  if (options.ttl.has_value()) message->set_ttl_ms(client::TtlMs(*options.ttl));
  message->set_max_idle_ms(client::TtlMs(options.max_idle));
  message->set_flags(options.flags);
}

template <typename Message>
void FillTouch(const std::string& ns, std::string_view key, const TouchOptions& options,
               Message* message) {
  FillKey(ns, key, message);
  if (options.ttl.has_value()) message->set_ttl_ms(client::TtlMs(*options.ttl));
  if (options.max_idle.has_value()) message->set_max_idle_ms(client::TtlMs(*options.max_idle));
}

// Hands a write's answer on; `part` picks it out of the result.
template <typename Part>
client::Engine::OperationDone WriteAnswer(Client::Callback<WriteResult> done, Part part) {
  return [done = std::move(done), part](absl::Status status, v1::OperationResult* result) mutable {
    if (status.ok()) {
      done(client::ToWriteResult(part(*result)));
    } else {
      done(std::move(status));
    }
  };
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
  client::Engine& engine = *impl_->engine;
  done = Counted(engine, std::move(done));
  const std::string ns = engine.NamespaceOr(options.ns);
  if (absl::Status bad = Check(ns, key); !bad.ok()) return done(bad);
  engine.reads().Get({.ns = ns,
                      .key = std::string(key),
                      .consistency = options.consistency,
                      .if_version_not = options.if_version_not,
                      .metadata_only = options.metadata_only,
                      .deadline = engine.Deadline(options.timeout),
                      .stream_deadline = engine.StreamDeadline(options.timeout)},
                     std::move(done));
}

void Client::SetAsync(std::string_view key, std::string_view value, const SetOptions& options,
                      Callback<WriteResult> done) {
  client::Engine& engine = *impl_->engine;
  done = Counted(engine, std::move(done));
  const std::string ns = engine.NamespaceOr(options.ns);
  if (absl::Status bad = Check(ns, key, value, options); !bad.ok()) return done(bad);
  v1::SetRequest set;
  FillEntry(ns, key, {}, options, &set);
  engine.Set(std::move(set), value, options.timeout, std::move(done));
}

void Client::AddAsync(std::string_view key, std::string_view value, const SetOptions& options,
                      Callback<WriteResult> done) {
  client::Engine& engine = *impl_->engine;
  done = Counted(engine, std::move(done));
  const std::string ns = engine.NamespaceOr(options.ns);
  if (absl::Status bad = Check(ns, key, value, options); !bad.ok()) return done(bad);
  v1::Operation operation;
  FillEntry(ns, key, value, options, operation.mutable_add());
  engine.Name(operation.mutable_add()->mutable_request_id());
  engine.Send(operation, PartitionOf(ns, key), RetryRule::kAlways, engine.Deadline(options.timeout),
              WriteAnswer(std::move(done), [](const auto& result) { return result.add(); }));
}

void Client::ReplaceAsync(std::string_view key, std::string_view value, const SetOptions& options,
                          Callback<WriteResult> done) {
  client::Engine& engine = *impl_->engine;
  done = Counted(engine, std::move(done));
  const std::string ns = engine.NamespaceOr(options.ns);
  if (absl::Status bad = Check(ns, key, value, options); !bad.ok()) return done(bad);
  v1::Operation operation;
  FillEntry(ns, key, value, options, operation.mutable_replace());
  engine.Name(operation.mutable_replace()->mutable_request_id());
  engine.Send(operation, PartitionOf(ns, key), RetryRule::kAlways, engine.Deadline(options.timeout),
              WriteAnswer(std::move(done), [](const auto& result) { return result.replace(); }));
}

void Client::CompareAndSwapAsync(std::string_view key, std::string_view value,
                                 uint64_t expected_version, const SetOptions& options,
                                 Callback<WriteResult> done) {
  client::Engine& engine = *impl_->engine;
  done = Counted(engine, std::move(done));
  const std::string ns = engine.NamespaceOr(options.ns);
  absl::Status bad = Check(ns, key, value, options);
  if (bad.ok() && expected_version == 0) bad = base::InvalidArgument("expected_version", "0");
  if (!bad.ok()) return done(bad);
  v1::Operation operation;
  v1::CompareAndSwapRequest* swap = operation.mutable_compare_and_swap();
  FillEntry(ns, key, value, options, swap);
  swap->set_expected_version(expected_version);
  engine.Name(swap->mutable_request_id());
  engine.Send(
      operation, PartitionOf(ns, key), RetryRule::kAlways, engine.Deadline(options.timeout),
      WriteAnswer(std::move(done), [](const auto& result) { return result.compare_and_swap(); }));
}

void Client::DeleteAsync(std::string_view key, const CallOptions& options,
                         Callback<WriteResult> done) {
  client::Engine& engine = *impl_->engine;
  done = Counted(engine, std::move(done));
  const std::string ns = engine.NamespaceOr(options.ns);
  if (absl::Status bad = Check(ns, key); !bad.ok()) return done(bad);
  v1::Operation operation;
  FillKey(ns, key, operation.mutable_delete_());
  engine.Send(operation, PartitionOf(ns, key), RetryRule::kOnlyUnapplied,
              engine.Deadline(options.timeout),
              WriteAnswer(std::move(done), [](const auto& result) { return result.delete_(); }));
}

void Client::TouchAsync(std::string_view key, const TouchOptions& options,
                        Callback<WriteResult> done) {
  client::Engine& engine = *impl_->engine;
  done = Counted(engine, std::move(done));
  const std::string ns = engine.NamespaceOr(options.ns);
  absl::Status bad = Check(ns, key);
  if (bad.ok()) bad = client::CheckTtl(options.ttl);
  if (bad.ok()) bad = client::CheckMaxIdle(options.max_idle.value_or(absl::ZeroDuration()));
  if (!bad.ok()) return done(bad);
  v1::Operation operation;
  FillTouch(ns, key, options, operation.mutable_touch());
  engine.Send(operation, PartitionOf(ns, key), RetryRule::kOnlyUnapplied,
              engine.Deadline(options.timeout),
              WriteAnswer(std::move(done), [](const auto& result) { return result.touch(); }));
}

void Client::GetAndTouchAsync(std::string_view key, const TouchOptions& options,
                              Callback<GetResult> done) {
  client::Engine& engine = *impl_->engine;
  done = Counted(engine, std::move(done));
  const std::string ns = engine.NamespaceOr(options.ns);
  absl::Status bad = Check(ns, key);
  if (bad.ok()) bad = client::CheckTtl(options.ttl);
  if (bad.ok()) bad = client::CheckMaxIdle(options.max_idle.value_or(absl::ZeroDuration()));
  if (!bad.ok()) return done(bad);
  v1::Operation operation;
  FillTouch(ns, key, options, operation.mutable_get_and_touch());
  const base::PartitionId partition = PartitionOf(ns, key);
  engine.Send(operation, partition, RetryRule::kOnlyUnapplied, engine.Deadline(options.timeout),
              [&engine, ns, name = std::string(key), partition,
               deadline = engine.StreamDeadline(options.timeout),
               done = std::move(done)](absl::Status status, v1::OperationResult* result) mutable {
                if (!status.ok()) return done(std::move(status));
                v1::GetResponse* entry = result->mutable_get_and_touch()->mutable_entry();
                if (entry->outcome() != v1::OUTCOME_USE_STREAM) {
                  return done(client::ToGetResult(entry));
                }
                // Touched; the value has to be fetched.
                v1::GetRequest get;
                FillKey(ns, name, &get);
                engine.transfers().Get(std::move(get), partition, deadline, std::move(done));
              });
}

void Client::IncrementAsync(std::string_view key, int64_t delta, const CounterOptions& options,
                            Callback<CounterResult> done) {
  client::Engine& engine = *impl_->engine;
  done = Counted(engine, std::move(done));
  const std::string ns = engine.NamespaceOr(options.ns);
  absl::Status bad = Check(ns, key);
  if (bad.ok()) bad = client::CheckTtl(options.ttl);
  if (!bad.ok()) return done(bad);
  v1::Operation operation;
  v1::IncrementRequest* increment = operation.mutable_increment();
  FillKey(ns, key, increment);
  increment->set_delta(delta);
  if (options.initial.has_value()) increment->set_initial(*options.initial);
  if (options.ttl.has_value()) increment->set_ttl_ms(client::TtlMs(*options.ttl));
  engine.Name(increment->mutable_request_id());
  engine.Send(operation, PartitionOf(ns, key), RetryRule::kAlways, engine.Deadline(options.timeout),
              [done = std::move(done)](absl::Status status, v1::OperationResult* result) mutable {
                if (status.ok()) {
                  done(client::ToCounterResult(result->increment()));
                } else {
                  done(std::move(status));
                }
              });
}

void Client::DecrementAsync(std::string_view key, int64_t delta, const CounterOptions& options,
                            Callback<CounterResult> done) {
  if (delta == std::numeric_limits<int64_t>::min()) {
    return done(base::InvalidArgument("delta", "-2^63", "-2^63+1 to 2^63-1"));
  }
  IncrementAsync(key, -delta, options, std::move(done));
}

void Client::AppendAsync(std::string_view key, std::string_view suffix, const CallOptions& options,
                         Callback<WriteResult> done) {
  client::Engine& engine = *impl_->engine;
  done = Counted(engine, std::move(done));
  const std::string ns = engine.NamespaceOr(options.ns);
  if (absl::Status bad = Check(ns, key, suffix, {}); !bad.ok()) return done(bad);
  v1::Operation operation;
  FillKey(ns, key, operation.mutable_append());
  operation.mutable_append()->set_value(suffix.data(), suffix.size());
  engine.Name(operation.mutable_append()->mutable_request_id());
  engine.Send(operation, PartitionOf(ns, key), RetryRule::kAlways, engine.Deadline(options.timeout),
              WriteAnswer(std::move(done), [](const auto& result) { return result.append(); }));
}

void Client::PrependAsync(std::string_view key, std::string_view prefix, const CallOptions& options,
                          Callback<WriteResult> done) {
  client::Engine& engine = *impl_->engine;
  done = Counted(engine, std::move(done));
  const std::string ns = engine.NamespaceOr(options.ns);
  if (absl::Status bad = Check(ns, key, prefix, {}); !bad.ok()) return done(bad);
  v1::Operation operation;
  FillKey(ns, key, operation.mutable_prepend());
  operation.mutable_prepend()->set_value(prefix.data(), prefix.size());
  engine.Name(operation.mutable_prepend()->mutable_request_id());
  engine.Send(operation, PartitionOf(ns, key), RetryRule::kAlways, engine.Deadline(options.timeout),
              WriteAnswer(std::move(done), [](const auto& result) { return result.prepend(); }));
}

void Client::MultiGetAsync(absl::Span<const std::string_view> keys, const MultiGetOptions& options,
                           MultiCallback<GetResult> done) {
  client::MultiGet(*impl_->engine, keys, options, Scoped(std::move(done)));
}

void Client::MultiSetAsync(absl::Span<const SetEntry> entries, const CallOptions& options,
                           MultiCallback<WriteResult> done) {
  client::MultiSet(*impl_->engine, entries, options, Scoped(std::move(done)));
}

void Client::MultiDeleteAsync(absl::Span<const std::string_view> keys, const CallOptions& options,
                              MultiCallback<WriteResult> done) {
  client::MultiDelete(*impl_->engine, keys, options, Scoped(std::move(done)));
}

void Client::ScanAsync(const ScanOptions& options, Callback<ScanPage> done) {
  client::Engine& engine = *impl_->engine;
  done = Counted(engine, std::move(done));
  v1::ScanRequest scan;
  scan.set_namespace_(engine.NamespaceOr(options.ns));
  if (absl::Status bad = client::CheckNamespace(scan.namespace_()); !bad.ok()) return done(bad);
  scan.set_prefix(options.prefix);
  scan.set_cursor(options.cursor);
  scan.set_limit(options.limit);
  scan.set_with_values(options.with_values);
  engine.transfers().Scan(std::move(scan), engine.StreamDeadline(options.timeout), std::move(done));
}

void Client::FlushAsync(const CallOptions& options, absl::AnyInvocable<void(absl::Status)> done) {
  client::Engine& engine = *impl_->engine;
  auto counted = [&engine, done = std::move(done)](absl::Status status) mutable {
    engine.Count(status.ok());
    const CallbackScope scope;
    done(std::move(status));
  };
  v1::FlushRequest flush;
  flush.set_namespace_(engine.NamespaceOr(options.ns));
  if (absl::Status bad = client::CheckNamespace(flush.namespace_()); !bad.ok()) {
    return counted(bad);
  }
  engine.transfers().Flush(std::move(flush), engine.StreamDeadline(options.timeout),
                           std::move(counted));
}

// -- Blocking -----------------------------------------------------------------------------------

absl::StatusOr<GetResult> Client::Get(std::string_view key, const GetOptions& options) {
  return AwaitOne<GetResult>([&](auto done) { GetAsync(key, options, std::move(done)); });
}

absl::StatusOr<WriteResult> Client::Set(std::string_view key, std::string_view value,
                                        const SetOptions& options) {
  return AwaitOne<WriteResult>([&](auto done) { SetAsync(key, value, options, std::move(done)); });
}

absl::StatusOr<WriteResult> Client::Add(std::string_view key, std::string_view value,
                                        const SetOptions& options) {
  return AwaitOne<WriteResult>([&](auto done) { AddAsync(key, value, options, std::move(done)); });
}

absl::StatusOr<WriteResult> Client::Replace(std::string_view key, std::string_view value,
                                            const SetOptions& options) {
  return AwaitOne<WriteResult>(
      [&](auto done) { ReplaceAsync(key, value, options, std::move(done)); });
}

absl::StatusOr<WriteResult> Client::CompareAndSwap(std::string_view key, std::string_view value,
                                                   uint64_t expected_version,
                                                   const SetOptions& options) {
  return AwaitOne<WriteResult>([&](auto done) {
    CompareAndSwapAsync(key, value, expected_version, options, std::move(done));
  });
}

absl::StatusOr<WriteResult> Client::Delete(std::string_view key, const CallOptions& options) {
  return AwaitOne<WriteResult>([&](auto done) { DeleteAsync(key, options, std::move(done)); });
}

absl::StatusOr<WriteResult> Client::Touch(std::string_view key, const TouchOptions& options) {
  return AwaitOne<WriteResult>([&](auto done) { TouchAsync(key, options, std::move(done)); });
}

absl::StatusOr<GetResult> Client::GetAndTouch(std::string_view key, const TouchOptions& options) {
  return AwaitOne<GetResult>([&](auto done) { GetAndTouchAsync(key, options, std::move(done)); });
}

absl::StatusOr<CounterResult> Client::Increment(std::string_view key, int64_t delta,
                                                const CounterOptions& options) {
  return AwaitOne<CounterResult>(
      [&](auto done) { IncrementAsync(key, delta, options, std::move(done)); });
}

absl::StatusOr<CounterResult> Client::Decrement(std::string_view key, int64_t delta,
                                                const CounterOptions& options) {
  return AwaitOne<CounterResult>(
      [&](auto done) { DecrementAsync(key, delta, options, std::move(done)); });
}

absl::StatusOr<WriteResult> Client::Append(std::string_view key, std::string_view suffix,
                                           const CallOptions& options) {
  return AwaitOne<WriteResult>(
      [&](auto done) { AppendAsync(key, suffix, options, std::move(done)); });
}

absl::StatusOr<WriteResult> Client::Prepend(std::string_view key, std::string_view prefix,
                                            const CallOptions& options) {
  return AwaitOne<WriteResult>(
      [&](auto done) { PrependAsync(key, prefix, options, std::move(done)); });
}

Client::Results<GetResult> Client::MultiGet(absl::Span<const std::string_view> keys,
                                            const MultiGetOptions& options) {
  return AwaitMany<GetResult>(keys.size(),
                              [&](auto done) { MultiGetAsync(keys, options, std::move(done)); });
}

Client::Results<WriteResult> Client::MultiSet(absl::Span<const SetEntry> entries,
                                              const CallOptions& options) {
  return AwaitMany<WriteResult>(
      entries.size(), [&](auto done) { MultiSetAsync(entries, options, std::move(done)); });
}

Client::Results<WriteResult> Client::MultiDelete(absl::Span<const std::string_view> keys,
                                                 const CallOptions& options) {
  return AwaitMany<WriteResult>(
      keys.size(), [&](auto done) { MultiDeleteAsync(keys, options, std::move(done)); });
}

absl::StatusOr<ScanPage> Client::Scan(const ScanOptions& options) {
  return AwaitOne<ScanPage>([&](auto done) { ScanAsync(options, std::move(done)); });
}

absl::Status Client::Flush(const CallOptions& options) {
  if (in_callback) return BlockingInCallback();
  return Await<absl::Status>([&](auto done) { FlushAsync(options, std::move(done)); });
}

}  // namespace atoll
