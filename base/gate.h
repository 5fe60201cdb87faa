// Counts what is under way, so that a stop can refuse the new and drain the old.
//
// Thread safety: all methods. Enter and Leave are one atomic operation each while the gate is open.
#pragma once

#include <atomic>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/mutex.h"

namespace atoll::base {

class Gate {
 public:
  Gate() = default;
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  // False once the gate is closed; else the caller must Leave, on any thread.
  bool Enter();
  void Leave();
  // From now on Enter fails. Safe to repeat.
  void Close();
  // After Close: waits until everybody has left, at most so long. True if they have. The gate may
  // be destroyed then.
  bool Drain(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mu_);

  bool closed() const { return (state_.load(std::memory_order_relaxed) & kClosed) != 0; }
  int64_t inside() const { return state_.load(std::memory_order_relaxed) & ~kClosed; }

 private:
  static constexpr int64_t kClosed = int64_t{1} << 62;

  // Count of those inside, and kClosed. Acquire and release: what was done inside is seen by who
  // drained.
  std::atomic<int64_t> state_{0};
  Mutex mu_;
  CondVar emptied_;
  // Set, with the mutex held, by the last one to leave a closed gate; so Drain cannot return while
  // that thread still touches the gate.
  bool empty_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace atoll::base
