#include "bench/load.h"

#include <time.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "bench/load_loops.h"
#include "bench/nanos.h"

namespace atoll::bench {
namespace {

constexpr int64_t kTellEveryNanos = 100'000'000;

// Sleeps until `when`, and tells meanwhile how far the run is.
void Wait(const LoadOptions& options, int64_t start, const Window& window, int64_t when) {
  for (int64_t now = NowNanos(); now < when; now = NowNanos()) {
    if (options.progress) {
      options.progress(static_cast<double>(now - start) / static_cast<double>(window.end - start));
    }
    SleepUntil(std::min(when, now + kTellEveryNanos));
  }
}

}  // namespace

absl::Status LoadOptions::Validate() const {
  if (absl::Status valid = workload.Validate(); !valid.ok()) return valid;
  const uint32_t limit = async ? 65'536 : 1024;
  if (outstanding < 1 || outstanding > limit) {
    return absl::InvalidArgumentError(absl::StrCat("outstanding: ", outstanding, ", 1-", limit,
                                                   async ? "" : " for blocking callers"));
  }
  if (!(rate >= 0 && rate <= 1e8)) {
    return absl::InvalidArgumentError(absl::StrCat("rate: ", rate, ", 0-100,000,000 a second"));
  }
  if (time_every < 1) return absl::InvalidArgumentError("time every: 0, at least 1");
  return absl::OkStatus();
}

void LoadResult::Merge(const LoadResult& part) {
  elapsed = std::max(elapsed, part.elapsed);
  operations += part.operations;
  keys += part.keys;
  reads += part.reads;
  hits += part.hits;
  errors += part.errors;
  refused += part.refused;
  not_started += part.not_started;
  if (first_error.ok()) first_error = part.first_error;
  read_latency.Merge(part.read_latency);
  write_latency.Merge(part.write_latency);
}

void Count(const Answer& answer, bool read, int64_t latency_nanos, LoadResult& result) {
  ++result.operations;
  if (!answer.status.ok()) {
    ++result.errors;
    if (absl::IsResourceExhausted(answer.status)) {
      ++result.refused;
    } else if (result.first_error.ok()) {
      result.first_error = answer.status;
    }
    return;
  }
  result.keys += answer.keys;
  if (read) {
    result.reads += answer.keys;
    result.hits += answer.hits;
  }
  if (latency_nanos == kNotTimed) return;
  (read ? result.read_latency : result.write_latency).Record(absl::Nanoseconds(latency_nanos));
}

void SleepUntil(int64_t when) {
  // steady_clock is CLOCK_MONOTONIC. An absolute time, so that being put off costs no precision.
  const timespec until{.tv_sec = when / 1'000'000'000, .tv_nsec = when % 1'000'000'000};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {
  }
}

absl::Status Fill(const WorkloadOptions& workload, LoadTarget& target,
                  const std::function<void(uint64_t done)>& progress) {
  const uint64_t batch = std::clamp<uint64_t>((1 << 20) / (workload.LargestValue() + 64), 1, 100);
  const std::string value(workload.LargestValue(), 'v');
  Workload sizes(workload, ~uint64_t{0});
  for (uint64_t at = 0; at < workload.keys;) {
    // Those of one message have the same size: Write takes one value.
    const uint64_t end = std::min(at + batch, workload.keys);
    std::vector<std::string> names;
    for (uint64_t i = at; i < end; ++i) {
      names.push_back(absl::StrCat(workload.key_prefix, WorkloadKey(i)));
    }
    const std::vector<std::string_view> keys(names.begin(), names.end());
    const Answer answer =
        target.Write(keys, std::string_view(value).substr(0, sizes.NextValueBytes()));
    if (!answer.status.ok()) return answer.status;
    at = end;
    if (progress) progress(at);
  }
  return absl::OkStatus();
}

LoadResult RunLoad(const LoadOptions& options, LoadTarget& target) {
  const std::string value(options.workload.LargestValue(), 'v');
  const int64_t start = NowNanos();
  const Window window = Window::After(start, options.warmup, options.duration);
  const std::function<void()> beside = [&] {
    Wait(options, start, window, window.begin);
    if (options.at_begin) options.at_begin();
    Wait(options, start, window, window.end);
    if (options.at_end) options.at_end();
  };
  const LoadRun run{
      .options = options, .window = window, .value = value, .target = target, .beside = beside};
  if (!options.async) return RunBlocking(run);
  return options.rate > 0 ? RunAsyncOpen(run) : RunAsyncClosed(run);
}

}  // namespace atoll::bench
