// Walks through this node's partitions take turns: a slice of one, then whatever else their thread
// has to do, then a slice of the next. So a scan that finds nothing in millions of entries delays
// nobody by more than a slice, and a short one does not wait for the end of a long one.
//
// Thread safety: all methods. Slices run one at a time, as tasks of `later`, with no lock held.
// Lifetime: tasks may be dropped once `later`'s owner has stopped; Stop comes before the end.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"

namespace atoll::routing {

struct ScanLimits {
  const base::Clock* clock = &base::Clock::Real();
  // A slice ends at the first page of the store (500 slots of a table, 50 us) behind this.
  absl::Duration slice = absl::Microseconds(250);
  // And after so many such pages, whatever the clock says.
  size_t pages_in_slice = 32;
  // Walks that take turns, each with a page of up to 1 MiB half full; the rest stands in line.
  size_t most_active = 16;
  // In line. Another node's page asks for up to 64 parts at once.
  size_t most_waiting = 4096;
  // Pages that callers at the first hop may have asked for; more are refused.
  size_t most_pages = 64;
};

class ScanTurns {
 public:
  class Walk {
   public:
    virtual ~Walk() = default;
    // One page of the store. Whether that was the last.
    virtual bool Step() = 0;
    // Called once, after the last step or instead of it; the failure says why there is none.
    virtual void End(absl::Status status) = 0;
  };

  using Task = absl::AnyInvocable<void()>;
  // Does a task soon, on the thread that walks: not before it has served what came in before.
  using Later = std::function<void(Task)>;

  ScanTurns(const ScanLimits& limits, Later later);
  ScanTurns(const ScanTurns&) = delete;
  ScanTurns& operator=(const ScanTurns&) = delete;

  // RESOURCE_EXHAUSTED, reason OVERLOAD, by Walk::End if too many stand in line. `again`: it had
  // its turns before, and is next.
  void Add(const std::shared_ptr<Walk>& walk, bool again) ABSL_LOCKS_EXCLUDED(mu_);
  // Ends all with UNAVAILABLE, and takes no more.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Turn() ABSL_LOCKS_EXCLUDED(mu_);
  // Whether the walk is over.
  bool Slice(Walk& walk) const;
  static absl::Status Stopping();

  const ScanLimits limits_;
  const Later later_;
  base::Mutex mu_;
  std::deque<std::shared_ptr<Walk>> active_ ABSL_GUARDED_BY(mu_);
  std::deque<std::shared_ptr<Walk>> waiting_ ABSL_GUARDED_BY(mu_);
  // A turn is to come, or under way.
  bool armed_ ABSL_GUARDED_BY(mu_) = false;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace atoll::routing
