#include "client/include/atoll/client.h"

#include <optional>
#include <utility>

#include "atoll/v1/cache.pb.h"
#include "client/answered_call.h"
#include "client/engine.h"
#include "client/multi.h"
#include "client/single.h"
#include "client/translate.h"
#include "rpc/wake_group.h"

namespace atoll {

class Client::Impl {
 public:
  explicit Impl(std::unique_ptr<client::Engine> engine_in) : engine(std::move(engine_in)) {}
  const std::unique_ptr<client::Engine> engine;
};

namespace {

using client::Async;
using client::Blocking;
using client::CallbackScope;
using client::Engine;
using client::GetAndTouchCall;
using client::MessageCall;
using client::ReadCall;
using client::WriteCall;

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
  rpc::Waiter waiter;
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
  client::StartGet(engine, key, options, /*own=*/true,
                   *new Async<ReadCall>(&engine, std::move(done)));
}

void Client::SetAsync(std::string_view key, std::string_view value, const SetOptions& options,
                      Callback<WriteResult> done) {
  Engine& engine = *impl_->engine;
  client::StartSet(engine, key, value, options, /*own=*/true,
                   *new Async<WriteCall>(&engine, std::move(done)));
}

void Client::AddAsync(std::string_view key, std::string_view value, const SetOptions& options,
                      Callback<WriteResult> done) {
  Engine& engine = *impl_->engine;
  client::StartAdd(engine, key, value, options,
                   *new Async<MessageCall<WriteResult>>(&engine, std::move(done)));
}

void Client::ReplaceAsync(std::string_view key, std::string_view value, const SetOptions& options,
                          Callback<WriteResult> done) {
  Engine& engine = *impl_->engine;
  client::StartReplace(engine, key, value, options,
                       *new Async<MessageCall<WriteResult>>(&engine, std::move(done)));
}

void Client::CompareAndSwapAsync(std::string_view key, std::string_view value,
                                 uint64_t expected_version, const SetOptions& options,
                                 Callback<WriteResult> done) {
  Engine& engine = *impl_->engine;
  client::StartCompareAndSwap(engine, key, value, expected_version, options,
                              *new Async<MessageCall<WriteResult>>(&engine, std::move(done)));
}

void Client::DeleteAsync(std::string_view key, const CallOptions& options,
                         Callback<WriteResult> done) {
  Engine& engine = *impl_->engine;
  client::StartDelete(engine, key, options, *new Async<WriteCall>(&engine, std::move(done)));
}

void Client::TouchAsync(std::string_view key, const TouchOptions& options,
                        Callback<WriteResult> done) {
  Engine& engine = *impl_->engine;
  client::StartTouch(engine, key, options,
                     *new Async<MessageCall<WriteResult>>(&engine, std::move(done)));
}

void Client::GetAndTouchAsync(std::string_view key, const TouchOptions& options,
                              Callback<GetResult> done) {
  Engine& engine = *impl_->engine;
  client::StartGetAndTouch(engine, key, options,
                           *new Async<GetAndTouchCall>(&engine, std::move(done)));
}

void Client::IncrementAsync(std::string_view key, int64_t delta, const CounterOptions& options,
                            Callback<CounterResult> done) {
  Engine& engine = *impl_->engine;
  client::StartIncrement(engine, key, delta, options,
                         *new Async<MessageCall<CounterResult>>(&engine, std::move(done)));
}

void Client::DecrementAsync(std::string_view key, int64_t delta, const CounterOptions& options,
                            Callback<CounterResult> done) {
  Engine& engine = *impl_->engine;
  client::StartDecrement(engine, key, delta, options,
                         *new Async<MessageCall<CounterResult>>(&engine, std::move(done)));
}

void Client::AppendAsync(std::string_view key, std::string_view suffix, const CallOptions& options,
                         Callback<WriteResult> done) {
  Engine& engine = *impl_->engine;
  client::StartAppend(engine, key, suffix, options,
                      *new Async<MessageCall<WriteResult>>(&engine, std::move(done)));
}

void Client::PrependAsync(std::string_view key, std::string_view prefix, const CallOptions& options,
                          Callback<WriteResult> done) {
  Engine& engine = *impl_->engine;
  client::StartPrepend(engine, key, prefix, options,
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
  return Await<ReadCall>(
      engine, [&](auto& call) { client::StartGet(engine, key, options, /*own=*/false, call); });
}

absl::StatusOr<WriteResult> Client::Set(std::string_view key, std::string_view value,
                                        const SetOptions& options) {
  Engine& engine = *impl_->engine;
  return Await<WriteCall>(engine, [&](auto& call) {
    client::StartSet(engine, key, value, options, /*own=*/false, call);
  });
}

absl::StatusOr<WriteResult> Client::Add(std::string_view key, std::string_view value,
                                        const SetOptions& options) {
  Engine& engine = *impl_->engine;
  return Await<MessageCall<WriteResult>>(
      engine, [&](auto& call) { client::StartAdd(engine, key, value, options, call); });
}

absl::StatusOr<WriteResult> Client::Replace(std::string_view key, std::string_view value,
                                            const SetOptions& options) {
  Engine& engine = *impl_->engine;
  return Await<MessageCall<WriteResult>>(
      engine, [&](auto& call) { client::StartReplace(engine, key, value, options, call); });
}

absl::StatusOr<WriteResult> Client::CompareAndSwap(std::string_view key, std::string_view value,
                                                   uint64_t expected_version,
                                                   const SetOptions& options) {
  Engine& engine = *impl_->engine;
  return Await<MessageCall<WriteResult>>(engine, [&](auto& call) {
    client::StartCompareAndSwap(engine, key, value, expected_version, options, call);
  });
}

absl::StatusOr<WriteResult> Client::Delete(std::string_view key, const CallOptions& options) {
  Engine& engine = *impl_->engine;
  return Await<WriteCall>(engine,
                          [&](auto& call) { client::StartDelete(engine, key, options, call); });
}

absl::StatusOr<WriteResult> Client::Touch(std::string_view key, const TouchOptions& options) {
  Engine& engine = *impl_->engine;
  return Await<MessageCall<WriteResult>>(
      engine, [&](auto& call) { client::StartTouch(engine, key, options, call); });
}

absl::StatusOr<GetResult> Client::GetAndTouch(std::string_view key, const TouchOptions& options) {
  Engine& engine = *impl_->engine;
  return Await<GetAndTouchCall>(
      engine, [&](auto& call) { client::StartGetAndTouch(engine, key, options, call); });
}

absl::StatusOr<CounterResult> Client::Increment(std::string_view key, int64_t delta,
                                                const CounterOptions& options) {
  Engine& engine = *impl_->engine;
  return Await<MessageCall<CounterResult>>(
      engine, [&](auto& call) { client::StartIncrement(engine, key, delta, options, call); });
}

absl::StatusOr<CounterResult> Client::Decrement(std::string_view key, int64_t delta,
                                                const CounterOptions& options) {
  Engine& engine = *impl_->engine;
  return Await<MessageCall<CounterResult>>(
      engine, [&](auto& call) { client::StartDecrement(engine, key, delta, options, call); });
}

absl::StatusOr<WriteResult> Client::Append(std::string_view key, std::string_view suffix,
                                           const CallOptions& options) {
  Engine& engine = *impl_->engine;
  return Await<MessageCall<WriteResult>>(
      engine, [&](auto& call) { client::StartAppend(engine, key, suffix, options, call); });
}

absl::StatusOr<WriteResult> Client::Prepend(std::string_view key, std::string_view prefix,
                                            const CallOptions& options) {
  Engine& engine = *impl_->engine;
  return Await<MessageCall<WriteResult>>(
      engine, [&](auto& call) { client::StartPrepend(engine, key, prefix, options, call); });
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
