// Threads that carry out events, as many as their load takes (thread_demand.h).
//
// The first thread is always there. The others sleep until it is overworked, or has not come back
// from one event for kStuck. Events of one call may be carried out on any of them, and those of
// different operations at the same time.
//
// Ownership: whoever is derived has Start() called once, if at all, and joins the threads by Join()
// before it goes, after it has let Take and TakeHelping say that there is no more.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "rpc/thread_demand.h"
#include "rpc/thread_time.h"

namespace atoll::rpc {

class EventThreads {
 public:
  static constexpr absl::Duration kStuck = absl::Milliseconds(20);
  // A thread that helps waits so long for an event.
  static constexpr absl::Duration kHelp = absl::Milliseconds(10);

  struct Options {
    std::string name;
    // At the most, and at the least.
    int threads = 1;
    int always = 1;
  };
  // What came back from gRPC (Tag::Proceed).
  struct Event {
    void* tag = nullptr;
    bool ok = false;
  };
  enum class Taken : uint8_t {
    kEvent,
    kElsewhere,  // an event that somebody else carries out
    kNothing,
    kEnd,
  };

  EventThreads(const EventThreads&) = delete;
  EventThreads& operator=(const EventThreads&) = delete;

  int threads() const { return options_.threads; }
  // Threads that are to be at work now.
  int wanted() const { return wanted_.load(std::memory_order_relaxed); }
  void Start();

 protected:
  explicit EventThreads(Options options);
  virtual ~EventThreads() = default;

  // The first thread's next event; waits for it.
  virtual Taken Take(Event& event) = 0;
  // That of a thread that helps: waits for kHelp at the most.
  virtual Taken TakeHelping(Event& event) = 0;
  // Of the first thread's time, what it has taken without having anything to do.
  virtual absl::Duration Idled() const { return absl::ZeroDuration(); }

  // For the first thread: how long it has had something to do and did it, or waited for a
  // processor.
  absl::Duration Worked() const;
  absl::Duration Waited() const;

  // Those that sleep need not wait for work any more. Any number of times.
  void WakeToEnd() ABSL_LOCKS_EXCLUDED(mu_);
  // False if there are none: never started.
  bool Join();

 private:
  void RunFirst();
  // `index`: 1 for the first of them.
  void RunHelper(int index) ABSL_LOCKS_EXCLUDED(mu_);
  // Until the helper is wanted: true; or they end. `stuck_at`: the event, if it is because the
  // first thread does not come back from one.
  bool SleepUntilWanted(int index, std::optional<uint64_t>* stuck_at) ABSL_LOCKS_EXCLUDED(mu_);
  void Observe() ABSL_LOCKS_EXCLUDED(mu_);
  // Nothing came for the last helper: without load nobody observes that it is not wanted. Where the
  // demand stands, the next Observe wants it again.
  void Retire(int index) ABSL_LOCKS_EXCLUDED(mu_);

  const Options options_;
  std::vector<std::thread> helpers_;  // all there before the first thread is
  std::thread first_;

  // The first thread's.
  ThreadDemand demand_;
  std::optional<ThreadTime> time_;
  // Relaxed: who misses a change sees it at its next event, or is woken under the lock.
  std::atomic<int> wanted_;
  // Of the first thread: events begun and ended. Relaxed: looked at every kStuck.
  std::atomic<uint64_t> begun_{0};
  std::atomic<uint64_t> done_{0};
  base::Mutex mu_;
  base::CondVar changed_;
  bool ending_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace atoll::rpc
