#include "client/engine.h"

#include <algorithm>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/hash.h"
#include "client/translate.h"

namespace atoll::client {
namespace {

uint64_t RandomId() {
  absl::BitGen random;
  return absl::Uniform<uint64_t>(absl::IntervalClosed, random, 1, UINT64_MAX);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(const ClientOptions& options) {
  auto nodes = Nodes::Create(options);
  if (!nodes.ok()) return nodes.status();
  std::unique_ptr<Engine> engine(new Engine(options, *std::move(nodes)));
  engine->watch_.Start();
  return engine;
}

Engine::Engine(const ClientOptions& options, std::unique_ptr<Nodes> nodes)
    : options_(options),
      client_id_(RandomId()),
      nodes_(std::move(nodes)),
      dispatcher_(options, nodes_.get(), &routes_),
      transfers_(&dispatcher_),
      reads_(options, &dispatcher_, &transfers_),
      watch_(nodes_.get(), [this](std::shared_ptr<const ring::PlacementMap> map) {
        if (!routes_.Apply(std::move(map))) return;
        nodes_->SetMembers(routes_.Addresses());
        base::MutexLock lock(mu_);
        map_changed_.SignalAll();
      }) {}

Engine::~Engine() {
  // First nothing new, then what waits, then what is under way; the threads last, for they bring
  // the ends of it.
  dispatcher_.Close();
  nodes_->Shutdown();
  transfers_.Shutdown();
  watch_.Stop();
  transfers_.Stop();
  nodes_->Stop();
}

absl::Status Engine::WaitUntilReady(absl::Time deadline) {
  base::MutexLock lock(mu_);
  while (true) {
    const absl::Status ready = routes_.Ready();
    if (ready.ok()) return ready;
    const absl::Duration left = deadline - base::Clock::Real().Now();
    if (left <= absl::ZeroDuration()) {
      const absl::Status last = watch_.last_error();
      return absl::DeadlineExceededError(
          last.ok() ? absl::StrCat("not ready: ", ready.message())
                    : absl::StrCat("not ready: ", ready.message(), " (", last.message(), ")"));
    }
    // A mended route tells nobody: look again now and then.
    map_changed_.WaitFor(mu_, std::min(left, absl::Milliseconds(50)));
  }
}

absl::Duration Engine::Deadline(absl::Duration timeout) const {
  return base::Clock::Real().BootTime() +
         (timeout > absl::ZeroDuration() ? timeout : options_.timeout);
}

absl::Duration Engine::StreamDeadline(absl::Duration timeout) const {
  return base::Clock::Real().BootTime() +
         (timeout > absl::ZeroDuration() ? timeout
                                         : std::max(options_.stream_timeout, options_.timeout));
}

void Engine::Name(v1::RequestId* id) {
  id->set_client_id(client_id_);
  id->set_number(next_request_.fetch_add(1, std::memory_order_relaxed));
}

void Engine::Send(const v1::Operation& operation, base::PartitionId partition, RetryRule rule,
                  absl::Duration deadline, OperationDone done) {
  auto call = std::make_shared<Call>();
  call->operation = rpc::EncodeOperation(operation);
  call->partition = partition;
  call->rule = rule;
  call->write = true;
  call->deadline = deadline;
  call->done = std::move(done);
  dispatcher_.Start(std::move(call));
}

void Engine::Set(v1::SetRequest set, std::string_view value, absl::Duration timeout,
                 Client::Callback<WriteResult> done) {
  const base::PartitionId partition =
      base::PartitionOfHash(base::HashKey(set.namespace_(), set.key()));
  if (value.size() > kMaxInlineBytes) {
    streamed_.fetch_add(1, std::memory_order_relaxed);
    transfers_.Set(std::move(set), std::make_shared<const std::string>(value), partition,
                   StreamDeadline(timeout), std::move(done));
    return;
  }
  set.set_value(value.data(), value.size());
  v1::Operation operation;
  *operation.mutable_set() = std::move(set);
  Send(operation, partition, RetryRule::kOnlyUnapplied, Deadline(timeout),
       [done = std::move(done)](absl::Status status, v1::OperationResult* result) mutable {
         if (status.ok()) {
           done(ToWriteResult(result->set()));
         } else {
           done(std::move(status));
         }
       });
}

void Engine::Count(bool ok, uint64_t calls) {
  calls_.fetch_add(calls, std::memory_order_relaxed);
  if (!ok) failures_.fetch_add(1, std::memory_order_relaxed);
}

ClientStats Engine::stats() const {
  ClientStats stats;
  stats.calls = calls_.load(std::memory_order_relaxed);
  stats.failures = failures_.load(std::memory_order_relaxed);
  stats.collapsed = reads_.collapsed();
  stats.retries = dispatcher_.counters().retries.load(std::memory_order_relaxed);
  stats.wrong_owner = dispatcher_.counters().wrong_owner.load(std::memory_order_relaxed);
  stats.through_others = dispatcher_.counters().through_others.load(std::memory_order_relaxed);
  stats.streamed = reads_.streamed() + streamed_.load(std::memory_order_relaxed);
  stats.messages = nodes_->messages();
  const auto map = routes_.map();
  stats.map_version = map == nullptr ? 0 : map->version;
  return stats;
}

}  // namespace atoll::client
