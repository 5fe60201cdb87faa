// Puts a load on a cache and measures it.
//
// Closed loop: a number of operations is kept outstanding, by blocking threads or asynchronously.
// Open loop: operations start at their appointed times, whatever became of the earlier ones, and
// latency counts from the appointed time, so that a stall is not hidden by the load's waiting for
// it (coordinated omission).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "bench/histogram.h"
#include "bench/workload.h"

namespace atoll::bench {

// What one operation did. `hits` of `keys` were found (reads).
struct Answer {
  absl::Status status;
  uint32_t keys = 0;
  uint32_t hits = 0;
};

// Who is told of an answer: two words, so that starting an operation allocates nothing.
struct Completion {
  void* context = nullptr;
  void (*run)(void* context, const Answer& answer) = nullptr;

  void operator()(const Answer& answer) const { run(context, answer); }
};

// The cache under load. Reads and writes of one key or of many. All methods may be called by any
// thread.
class LoadTarget {
 public:
  virtual ~LoadTarget() = default;
  virtual Answer Read(absl::Span<const std::string_view> keys) = 0;
  virtual Answer Write(absl::Span<const std::string_view> keys, std::string_view value) = 0;
  // Arguments need not outlive the call. `done` is called once, on any thread, possibly before the
  // call returns.
  virtual void ReadAsync(absl::Span<const std::string_view> keys, Completion done) = 0;
  virtual void WriteAsync(absl::Span<const std::string_view> keys, std::string_view value,
                          Completion done) = 0;
};

struct LoadOptions {
  WorkloadOptions workload;
  // Operations outstanding. Blocking: one thread each, 1-1,024. Asynchronous: 1-65,536.
  uint32_t outstanding = 64;
  bool async = false;
  // Of an asynchronous closed loop: one operation of so many is timed, each thread's first among
  // them. The others end the measured part by the last time that their thread knows.
  uint32_t time_every = 1;
  // Operations a second; 0: closed loop. `outstanding` caps what may be under way: operations that
  // are due and find no place start late, which counts as their latency.
  double rate = 0;
  // Open loop: operations that find no place are not started, instead of late, and those count that
  // end within the measured part. So what is offered stays the same above what can be done.
  bool drop_late = false;
  // Open loop: those that come due within so long start together, up to so much late, which counts
  // as their latency. Zero: each at its time, for a sleep of the starting thread.
  absl::Duration start_grain;
  absl::Duration warmup = absl::Seconds(1);
  absl::Duration duration = absl::Seconds(10);
  std::function<void(double share_done)> progress;
  // Run when the measured part begins and ends, by the thread that called RunLoad.
  std::function<void()> at_begin;
  std::function<void()> at_end;

  absl::Status Validate() const;
};

// Closed loop: of operations that started and ended within the measured part. Open loop: of
// operations that were due within it, or with `drop_late` ended within it.
struct LoadResult {
  absl::Duration elapsed;
  uint64_t operations = 0;
  uint64_t keys = 0;   // of operations that were carried out
  uint64_t reads = 0;  // keys read
  uint64_t hits = 0;
  uint64_t errors = 0;
  // RESOURCE_EXHAUSTED among the errors.
  uint64_t refused = 0;
  // Open loop: due, but there was no place for them before the run ended. No latency is known.
  uint64_t not_started = 0;
  // Of those that are no refusals.
  absl::Status first_error;
  // Of operations that were carried out and timed.
  Histogram read_latency;
  Histogram write_latency;

  double keys_per_second() const {
    return static_cast<double>(keys) / absl::ToDoubleSeconds(elapsed);
  }
  void Merge(const LoadResult& part);
};

// Stores every key of the workload, in batches of at most 100 keys and about a megabyte.
absl::Status Fill(const WorkloadOptions& workload, LoadTarget& target,
                  const std::function<void(uint64_t done)>& progress);

// Runs the load, warm-up first. Its threads are joined and its operations answered when it returns.
LoadResult RunLoad(const LoadOptions& options, LoadTarget& target);

}  // namespace atoll::bench
