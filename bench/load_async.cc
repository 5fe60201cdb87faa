#include <sys/prctl.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "bench/load_loops.h"

namespace atoll::bench {
namespace {

// What a thread that draws operations and brings answers has for itself.
struct Worker {
  Worker(const LoadRun& run, uint64_t number) : drawer(run.options.workload, number, run.value) {}
  OperationDrawer drawer;
  LoadResult result;
  int64_t last_end = 0;
  // Of a closed loop. Where the run was when the last operation was timed.
  bool measured = false;
  bool over = false;
  uint32_t drawn = 0;
  // The slot whose operation is being started; nullptr once this thread has brought its answer.
  const void* starting = nullptr;
};

// The threads' workers, made as threads turn up: the client's own among them.
class Workers {
 public:
  explicit Workers(const LoadRun& run) : run_(run), id_(NextId()) {}

  Worker& Mine() {
    struct Own {
      uint64_t of_run = 0;
      Worker* worker = nullptr;
    };
    thread_local Own own;
    if (own.worker == nullptr || own.of_run != id_) own = {id_, Make()};
    return *own.worker;
  }

  // When every operation was answered.
  LoadResult Total(int64_t* last_end) {
    base::MutexLock lock(mu_);
    LoadResult total;
    for (const std::unique_ptr<Worker>& worker : all_) {
      total.Merge(worker->result);
      *last_end = std::max(*last_end, worker->last_end);
    }
    return total;
  }

 private:
  Worker* Make() {
    base::MutexLock lock(mu_);
    all_.push_back(std::make_unique<Worker>(run_, all_.size()));
    return all_.back().get();
  }
  // Not the address: a later run may have it again.
  static uint64_t NextId() {
    static std::atomic<uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
  }

  const LoadRun& run_;
  const uint64_t id_;
  base::Mutex mu_;
  std::vector<std::unique_ptr<Worker>> all_ ABSL_GUARDED_BY(mu_);
};

// Counts operations under way. Release and acquire: who finds none sees what all of them did.
class UnderWay {
 public:
  void Enter() { count_.fetch_add(1, std::memory_order_relaxed); }
  // The last one leaves under the lock: WaitForNone, and with it the life of this object, may end
  // only when it is through.
  void Leave() {
    uint64_t seen = count_.load(std::memory_order_relaxed);
    while (seen > 1) {
      if (count_.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel)) return;
    }
    base::MutexLock lock(mu_);
    if (count_.fetch_sub(1, std::memory_order_acq_rel) == 1) changed_.Signal();
  }
  uint64_t count() const { return count_.load(std::memory_order_relaxed); }
  void WaitForNone() {
    base::MutexLock lock(mu_);
    while (count_.load(std::memory_order_acquire) != 0) changed_.Wait(mu_);
  }

 private:
  std::atomic<uint64_t> count_{0};
  base::Mutex mu_;
  base::CondVar changed_;
};

void StartDrawn(const DrawnOperation& drawn, LoadTarget& target, Completion done) {
  if (drawn.read) {
    target.ReadAsync(drawn.keys, done);
  } else {
    target.WriteAsync(drawn.keys, drawn.value, done);
  }
}

class ClosedLoop {
 public:
  explicit ClosedLoop(const LoadRun& run) : run_(run), workers_(run) {}

  LoadResult Run() {
    std::vector<Slot> slots(run_.options.outstanding);
    for (Slot& slot : slots) {
      slot.loop = this;
      under_way_.Enter();
    }
    for (Slot& slot : slots) Keep(slot, workers_.Mine(), NowNanos());
    run_.beside();
    under_way_.WaitForNone();
    int64_t last_end = 0;
    LoadResult total = workers_.Total(&last_end);
    total.elapsed = run_.options.duration;
    return total;
  }

 private:
  // One operation after the other. An answer may come within the call that starts its operation:
  // that goes on then, so that answers do not nest. Otherwise the answer's thread does.
  struct alignas(64) Slot {
    ClosedLoop* loop = nullptr;
    int64_t start = 0;  // 0: it is not timed
    bool read = true;
    bool counts = false;
  };

