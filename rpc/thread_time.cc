#include "rpc/thread_time.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <charconv>
#include <cstdint>

namespace atoll::rpc {

ThreadTime::ThreadTime() : schedstat_(open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)) {}

ThreadTime::~ThreadTime() {
  if (schedstat_ >= 0) close(schedstat_);
}

absl::Duration ThreadTime::Cpu() {
  timespec taken{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &taken);
  return absl::DurationFromTimespec(taken);
}

absl::Duration ThreadTime::Waited() const {
  // Of three numbers the second, in nanoseconds.
  char text[96];
  const ssize_t size = schedstat_ < 0 ? 0 : pread(schedstat_, text, sizeof text, 0);
  if (size <= 0) return absl::ZeroDuration();
  const char* const end = text + size;
  int64_t cpu = 0;
  int64_t waited = 0;
  const std::from_chars_result first = std::from_chars(text, end, cpu);
  if (first.ptr == end) return absl::ZeroDuration();
  std::from_chars(first.ptr + 1, end, waited);
  return absl::Nanoseconds(waited);
}

}  // namespace atoll::rpc
