#include "server/routing/scan_turns.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace atoll::routing {

ScanTurns::ScanTurns(const ScanLimits& limits, Later later)
    : limits_(limits), later_(std::move(later)) {}

absl::Status ScanTurns::Stopping() {
  return base::WithReason(absl::UnavailableError("this node is stopping"), base::reason::kDraining);
}

void ScanTurns::Add(const std::shared_ptr<Walk>& walk, bool again) {
  absl::Status refusal;
  bool arm = false;
  {
    base::MutexLock lock(mu_);
    if (stopped_) {
      refusal = Stopping();
    } else if (active_.size() < limits_.most_active) {
      active_.push_back(walk);
    } else if (again) {
      waiting_.push_front(walk);
    } else if (waiting_.size() < limits_.most_waiting) {
      waiting_.push_back(walk);
    } else {
      refusal = base::Overloaded(
          absl::StrCat("too many scans stand in line, limit ", limits_.most_waiting));
    }
    if (refusal.ok()) arm = !std::exchange(armed_, true);
  }
  if (!refusal.ok()) return walk->End(std::move(refusal));
  if (arm) later_([this] { Turn(); });
}

bool ScanTurns::Slice(Walk& walk) const {
  // Time by the clock, not the thread's: who was preempted has less to do, and that hurts nobody.
  const absl::Duration end = limits_.clock->BootTime() + limits_.slice;
  for (size_t page = 0; page < limits_.pages_in_slice; ++page) {
    if (walk.Step()) return true;
    if (limits_.clock->BootTime() >= end) break;
  }
  return false;
}

void ScanTurns::Turn() {
  std::shared_ptr<Walk> walk;
  {
    base::MutexLock lock(mu_);
    if (active_.empty()) {  // Stop has taken them.
      armed_ = false;
      return;
    }
    walk = std::move(active_.front());
    active_.pop_front();
  }
  const bool over = Slice(*walk);
  bool stopped = false;
  bool more = false;
  {
    base::MutexLock lock(mu_);
    stopped = stopped_;
    if (!over && !stopped) active_.push_back(walk);
    while (active_.size() < limits_.most_active && !waiting_.empty()) {
      active_.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    more = !active_.empty();
    armed_ = more;
  }
  // First the next turn, then the answer: what it costs is another's time.
  if (more) later_([this] { Turn(); });
  if (over) {
    walk->End(absl::OkStatus());
  } else if (stopped) {
    walk->End(Stopping());
  }
}

void ScanTurns::Stop() {
  std::deque<std::shared_ptr<Walk>> ended;
  {
    base::MutexLock lock(mu_);
    stopped_ = true;
    ended.swap(active_);
    for (std::shared_ptr<Walk>& walk : waiting_) ended.push_back(std::move(walk));
    waiting_.clear();
  }
  for (const std::shared_ptr<Walk>& walk : ended) walk->End(Stopping());
}

}  // namespace atoll::routing