  // Goes on until an operation is under way or the run is over. `now`: 0 where it is not known.
  void Keep(Slot& slot, Worker& mine, int64_t now) {
    for (;; now = 0) {
      slot.start = 0;
      if (mine.drawn++ % run_.options.time_every == 0) {
        slot.start = now != 0 ? now : NowNanos();
        mine.measured = slot.start >= run_.window.begin;
        mine.over = slot.start >= run_.window.end;
      }
      if (mine.over) {
        under_way_.Leave();
        return;
      }
      slot.counts = mine.measured;
      const DrawnOperation drawn = mine.drawer.Next();
      slot.read = drawn.read;
      const void* const around = std::exchange(mine.starting, &slot);
      StartDrawn(drawn, run_.target, {&slot, &ClosedLoop::Answered});
      if (std::exchange(mine.starting, around) == &slot) return;
    }
  }

  static void Answered(void* context, const Answer& answer) {
    Slot& slot = *static_cast<Slot*>(context);
    ClosedLoop& loop = *slot.loop;
    Worker& mine = loop.workers_.Mine();
    const int64_t now = slot.start != 0 ? NowNanos() : 0;
    if (slot.counts && !mine.over && now <= loop.run_.window.end) {
      Count(answer, slot.read, now != 0 ? now - slot.start : kNotTimed, mine.result);
    }
    if (mine.starting == &slot) {
      mine.starting = nullptr;
    } else {
      loop.Keep(slot, mine, now);
    }
  }

  const LoadRun& run_;
  Workers workers_;
  UnderWay under_way_;
};

class OpenLoop {
 public:
  explicit OpenLoop(const LoadRun& run) : run_(run), workers_(run) {}

  LoadResult Run() {
    uint64_t not_started = 0;
    std::thread starter([&] { not_started = StartAll(); });
    run_.beside();
    starter.join();
    under_way_.WaitForNone();
    int64_t last_end = run_.window.end;
    LoadResult total = workers_.Total(&last_end);
    total.not_started = not_started;
    if (run_.options.drop_late) last_end = run_.window.end;
    total.elapsed = absl::Nanoseconds(last_end - run_.window.begin);
    return total;
  }

 private:
  struct Operation {
    OpenLoop* loop;
    int64_t due;
    bool read;
  };

  bool Counts(int64_t due, int64_t ended) const {
    const Window& window = run_.window;
    if (!run_.options.drop_late) return due >= window.begin;
    return ended >= window.begin && ended <= window.end;
  }

  // Returns how many of those that count found no place.
  uint64_t StartAll() {
    prctl(PR_SET_TIMERSLACK, 1);
    const double interval = 1e9 / run_.options.rate;
    const int64_t begin = NowNanos();
    const int64_t grain = absl::ToInt64Nanoseconds(run_.options.start_grain);
    uint64_t not_started = 0;
    for (uint64_t nth = 0;; ++nth) {
      const int64_t due = begin + static_cast<int64_t>(static_cast<double>(nth) * interval);
      if (due >= run_.window.end) return not_started;
      int64_t now = NowNanos();
      if (now < due) SleepUntil(due + grain);
      while (under_way_.count() >= run_.options.outstanding && now < run_.window.end &&
             !run_.options.drop_late) {
        SleepUntil(now + 20'000);
        now = NowNanos();
      }
      if (now >= run_.window.end || under_way_.count() >= run_.options.outstanding) {
        not_started += due >= run_.window.begin ? 1 : 0;
        continue;
      }
      const DrawnOperation drawn = workers_.Mine().drawer.Next();
      under_way_.Enter();
      auto operation =
          std::make_unique<Operation>(Operation{.loop = this, .due = due, .read = drawn.read});
      StartDrawn(drawn, run_.target, {operation.release(), &OpenLoop::Answered});
    }
  }

  static void Answered(void* context, const Answer& answer) {
    const std::unique_ptr<Operation> operation(static_cast<Operation*>(context));
    OpenLoop& loop = *operation->loop;
    const int64_t now = NowNanos();
    if (loop.Counts(operation->due, now)) {
      Worker& mine = loop.workers_.Mine();
      mine.last_end = now;
      Count(answer, operation->read, now - operation->due, mine.result);
    }
    loop.under_way_.Leave();
  }

  const LoadRun& run_;
  Workers workers_;
  UnderWay under_way_;
};

}  // namespace

LoadResult RunAsyncClosed(const LoadRun& run) { return ClosedLoop(run).Run(); }

LoadResult RunAsyncOpen(const LoadRun& run) { return OpenLoop(run).Run(); }

}  // namespace atoll::bench
