#include <sys/prctl.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "bench/load_loops.h"

namespace atoll::bench {
namespace {

Answer Do(const DrawnOperation& drawn, LoadTarget& target) {
  return drawn.read ? target.Read(drawn.keys) : target.Write(drawn.keys, drawn.value);
}

void Closed(const LoadRun& run, uint64_t thread, LoadResult& result) {
  OperationDrawer drawer(run.options.workload, thread, run.value);
  for (int64_t start = NowNanos(); start < run.window.end;) {
    const DrawnOperation drawn = drawer.Next();
    const Answer answer = Do(drawn, run.target);
    const int64_t end = NowNanos();
    if (start >= run.window.begin && end <= run.window.end) {
      Count(answer, drawn.read, end - start, result);
    }
    start = end;
  }
  result.elapsed = run.options.duration;
}

// Appointments go round the threads: the first one's first, the second one's first, and so on.
void Open(const LoadRun& run, int64_t begin, uint64_t thread, LoadResult& result) {
  prctl(PR_SET_TIMERSLACK, 1);
  OperationDrawer drawer(run.options.workload, thread, run.value);
  const double interval = 1e9 / run.options.rate;
  int64_t end = begin;
  for (uint64_t nth = thread;; nth += run.options.outstanding) {
    const int64_t due = begin + static_cast<int64_t>(static_cast<double>(nth) * interval);
    if (due >= run.window.end) break;
    if (end < due) SleepUntil(due);
    const bool counts = due >= run.window.begin;
    if (end >= run.window.end) {
      // Too late to be begun: the run would last as long as the backlog.
      result.not_started += counts ? 1 : 0;
      continue;
    }
    const DrawnOperation drawn = drawer.Next();
    const Answer answer = Do(drawn, run.target);
    end = NowNanos();
    if (counts) Count(answer, drawn.read, end - due, result);
  }
  result.elapsed = absl::Nanoseconds(std::max(end, run.window.end) - run.window.begin);
}

}  // namespace

LoadResult RunBlocking(const LoadRun& run) {
  const int64_t begin = NowNanos();
  std::vector<LoadResult> parts(run.options.outstanding);
  std::vector<std::thread> threads;
  threads.reserve(parts.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    threads.emplace_back([&run, begin, i, &part = parts[i]] {
      run.options.rate > 0 ? Open(run, begin, i, part) : Closed(run, i, part);
    });
  }
  run.beside();
  for (std::thread& thread : threads) thread.join();
  LoadResult total;
  for (const LoadResult& part : parts) total.Merge(part);
  return total;
}

}  // namespace atoll::bench
