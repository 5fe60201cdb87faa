// The ways in which a load keeps operations under way; RunLoad chooses.
#pragma once

#include <functional>
#include <string_view>

#include "bench/load.h"
#include "bench/nanos.h"

namespace atoll::bench {

struct LoadRun {
  const LoadOptions& options;
  const Window window;
  // Of LargestValue() bytes.
  const std::string_view value;
  LoadTarget& target;
  // Done by the thread that runs the load while the others are at work.
  const std::function<void()>& beside;
};

// A thread for each outstanding operation; closed or open loop.
LoadResult RunBlocking(const LoadRun& run);
// Each answer starts the next operation, on the thread that brings it.
LoadResult RunAsyncClosed(const LoadRun& run);
// A thread starts operations at their times.
LoadResult RunAsyncOpen(const LoadRun& run);

// As a latency.
inline constexpr int64_t kNotTimed = -1;

// Adds an operation's outcome to the figures.
void Count(const Answer& answer, bool read, int64_t latency_nanos, LoadResult& result);

// Sleeps until NowNanos() is `when`, as exactly as the kernel can.
void SleepUntil(int64_t when);

}  // namespace atoll::bench
