#include "bench/load.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/mutex.h"

namespace atoll::bench {
namespace {

absl::Duration Elapsed() { return base::Clock::Real().BootTime(); }

// One operation, drawn before its time starts.
struct Drawn {
  bool read = true;
  std::vector<std::string> keys;
};

Drawn Draw(Workload& workload, uint32_t batch) {
  Drawn drawn{.read = workload.NextIsRead()};
  drawn.keys.reserve(batch);
  for (uint32_t i = 0; i < batch; ++i) drawn.keys.push_back(WorkloadKey(workload.NextKey()));
  return drawn;
}

// When the measured part of a run begins and ends, on BootTime.
struct Window {
  absl::Duration begin;
  absl::Duration end;
};

void Count(const Answer& answer, bool read, absl::Duration latency, LoadResult& result) {
  ++result.operations;
  if (!answer.status.ok()) {
    ++result.errors;
    if (absl::IsResourceExhausted(answer.status)) ++result.refused;
    if (result.first_error.ok()) result.first_error = answer.status;
    return;
  }
  result.keys += answer.keys;
  if (read) {
    result.reads += answer.keys;
    result.hits += answer.hits;
    result.read_latency.Record(latency);
  } else {
    result.write_latency.Record(latency);
  }
}

void Merge(const LoadResult& part, LoadResult& total) {
  total.operations += part.operations;
  total.keys += part.keys;
  total.reads += part.reads;
  total.hits += part.hits;
  total.errors += part.errors;
  total.refused += part.refused;
  if (total.first_error.ok()) total.first_error = part.first_error;
  total.read_latency.Merge(part.read_latency);
  total.write_latency.Merge(part.write_latency);
}

void WorkBlocking(const LoadOptions& options, const Window& window, uint64_t stream,
                  LoadTarget& target, LoadResult& result) {
  Workload workload(options.workload, stream);
  const std::string value(options.workload.value_bytes, 'v');
  for (;;) {
    const Drawn drawn = Draw(workload, options.workload.batch);
    const absl::Duration start = Elapsed();
    if (start >= window.end) return;
    const Answer answer = drawn.read ? target.Read(drawn.keys) : target.Write(drawn.keys, value);
    const absl::Duration end = Elapsed();
    if (start >= window.begin && end <= window.end) Count(answer, drawn.read, end - start, result);
  }
}

// Keeps operations outstanding without a thread for each. Every answer draws and starts the next
// operation, in the closed loop; in the open loop a thread starts them at their times.
class AsyncRun {
 public:
  AsyncRun(const LoadOptions& options, const Window& window, LoadTarget& target)
      : options_(options),
        window_(window),
        target_(target),
        value_(options.workload.value_bytes, 'v'),
        workload_(options.workload, 0) {}

  LoadResult Closed() {
    for (uint32_t i = 0; i < options_.outstanding; ++i) StartNext();
    return WaitForAll();
  }

  LoadResult Open() {
    const absl::Duration interval = absl::Seconds(1 / options_.rate);
    absl::Duration due = Elapsed();
    while (due < window_.end) {
      const absl::Duration now = Elapsed();
      if (now < due) std::this_thread::sleep_for(absl::ToChronoNanoseconds(due - now));
      {
        base::MutexLock lock(mu_);
        while (under_way_ >= options_.outstanding) changed_.Wait(mu_);
      }
      Start(due);
      due += interval;
    }
    return WaitForAll();
  }

 private:
  void StartNext() {
    const absl::Duration now = Elapsed();
    if (now < window_.end) Start(now);
  }

  void Start(absl::Duration due) {
    Drawn drawn;
    {
      base::MutexLock lock(mu_);
      drawn = Draw(workload_, options_.workload.batch);
      ++under_way_;
    }
    auto done = [this, due, read = drawn.read](Answer answer) { Finish(answer, read, due); };
    if (drawn.read) {
      target_.ReadAsync(drawn.keys, std::move(done));
    } else {
      target_.WriteAsync(drawn.keys, value_, std::move(done));
    }
  }

  void Finish(const Answer& answer, bool read, absl::Duration due) {
    const absl::Duration now = Elapsed();
    // The successor starts before this one is signed off: under_way_ is 0 only at the end.
    if (options_.rate == 0) StartNext();
    base::MutexLock lock(mu_);
    if (due >= window_.begin && now <= window_.end) Count(answer, read, now - due, result_);
    --under_way_;
    changed_.Signal();
  }

  LoadResult WaitForAll() {
    base::MutexLock lock(mu_);
    while (under_way_ != 0) changed_.Wait(mu_);
    return result_;
  }

  const LoadOptions& options_;
  const Window window_;
  LoadTarget& target_;
  const std::string value_;
  base::Mutex mu_;
  base::CondVar changed_;
  Workload workload_ ABSL_GUARDED_BY(mu_);
  uint64_t under_way_ ABSL_GUARDED_BY(mu_) = 0;
  LoadResult result_ ABSL_GUARDED_BY(mu_);
};

LoadResult RunBlocking(const LoadOptions& options, const Window& window, LoadTarget& target) {
  std::vector<LoadResult> parts(options.outstanding);
  std::vector<std::thread> threads;
  threads.reserve(parts.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    threads.emplace_back([&, i] { WorkBlocking(options, window, i, target, parts[i]); });
  }
  for (std::thread& thread : threads) thread.join();
  LoadResult total;
  for (const LoadResult& part : parts) Merge(part, total);
  return total;
}

}  // namespace

absl::Status LoadOptions::Validate() const {
  if (absl::Status valid = workload.Validate(); !valid.ok()) return valid;
  const uint32_t limit = async ? 65'536 : 1024;
  if (outstanding < 1 || outstanding > limit) {
    return absl::InvalidArgumentError(absl::StrCat("outstanding: ", outstanding, ", 1-", limit,
                                                   async ? "" : " for blocking callers"));
  }
  if (rate < 0 || (rate > 0 && !async)) {
    return absl::InvalidArgumentError("rate: needs asynchronous callers, and is not negative");
  }
  return absl::OkStatus();
}

absl::Status Fill(const WorkloadOptions& workload, LoadTarget& target,
                  const std::function<void(uint64_t done)>& progress) {
  constexpr uint64_t kBatch = 100;
  const std::string value(workload.value_bytes, 'v');
  for (uint64_t at = 0; at < workload.keys; at += kBatch) {
    std::vector<std::string> keys;
    for (uint64_t i = at; i < std::min(at + kBatch, workload.keys); ++i) {
      keys.push_back(WorkloadKey(i));
    }
    if (Answer answer = target.Write(keys, value); !answer.status.ok()) return answer.status;
    if (progress) progress(at + keys.size());
  }
  return absl::OkStatus();
}

LoadResult RunLoad(const LoadOptions& options, LoadTarget& target) {
  const absl::Duration now = Elapsed();
  const Window window{.begin = now + options.warmup,
                      .end = now + options.warmup + options.duration};
  std::atomic<bool> over{false};
  std::thread teller([&] {
    while (!over.load() && options.progress) {
      const absl::Duration gone = Elapsed() - now;
      options.progress(std::min(1.0, absl::FDivDuration(gone, window.end - now)));
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  });
  LoadResult result;
  if (options.async) {
    AsyncRun run(options, window, target);
    result = options.rate > 0 ? run.Open() : run.Closed();
  } else {
    result = RunBlocking(options, window, target);
  }
  over.store(true);
  teller.join();
  result.elapsed = options.duration;
  return result;
}

}  // namespace atoll::bench
