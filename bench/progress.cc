#include "bench/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

namespace atoll::bench {
namespace {

constexpr int kWidth = 30;

}  // namespace

Progress::Progress(std::string title, uint64_t total, bool quiet)
    : title_(std::move(title)),
      total_(std::max<uint64_t>(total, 1)),
      quiet_(quiet),
      terminal_(isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (drawn_ && terminal_) std::fputc('\n', stderr);
}

void Progress::Update(uint64_t done, const std::string& note) {
  if (quiet_) return;
  const absl::Time now = absl::Now();
  const bool end = done >= total_;
  if (!end && now - last_ < (terminal_ ? absl::Milliseconds(100) : absl::Seconds(10))) return;
  last_ = now;
  drawn_ = true;
  const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total_));
  const int filled = static_cast<int>(share * kWidth);
  const std::string line =
      absl::StrFormat("%s [%s%s] %3d%%  %s", title_, std::string(filled, '#'),
                      std::string(kWidth - filled, '.'), static_cast<int>(share * 100), note);
  if (terminal_) {
    absl::FPrintF(stderr, "\r%s\033[K", line);
  } else {
    absl::FPrintF(stderr, "%s\n", line);
  }
  std::fflush(stderr);
}

}  // namespace atoll::bench
