#include "bench/compare/cpu_meter.h"

#include <time.h>

namespace atoll::bench {

absl::Duration CpuTimeOf(pid_t pid) {
  // In nanoseconds, where /proc counts in ticks of 10 ms.
  clockid_t clock{};
  timespec time{};
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0) {
    return absl::ZeroDuration();
  }
  return absl::DurationFromTimespec(time);
}

void CpuMeter::Begin() {
  begin_.clear();
  for (const pid_t pid : pids_) begin_.push_back(CpuTimeOf(pid));
}

void CpuMeter::End() {
  taken_.clear();
  for (size_t i = 0; i < pids_.size(); ++i) taken_.push_back(CpuTimeOf(pids_[i]) - begin_[i]);
}

}  // namespace atoll::bench
