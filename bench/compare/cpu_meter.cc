#include "bench/compare/cpu_meter.h"

#include <time.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/str_cat.h"

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

absl::Duration CpuTimeOfThreads(pid_t pid, std::string_view prefix) {
  absl::Duration taken;
  std::error_code ended;  // a thread, or the process, while it is looked at
  const std::filesystem::path threads = absl::StrCat("/proc/", pid == 0 ? getpid() : pid, "/task");
  for (std::filesystem::directory_iterator it(threads, ended), end; !ended && it != end;
       it.increment(ended)) {
    std::string name;
    int64_t nanos = 0;
    if (std::ifstream(it->path() / "comm") >> name && name.starts_with(prefix) &&
        std::ifstream(it->path() / "schedstat") >> nanos) {
      taken += absl::Nanoseconds(nanos);
    }
  }
  return taken;
}

CpuMeter::CpuMeter(const std::vector<pid_t>& pids) {
  clocks_.reserve(pids.size());
  for (const pid_t pid : pids) {
    clocks_.emplace_back([pid] { return CpuTimeOf(pid); });
  }
}

void CpuMeter::Begin() {
  begin_.clear();
  for (const auto& clock : clocks_) begin_.push_back(clock());
}

void CpuMeter::End() {
  taken_.clear();
  for (size_t i = 0; i < clocks_.size(); ++i) taken_.push_back(clocks_[i]() - begin_[i]);
}

}  // namespace atoll::bench
