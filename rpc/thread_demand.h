// How many threads a queue's load takes.
//
// One thread that does everything wakes nobody: gRPC passes the waiting for the network on to
// another thread whenever one leaves it with something to do. So a further thread is worth having
// only where those at work have nearly no time left. Nor is it where the machine has no processor
// for it: then the threads take turns on those that there are, and each turn costs. So a thread
// more goes where the first one waits for a processor and together they do little more than one
// fewer would, and comes less and less often while that is so.
//
// No I/O, no clock, no thread. Thread safety: none.
#pragma once

#include <algorithm>

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
  // Of its time the first thread waits for a processor.
  static constexpr double kCrowded = 0.1;
  // What a thread more has to add, in threads, to be worth its turns.
  static constexpr double kWorth = 0.25;
  // Windows for which a crowded machine is left alone: an eighth of a second at first, then twice
  // as long each time, to a second.
  static constexpr int kFirstPause = 64;
  static constexpr int kLongestPause = 512;

  ThreadDemand(int least, int most) : least_(least), most_(most) {}

  // Whether a window is over, so that Observe has something to say.
  bool Due(absl::Duration now) const { return now - since_ >= kWindow; }

  // `cpu`: what all of the threads have taken so far; `waited`: how long the first one has waited
  // for a processor. Returns how many are to be at work.
  int Observe(absl::Duration now, absl::Duration cpu,
              absl::Duration waited = absl::ZeroDuration()) {
    const absl::Duration window = now - since_;
    const double busy = absl::FDivDuration(cpu - cpu_before_, window);
    const double crowd = absl::FDivDuration(waited - waited_before_, window);
    since_ = now;
    cpu_before_ = cpu;
    waited_before_ = waited;
    if (pause_left_ > 0) --pause_left_;
    full_ = busy >= kFull * threads_ ? full_ + 1 : 0;
    spare_ = threads_ > least_ && busy < kSpare * (threads_ - 1) ? spare_ + 1 : 0;
    crowded_ =
        threads_ > least_ && crowd >= kCrowded && busy < threads_ - 1 + kWorth ? crowded_ + 1 : 0;
    if (crowded_ >= kWindows) {
      --threads_;
      full_ = spare_ = crowded_ = 0;
      pause_left_ = pause_ = pause_ == 0 ? kFirstPause : std::min(2 * pause_, kLongestPause);
    } else if (full_ >= kWindows && threads_ < most_ && pause_left_ == 0) {
      ++threads_;
      full_ = crowded_ = 0;
    } else if (spare_ >= kWindows) {
      --threads_;
      spare_ = 0;
      pause_ = 0;
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
  absl::Duration waited_before_ = absl::ZeroDuration();
  int full_ = 0;
  int spare_ = 0;
  int crowded_ = 0;
  // After the machine was crowded: how long no thread is added, and what is left of that.
  int pause_ = 0;
  int pause_left_ = 0;
};

}  // namespace atoll::rpc
