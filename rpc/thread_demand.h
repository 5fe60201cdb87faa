// How many threads a queue's load takes.
//
// One thread that does everything wakes nobody: gRPC passes the waiting for the network on to
// another thread whenever one leaves it with something to do. So a further thread is worth having
// only where those at work have nearly no time left.
//
// No I/O, no clock, no thread. Thread safety: none.
#pragma once

#include "absl/time/time.h"

namespace atoll::rpc {

class ThreadDemand {
 public:
  static constexpr absl::Duration kWindow = absl::Milliseconds(2);
  // Windows in a row that must say the same.
  static constexpr int kWindows = 5;
  // A thread more where those at work are so busy, one less where one less would be less busy.
  static constexpr double kFull = 0.92;
  static constexpr double kSpare = 0.75;

  ThreadDemand(int least, int most) : least_(least), most_(most) {}

  // Whether a window is over, so that Observe has something to say.
  bool Due(absl::Duration now) const { return now - since_ >= kWindow; }

  // `cpu`: what all of the threads have taken so far. Returns how many are to be at work.
  int Observe(absl::Duration now, absl::Duration cpu) {
    const absl::Duration window = now - since_;
    const double busy = absl::FDivDuration(cpu - cpu_before_, window);
    since_ = now;
    cpu_before_ = cpu;
    full_ = busy >= kFull * threads_ ? full_ + 1 : 0;
    spare_ = threads_ > least_ && busy < kSpare * (threads_ - 1) ? spare_ + 1 : 0;
    if (full_ >= kWindows && threads_ < most_) {
      ++threads_;
      full_ = 0;
    } else if (spare_ >= kWindows) {
      --threads_;
      spare_ = 0;
    }
    return threads_;
  }

  int threads() const { return threads_; }

 private:
  const int least_;
  const int most_;
  int threads_ = least_;
  absl::Duration since_ = absl::ZeroDuration();
  absl::Duration cpu_before_ = absl::ZeroDuration();
  int full_ = 0;
  int spare_ = 0;
};

}  // namespace atoll::rpc
