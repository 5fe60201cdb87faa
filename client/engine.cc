#include "client/engine.h"

#include <time.h>

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

// The kernel's time as of its last tick: four times as fast to read as the exact one.
struct CoarseTime {
  int64_t seconds = -1;
  int64_t nanos = 0;

  static CoarseTime Now() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return {now.tv_sec, now.tv_nsec};
  }
  static absl::Duration Tick() {
    static const absl::Duration tick = [] {
      timespec resolution{};
      clock_getres(CLOCK_MONOTONIC_COARSE, &resolution);
      return absl::DurationFromTimespec(resolution);
    }();
    return tick;
  }
  friend bool operator==(const CoarseTime&, const CoarseTime&) = default;
};

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
        dispatcher_.ForgetWays();
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
    absl::Status ready = routes_.Ready();
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
  return base::Clock::Real().BootTime() + Timeout(timeout);
}

absl::Duration Engine::StreamDeadline(absl::Duration timeout) const {
  return base::Clock::Real().BootTime() + StreamTimeout(timeout);
}

Engine::ReadDeadlines Engine::DeadlinesOfRead(absl::Duration timeout) const {
  constexpr absl::Duration kExact = absl::Milliseconds(100);
  struct Last {
    uint64_t client_id = 0;
    CoarseTime tick;
    absl::Duration timeout;
    ReadDeadlines deadlines;
  };
  thread_local Last last;
  const CoarseTime tick = CoarseTime::Now();
  if (tick == last.tick && client_id_ == last.client_id && timeout == last.timeout) {
    return last.deadlines;
  }
  const absl::Duration call = Timeout(timeout);
  const absl::Duration stream = StreamTimeout(timeout);
  if (call < kExact) {
    const absl::Duration now = base::Clock::Real().BootTime();
    return {now + call, now + stream};
  }
  // Of a call at the end of this tick, so that none is early.
  const absl::Duration now = base::Clock::Real().BootTime() + CoarseTime::Tick();
  last = {client_id_, tick, timeout, {now + call, now + stream}};
  return last.deadlines;
}

thread_local bool CallbackScope::active = false;

void Engine::Name(v1::RequestId* id) {
  id->set_client_id(client_id_);
  id->set_number(next_request_.fetch_add(1, std::memory_order_relaxed));
}

void Engine::Set(WriteCall* call, std::string_view ns, std::string_view key, std::string_view value,
                 const EntryOptions& options, absl::Duration timeout, bool own) {
  if (value.size() <= kMaxInlineBytes) {
    call->PrepareSet(ns, key, value, options, own);
    call->deadline = Deadline(timeout);
    dispatcher_.Start(call);
    return;
  }
  streamed_.fetch_add(1, std::memory_order_relaxed);
  v1::SetRequest set;
  set.set_namespace_(std::string(ns));
  set.set_key(key.data(), key.size());
  if (options.ttl.has_value()) set.set_ttl_ms(TtlMs(*options.ttl));
  set.set_max_idle_ms(TtlMs(options.max_idle));
  set.set_flags(options.flags);
  transfers_.Set(std::move(set), std::make_shared<const std::string>(value),
                 base::PartitionOfHash(base::HashKey(ns, key)), StreamDeadline(timeout),
                 [call](absl::StatusOr<WriteResult> result) { call->Answer(std::move(result)); });
}

void CountEnd(Engine* engine, bool ok) { engine->Count(ok); }

void Engine::Count(uint64_t calls, uint64_t failures) {
  calls_.fetch_add(calls, std::memory_order_relaxed);
  if (failures > 0) failures_.fetch_add(failures, std::memory_order_relaxed);
}

ClientStats Engine::stats() const {
  ClientStats stats;
  stats.calls = calls_.load(std::memory_order_relaxed) + reads_.counted();
  stats.failures = failures_.load(std::memory_order_relaxed);
  stats.collapsed = reads_.collapsed();
  stats.retries = dispatcher_.retries();
  stats.wrong_owner = dispatcher_.counters().wrong_owner.load(std::memory_order_relaxed);
  stats.through_others = dispatcher_.counters().through_others.load(std::memory_order_relaxed);
  stats.streamed = reads_.streamed() + streamed_.load(std::memory_order_relaxed);
  stats.messages = nodes_->messages();
  stats.slowdowns = nodes_->slowdowns();
  const auto map = routes_.map();
  stats.map_version = map == nullptr ? 0 : map->version;
  return stats;
}

}  // namespace atoll::client
